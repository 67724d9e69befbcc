import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcp, type Server, type Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import { HostError } from "../core/error.ts";
import { bindError } from "../host/sockets/bind_error.ts";
import { formatListenSpec } from "../host/sockets/listen_spec.ts";

interface ListenerOptions {
  /** Port 0 takes any free port. */
  listen: { host: string; port: number };
  handler(request: Request): Promise<Response>;
  clock: Clock;
}

export interface Listener {
  url: string;
  /** Stops listening and closes the connections. */
  close(): Promise<void>;
}

/** The longest life of a connection, whatever it is slow at. GitHub waits 10 seconds for a response. */
export const CONNECTION_MS = 15_000;
/** How long the rest of a body that is not read may arrive; without it, the client could lose the response. */
export const LINGER_MS = 1_000;
const MAX_CONNECTIONS = 64;
const MAX_HEADER_BYTES = 16 * 1024;
/** Only the path matters. */
const ORIGIN = "http://webhook.invalid";

/** Serves HTTP/1.1 with one request per connection, so that a few limits on connections bound everything. */
export async function openListener({ listen, handler, clock }: ListenerOptions): Promise<Listener> {
  const sockets = new Set<Socket>();
  const http = createHttp({ maxHeaderSize: MAX_HEADER_BYTES }, (request, response) => {
    answer(handler, request, response, clock).catch(() => response.destroy());
  });
  const server = createTcp((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy()); // Other connections are not affected.
    socket.on("close", () => sockets.delete(socket));
    destroyAfter(CONNECTION_MS, socket, clock);
    http.emit("connection", socket);
  });
  server.maxConnections = MAX_CONNECTIONS;
  const { host, port } = await bind(server, listen);
  return {
    url: `http://${formatListenSpec({ kind: "tcp", host, port })}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function destroyAfter(ms: number, socket: Socket, clock: Clock): void {
  const closed = new AbortController();
  socket.once("close", () => closed.abort());
  clock.sleep(ms, closed.signal).then(
    () => socket.destroy(),
    () => {}, // Closed before.
  );
}

async function answer(
  handler: ListenerOptions["handler"],
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  clock: Clock,
): Promise<void> {
  const request = toRequest(incoming);
  const response = request && (await handler(request));
  const text = (await response?.text()) ?? "";
  outgoing.statusCode = response?.status ?? 400;
  for (const [name, value] of response?.headers ?? []) outgoing.setHeader(name, value);
  outgoing.setHeader("content-length", Buffer.byteLength(text));
  const { socket } = incoming;
  if (incoming.complete) outgoing.setHeader("connection", "close");
  else {
    outgoing.shouldKeepAlive = true;
    outgoing.once("finish", () => incoming.resume());
    incoming.once("end", () => socket.end());
    destroyAfter(LINGER_MS, socket, clock);
  }
  outgoing.end(incoming.method === "HEAD" ? undefined : text);
}

/** Returns `undefined` for a method or a URL that a `Request` cannot have. */
function toRequest(incoming: IncomingMessage): Request | undefined {
  const { method = "GET", url = "" } = incoming;
  if (!url.startsWith("/")) return undefined;
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, String(value));
  }
  try {
    if (method !== "POST") return new Request(ORIGIN + url, { method, headers });
    const body = streamOf(incoming);
    const init: RequestInit & { duplex: "half" } = { method, headers, body, duplex: "half" };
    return new Request(ORIGIN + url, init);
  } catch {
    return undefined;
  }
}

/** Cancelling it stops the reading but, unlike `Readable.toWeb`, leaves the connection for the response. */
function streamOf(incoming: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  const chunks = incoming[Symbol.asyncIterator]();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(new Uint8Array(value));
      },
    },
    { highWaterMark: 0 },
  );
}

function bind(
  server: Server,
  { host, port }: ListenerOptions["listen"],
): Promise<ListenerOptions["listen"]> {
  return new Promise((resolve, reject) => {
    // Also for connections that cannot be accepted later on; others can.
    server.on("error", (cause) => {
      reject(bindError({ kind: "tcp", host, port }, cause, "--webhook-listen"));
    });
    server.listen({ host, port }, () => {
      const bound = server.address();
      if (bound === null || typeof bound === "string") {
        reject(new HostError("Cannot determine the port of the webhooks"));
      } else resolve({ host: bound.address, port: bound.port });
    });
  });
}
