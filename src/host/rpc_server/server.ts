/**
 * A server of `dewy.RegistryService`: gRPC, gRPC-Web and Connect on one port.
 *
 * @module
 */
import { type ContextValues, createContextValues } from "@connectrpc/connect";
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
import { type NodeRequest, type NodeResponse, openPort } from "./port.ts";
import { isGrpcCall, refuseCall } from "./refusal.ts";
import type { FetchHandler, TlsFiles } from "./types.ts";

export type { FetchHandler, TlsFiles } from "./types.ts";

/** How {@link serveRegistry} serves. */
export interface ServeRegistryOptions {
  /** The port; 0: any that is free. */
  port: number;
  /** The address to listen on. The default is every address of this machine. */
  host?: string | undefined;
  /** A certificate, to speak TLS. The default is plain text, which clients accept with `?no-tls=true` only. */
  tls?: TlsFiles | undefined;
  /** What calls must have as `Authorization: Bearer <token>`. The default is that anybody may call. */
  token?: string | undefined;
  /**
   * Answers other paths than those of the service, by GET and HEAD: artifacts, a health check. Bodies are streamed. The
   * default is that there are none.
   */
  fetch?: FetchHandler | undefined;
  /**
   * Whether `grpc.health.v1` reports SERVING; that service needs no token. The default is that it does until the server
   * closes.
   */
  isServing?: (() => boolean) | undefined;
  /** Hears of failures that callers are not told. The default is nobody. */
  emit?: EventSink | undefined;
}

/** A server that runs. */
export interface RegistryServer {
  /** Where it listens: `http://<address>:<port>` or `https://…`. */
  readonly url: string;
  /** The port. */
  readonly port: number;
  /**
   * Takes another certificate for the connections to come; those that are open stay. Without TLS it does nothing.
   *
   * @param tls the certificate and its key.
   * @throws ConfigError when they cannot be used; the ones before stay.
   */
  renewTls(tls: TlsFiles): void;
  /**
   * Stops: accepts nothing new, lets calls and downloads finish, hangs up.
   *
   * @param graceMs how long they may take, in milliseconds; the default is 10 seconds.
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
 * Serves a registry with logic of one's own to dewy's `grpc://`: gRPC (HTTP/2, by TLS or in plain text), gRPC-Web and
 * Connect on one port, on Node, Deno and Bun.
 *
 * @param logic chooses the version for each machine that asks, and hears what became of it.
 * @param options the port, TLS, and who may call.
 * @returns the server, which listens already.
 * @throws HostError when the port is in use; ConfigError when the certificate cannot be used.
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
      registryRoutes(logic, emit)(router);
      healthRoutes({ isServing, closing: closing.signal, clock: systemClock })(router);
    },
    readMaxBytes: MAX_REQUEST_BYTES,
    maxTimeoutMs: MAX_DEADLINE_MS,
    shutdownSignal: stopping.signal,
    contextValues: (request): ContextValues =>
      createContextValues().set(callerKey, callerOf(request, scheme)),
  });
  const answerCall = (path: string, request: NodeRequest, response: NodeResponse): void => {
    if (METHODS.has(path)) call(request, response);
    else refuseCall(request, response, "unimplemented", `There is no method ${path}`);
  };
  const port = await openPort({
    port: options.port,
    host: options.host,
    tls,
    handle(request, response) {
      const path = (request.url ?? "").replace(/\?.*/s, "");
      const isRegistry = path.startsWith(`/${RegistryService.typeName}/`);
      if (isRegistry && mayCall !== undefined) {
        // Before the request is read, which could be large.
        mayCall(request.headers.authorization ?? null).then((isAllowed) => {
          if (isAllowed) answerCall(path, request, response);
          else refuseCall(request, response, "unauthenticated", "A bearer token is required");
        });
        return;
      }
      if (isRegistry || METHODS.has(path) || isGrpcCall(request)) {
        answerCall(path, request, response);
        return;
      }
      const { origin = `${scheme}://localhost` } = callerOf(request, scheme);
      answerByFetch(fetch, origin, request, response).catch((error) => fail(response, error, emit));
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

function fail(response: NodeResponse, error: unknown, emit: EventSink): void {
  const reason = messageOf(error);
  emit({ type: "warning", message: "A request failed", fields: { reason }, important: true });
  if (response.headersSent) response.destroy();
  else sendText(response, 500, "The server failed; its log says why\n");
}
