import { Code, type ContextValues, createContextValues } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { systemClock } from "../../core/clock.ts";
import type { EventSink } from "../../core/event.ts";
import { messageOf } from "../../core/message_of.ts";
import { bearerCheck } from "../../gateway/bearer_token.ts";
import type { RegistryLogic } from "../../gateway/contract.ts";
import { healthRoutes } from "../../gateway/health_routes.ts";
import {
  type Caller,
  callerKey,
  MAX_DEADLINE_MS,
  MAX_REQUEST_BYTES,
  registryRoutes,
} from "../../gateway/rpc_routes.ts";
import { RegistryService } from "../../gen/dewy_pb.ts";
import { Health } from "../../gen/health_pb.ts";
import { answerByFetch, sendText } from "./fetch.ts";
import { type Exchange, type NodeRequest, type NodeResponse, openPort } from "./port.ts";
import type { FetchHandler, TlsFiles } from "./types.ts";

export type { FetchHandler, TlsFiles };

/** Options of {@link serveRegistry}. */
export interface ServeRegistryOptions {
  /** The port. Use 0 for any free port. */
  port: number;
  /** The address to listen on. Defaults to every address of this machine. */
  host?: string | undefined;
  /** The certificate. Without it: plain text, which clients accept with `?no-tls=true` only. */
  tls?: TlsFiles | undefined;
  /** The bearer token that calls must send. Without it every client may call. */
  token?: string | undefined;
  /** Answers GET and HEAD for other paths; bodies are streamed. Defaults to 404. */
  fetch?: FetchHandler | undefined;
  /** Whether `grpc.health.v1`, which needs no token, reports SERVING. Defaults to true. */
  isServing?: (() => boolean) | undefined;
  /** Receives failures that callers do not see. Defaults to ignoring them. */
  emit?: EventSink | undefined;
}

/** A running server. */
export interface RegistryServer {
  /** Its address: `http://<address>:<port>` or `https://…`. */
  readonly url: string;
  /** The port. */
  readonly port: number;
  /**
   * Uses another certificate for new connections. Without TLS it does nothing.
   *
   * @param tls The certificate and its key.
   * @throws {ConfigError} If they are invalid. The previous ones stay in use.
   */
  renewTls(tls: TlsFiles): void;
  /**
   * Stops accepting, waits for calls and downloads in progress, then disconnects the rest.
   *
   * @param graceMs How long to wait, in milliseconds. Defaults to 10,000.
   */
  close(graceMs?: number): Promise<void>;
}

const GRACE_MS = 10_000;
const METHODS: ReadonlySet<string> = new Set(
  [RegistryService, Health].flatMap(({ typeName, methods }) =>
    methods.map(({ name }) => `/${typeName}/${name}`),
  ),
);

/**
 * Serves your own registry logic to dewy's `grpc://`: gRPC (HTTP/2, with or without TLS), gRPC-Web
 * and Connect on one port, on Node, Deno and Bun.
 *
 * @param logic Chooses the version for each machine, and receives the deploy reports.
 * @param options The port, TLS, and access control.
 * @returns The server, which is already listening.
 * @throws {HostError} If the port is in use.
 * @throws {ConfigError} If the certificate is invalid.
 *
 * @example
 * ```ts
 * import { type RegistryServer, serveRegistry } from "dewy/host";
 *
 * const start = (port: number): Promise<RegistryServer> =>
 *   serveRegistry(
 *     {
 *       current: ({ os, arch }) => ({
 *         tag: "v1.2.3",
 *         artifactUrl: `ghr://owner/repo/tag/v1.2.3/app_${os}_${arch}.tar.gz`,
 *       }),
 *       report: ({ tag, error }) => console.log(tag, error ?? "is live"),
 *     },
 *     { port },
 *   );
 * if (start.length !== 1) throw new Error("start(9000) would serve gRPC on port 9000");
 * ```
 */
export async function serveRegistry(
  logic: RegistryLogic,
  options: ServeRegistryOptions,
): Promise<RegistryServer> {
  const { tls, token, fetch = () => undefined, emit = () => {} } = options;
  const { isServing = () => true } = options;
  const closing = new AbortController();
  const stopping = new AbortController();
  const mayCall = token === undefined ? undefined : bearerCheck(token);
  const scheme = tls === undefined ? "http" : "https";
  const call = connectNodeAdapter({
    routes: (router) => {
      const common = { closing: closing.signal, clock: systemClock };
      registryRoutes(logic, { ...common, emit })(router);
      healthRoutes({ ...common, isServing })(router);
    },
    readMaxBytes: MAX_REQUEST_BYTES,
    maxTimeoutMs: MAX_DEADLINE_MS,
    shutdownSignal: stopping.signal,
    contextValues: (request): ContextValues =>
      createContextValues().set(callerKey, callerOf(request, scheme)),
  });
  const answerCall = (path: string, exchange: Exchange): void => {
    if (METHODS.has(path)) call(exchange.request, exchange.response);
    else refuseCall(exchange, "unimplemented", `There is no method ${path}`);
  };
  const port = await openPort({
    port: options.port,
    host: options.host,
    tls,
    handle: (exchange) => {
      const { request, response } = exchange;
      const path = (request.url ?? "").replace(/\?.*/s, "");
      const isRegistry = path.startsWith(`/${RegistryService.typeName}/`);
      if (isRegistry && mayCall !== undefined) {
        // Checked before the request is read, which can be large.
        mayCall(request.headers.authorization ?? null).then((isAllowed) => {
          if (isAllowed) answerCall(path, exchange);
          else refuseCall(exchange, "unauthenticated", "A bearer token is required");
        });
        return;
      }
      if (isRegistry || METHODS.has(path) || isGrpcCall(request)) {
        answerCall(path, exchange);
        return;
      }
      const { origin = `${scheme}://localhost` } = callerOf(request, scheme);
      answerByFetch(fetch, origin, exchange).catch((error) => fail(response, error, emit));
    },
  });
  const close = async (graceMs = GRACE_MS): Promise<void> => {
    closing.abort();
    await port.close(graceMs);
    stopping.abort();
  };
  return { url: port.url, port: port.port, renewTls: port.renewTls, close };
}

function callerOf(request: NodeRequest, scheme: string): Caller {
  const address = request.socket?.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, "");
  const authority = request.headers[":authority"] ?? request.headers.host;
  // https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2, without user information
  const isHost =
    typeof authority === "string" && /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?$/i.test(authority);
  return { address, origin: isHost ? `${scheme}://${authority}` : undefined };
}

/** The gRPC code, and the HTTP status of Connect. */
const REFUSALS = {
  unauthenticated: [Code.Unauthenticated, 401],
  unimplemented: [Code.Unimplemented, 501],
} as const;

function isGrpcCall(request: NodeRequest): boolean {
  return /^application\/grpc\b/i.test(request.headers["content-type"] ?? "");
}

/** Refuses a gRPC, gRPC-Web or Connect call without reading its request. */
function refuseCall(
  { request, response }: Exchange,
  reason: keyof typeof REFUSALS,
  message: string,
): void {
  const [code, status] = REFUSALS[reason];
  if ("stream" in response) {
    // The rest of the request is not read. https://www.rfc-editor.org/rfc/rfc9113#section-8.1
    response.once("finish", () => response.stream?.close(0));
  }
  if (isGrpcCall(request)) {
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

function fail(response: NodeResponse, error: unknown, emit: EventSink): void {
  const reason = messageOf(error);
  emit({ type: "warning", message: "A request failed", fields: { reason }, important: true });
  if (response.headersSent) response.destroy();
  else sendText(response, 500, "The server failed; see its log\n");
}
