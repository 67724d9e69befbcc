import { Code } from "@connectrpc/connect";
import type { Exchange, NodeRequest } from "./port.ts";

export type Refusal = "unauthenticated" | "unimplemented";

/** The gRPC code, and the HTTP status of Connect. */
const REFUSALS: Readonly<Record<Refusal, readonly [Code, number]>> = {
  unauthenticated: [Code.Unauthenticated, 401],
  unimplemented: [Code.Unimplemented, 501],
};

/** Whether a request is a gRPC or gRPC-Web call. */
export function isGrpcCall(request: NodeRequest): boolean {
  return /^application\/grpc\b/i.test(request.headers["content-type"] ?? "");
}

/**
 * Refuses a gRPC, gRPC-Web or Connect call without reading its request. `message` is plain ASCII.
 */
export function refuseCall(
  { request, response }: Exchange,
  reason: Refusal,
  message: string,
): void {
  const [code, status] = REFUSALS[reason];
  if ("stream" in response) {
    // The rest of the request is not read. https://www.rfc-editor.org/rfc/rfc9113#section-8.1
    response.once("finish", () => response.stream?.close(0));
  }
  if (isGrpcCall(request)) {
    // A trailers-only response.
    response.setHeader("content-type", request.headers["content-type"] ?? "application/grpc");
    response.setHeader("grpc-status", String(code));
    // https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
    response.setHeader(
      "grpc-message",
      message.replaceAll(/[^\x20-\x24\x26-\x7e]/g, encodeURIComponent),
    );
    response.end();
    return;
  }
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ code: reason, message }));
}
