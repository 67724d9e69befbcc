import { Code } from "@connectrpc/connect";
import type { NodeRequest, NodeResponse } from "./port.ts";

/** Why a call is refused. */
export type Refusal = "unauthenticated" | "unimplemented";

/** Each with its gRPC code, and the HTTP status that Connect wants. */
const REFUSALS: Readonly<Record<Refusal, readonly [Code, number]>> = {
  unauthenticated: [Code.Unauthenticated, 401],
  unimplemented: [Code.Unimplemented, 501],
};

/** Returns whether a request is a call of gRPC or gRPC-Web. */
export function isGrpcCall(request: NodeRequest): boolean {
  return /^application\/grpc\b/i.test(request.headers["content-type"] ?? "");
}

/**
 * Refuses a call without reading its request.
 *
 * @param request the call, by gRPC, gRPC-Web or Connect.
 * @param response its answer.
 * @param reason the name of the status.
 * @param message plain ASCII text.
 */
export function refuseCall(
  request: NodeRequest,
  response: NodeResponse,
  reason: Refusal,
  message: string,
): void {
  const [code, status] = REFUSALS[reason];
  if ("stream" in response) {
    // What the client still sends is not wanted. https://www.rfc-editor.org/rfc/rfc9113#section-8.1
    response.once("finish", () => response.stream?.close(0));
  }
  if (isGrpcCall(request)) {
    // A response that consists of trailers only.
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
