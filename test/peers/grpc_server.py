"""A dewy gRPC server as another project would write it: answers Current, and prints the requests as
lines of JSON.

usage: grpc_server.py <directory of the generated modules> <answer as JSON>
                      [<key file> <certificate file>]
"""

import json
import sys
from concurrent import futures

sys.path.insert(0, sys.argv[1])

import grpc  # noqa: E402
from google.protobuf.empty_pb2 import Empty  # noqa: E402

import dewy_pb2  # noqa: E402
import dewy_pb2_grpc  # noqa: E402

ANSWER = json.loads(sys.argv[2])


def log(**fields):
    print(json.dumps(fields), flush=True)


def optional(message, field):
    return getattr(message, field) if message.HasField(field) else None


class Registry(dewy_pb2_grpc.RegistryServiceServicer):
    def Current(self, request, context):
        metadata = dict(context.invocation_metadata())
        log(
            method="Current",
            arch=request.arch,
            os=request.os,
            arifact_name=optional(request, "arifact_name"),
            authorization=metadata.get("authorization"),
            has_deadline=context.time_remaining() is not None,
        )
        if "status" in ANSWER:
            context.abort(grpc.StatusCode[ANSWER["status"]], ANSWER["details"])
        answer = dewy_pb2.CurrentResponse(
            id=ANSWER["id"], tag=ANSWER["tag"], artifact_url=ANSWER["artifact_url"]
        )
        if "created_at" in ANSWER:
            answer.created_at.FromJsonString(ANSWER["created_at"])
        return answer

    def Report(self, request, context):
        log(
            method="Report",
            id=request.id,
            tag=request.tag,
            command=request.command,
            err=optional(request, "err"),
        )
        return Empty()


server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
dewy_pb2_grpc.add_RegistryServiceServicer_to_server(Registry(), server)
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as key, open(sys.argv[4], "rb") as certificate:
        credentials = grpc.ssl_server_credentials([(key.read(), certificate.read())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
log(port=port)
sys.stdin.read()  # until the test closes it or exits
server.stop(None)
