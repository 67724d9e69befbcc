"""A dewy gRPC client as another project would write it: calls Current and Report, and prints the
answer or the status as JSON.

usage: grpc_client.py <directory of the generated modules> <host:port> <token or ""> [<CA file>]
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

import grpc  # noqa: E402

import dewy_pb2  # noqa: E402
import dewy_pb2_grpc  # noqa: E402

target, token = sys.argv[2], sys.argv[3]
if len(sys.argv) > 4:
    with open(sys.argv[4], "rb") as ca:
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(ca.read()))
else:
    channel = grpc.insecure_channel(target)
metadata = [("authorization", f"Bearer {token}")] if token else []
registry = dewy_pb2_grpc.RegistryServiceStub(channel)
try:
    answer = registry.Current(
        dewy_pb2.CurrentRequest(arch="amd64", os="linux"), timeout=10, metadata=metadata
    )
    registry.Report(
        dewy_pb2.ReportRequest(id=answer.id, tag=answer.tag, command="server", err="something error"),
        timeout=10,
        metadata=metadata,
    )
    created_at = answer.created_at.ToJsonString() if answer.HasField("created_at") else None
    print(
        json.dumps(
            {
                "id": answer.id,
                "tag": answer.tag,
                "artifact_url": answer.artifact_url,
                "created_at": created_at,
            }
        )
    )
except grpc.RpcError as error:
    print(json.dumps({"status": error.code().name, "details": error.details()}))
