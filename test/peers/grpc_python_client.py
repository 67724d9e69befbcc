"""Calls dewy.RegistryService once per line of standard input, and prints an answer per line.

See grpc_python_client.ts.
"""

import json
import sys

generated, target, ca_file = sys.argv[1:4]
sys.path.insert(0, generated)

import grpc  # noqa: E402
import dewy_pb2  # noqa: E402
import dewy_pb2_grpc  # noqa: E402
import health_pb2  # noqa: E402
import health_pb2_grpc  # noqa: E402

if ca_file:
    with open(ca_file, "rb") as file:
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(file.read()))
else:
    channel = grpc.insecure_channel(target)
stub = dewy_pb2_grpc.RegistryServiceStub(channel)
health = health_pb2_grpc.HealthStub(channel)
watching = None

for line in sys.stdin:
    call = json.loads(line)
    metadata = list(call.get("metadata", {}).items())
    try:
        if call["method"] == "Current":
            answer = stub.Current(
                dewy_pb2.CurrentRequest(**call["request"]), timeout=10, metadata=metadata
            )
            result = {"id": answer.id, "tag": answer.tag, "artifact_url": answer.artifact_url}
            if answer.HasField("created_at"):
                result["created_at"] = answer.created_at.ToJsonString()
        elif call["method"] == "Check":
            request = health_pb2.HealthCheckRequest(**call["request"])
            result = {"status": health.Check(request, timeout=10, metadata=metadata).status}
        elif call["method"] == "Watch":
            # The first call starts the watch; each call waits for the next status.
            if watching is None:
                watching = health.Watch(health_pb2.HealthCheckRequest(**call["request"]))
            result = {"status": next(watching).status}
        elif call["method"].startswith("/"):
            echo = channel.unary_unary(call["method"], lambda text: text.encode(), bytes.decode)
            result = {"bytes": echo(call["request"]["bytes"], timeout=10, metadata=metadata)}
        else:
            stub.Report(dewy_pb2.ReportRequest(**call["request"]), timeout=10, metadata=metadata)
            result = {}
    except grpc.RpcError as error:
        result = {"code": error.code().name, "details": error.details()}
    print(json.dumps(result), flush=True)
