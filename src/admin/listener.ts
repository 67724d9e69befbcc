import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { systemClock } from "../core/clock.ts";
import { HostError } from "../core/error.ts";
import { withTimeout } from "../core/timeout.ts";
import { hasCode } from "../host/files/file_error.ts";
import { answerByFetch } from "../host/rpc_server/fetch.ts";
import type { FetchHandler } from "../host/rpc_server/types.ts";
import { bindError } from "../host/sockets/bind_error.ts";
import { formatListenSpec } from "../host/sockets/listen_spec.ts";

interface ListenerOptions {
  host: string;
  /** The first one that is free is used. */
  ports: readonly number[];
  limits?: typeof LIMITS;
}

export interface Listener {
  url: string;
  port: number;
  /** Stops listening, gives responses in progress a moment, and closes the connections. */
  close(): Promise<void>;
}

const LIMITS = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 15_000,
  /** Prometheus scrapes every minute or more often: it keeps its connection. */
  keepAliveMs: 75_000,
  connections: 256,
};
const MAX_HEADER_BYTES = 16 * 1024;
/** How long the rest of a request body may arrive; without it, the client could lose the response. */
const LINGER_MS = 1_000;
const GRACE_MS = 1_000;
const NO_TUNNEL =
  "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n";

/**
 * Serves HTTP/1.1 on the first of the ports that is free. Node's server listens by itself: on Deno, a server that gets
 * its connections from another one closes them after each response, and on Bun it has no timeouts.
 */
export async function openListener(
  handler: FetchHandler,
  { host, ports, limits = LIMITS }: ListenerOptions,
): Promise<Listener> {
  const connections = new Connections(limits.connections);
  const http = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      connectionsCheckingInterval: limits.headersTimeoutMs / 2,
      keepAliveTimeout: limits.keepAliveMs,
    },
    (request, response) => {
      if (!connections.begin(request.socket, response)) return;
      answer(handler, request, response).catch(() => response.destroy());
    },
  );
  http.on("connection", (socket: Socket) => connections.add(socket));
  // Without a listener, Node closes the connection without a response.
  http.on("connect", (_, socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(NO_TUNNEL, () => socket.destroy());
  });
  const { address, port } = await bindFirst(http, host, ports);
  return {
    url: `http://${formatListenSpec({ kind: "tcp", host: address, port })}`,
    port,
    async close() {
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      await connections.close(GRACE_MS);
      await closed;
    },
  };
}

class Connections {
  readonly #max: number;
  /** Each with its last response, the oldest first. */
  readonly #sockets = new Map<Socket, ServerResponse | undefined>();

  constructor(max: number) {
    this.#max = max;
  }

  /** If there are too many, the oldest without a response in progress gives way, so that slow ones keep out no other. */
  add(socket: Socket): void {
    if (this.#sockets.size >= this.#max) (this.#oldestIdle() ?? socket).destroy();
    this.#sockets.set(socket, undefined);
    socket.once("close", () => this.#sockets.delete(socket));
  }

  /** Returns whether a request is answered. A client that does not wait for the response to its last one is closed. */
  begin(socket: Socket, response: ServerResponse): boolean {
    if (this.#sockets.get(socket)?.writableEnded === false) socket.destroy();
    if (socket.destroyed) return false;
    this.#sockets.set(socket, response);
    return true;
  }

  async close(graceMs: number): Promise<void> {
    const responses = [...this.#sockets.values()].filter(isInProgress);
    const ended = Promise.all(responses.map((response) => once(response, "close")));
    await withTimeout(ended, { clock: systemClock, ms: graceMs, what: "end" }).catch(() => {});
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  #oldestIdle(): Socket | undefined {
    const idle = [...this.#sockets].filter(([, response]) => !isInProgress(response));
    return idle.find(([socket]) => !socket.destroyed)?.[0];
  }
}

function isInProgress(response: ServerResponse | undefined): response is ServerResponse {
  return response !== undefined && !response.writableFinished && !response.destroyed;
}

async function answer(
  handler: FetchHandler,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const hosts = request.rawHeaders.filter((name, at) => at % 2 === 0 && /^host$/i.test(name));
  // Health checks of some load balancers have none; browsers, and so DNS rebinding, always do.
  const isOld = hosts.length === 0 && request.httpVersion === "1.0";
  const { host = isOld ? "localhost" : "" } = request.headers;
  if (hosts.length > 1 || !HOST.test(host)) {
    response.writeHead(400, { "content-type": "text/plain; charset=utf-8", connection: "close" });
    response.end("Expected one Host header\n");
    return;
  }
  if (hasBody(request)) {
    response.setHeader("connection", "close");
    response.once("finish", () => {
      request.resume();
      const timer = setTimeout(() => request.socket.destroy(), LINGER_MS);
      request.socket.once("close", () => clearTimeout(timer));
    });
  }
  await answerByFetch(handler, `http://${host}`, { request, response });
}

/** A name or an address, and a port. */
const HOST = /^([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i;

function hasBody({ headers }: IncomingMessage): boolean {
  const { "content-length": length = "0", "transfer-encoding": encoding } = headers;
  return length !== "0" || encoding !== undefined;
}

async function bindFirst(
  http: Server,
  host: string,
  ports: readonly number[],
): Promise<AddressInfo> {
  for (const port of ports) {
    try {
      return await bind(http, host, port);
    } catch (cause) {
      if (!hasCode(cause, "EADDRINUSE")) {
        throw bindError({ kind: "tcp", host, port }, cause, "--admin-port");
      }
    }
  }
  throw new HostError("other programs use all of its ports; choose another --admin-port");
}

async function bind(http: Server, host: string, port: number): Promise<AddressInfo> {
  http.listen({ host, port });
  await once(http, "listening");
  http.on("error", () => {}); // For connections that cannot be accepted; others can.
  const bound = http.address();
  if (bound !== null && typeof bound !== "string") return bound;
  throw new HostError("Cannot determine the port of the admin API");
}
