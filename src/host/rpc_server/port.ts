import { createPrivateKey, X509Certificate } from "node:crypto";
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2,
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { createServer as createTcp, type Server, type Socket } from "node:net";
import { systemClock } from "../../core/clock.ts";
import { ConfigError, HostError } from "../../core/error.ts";
import { withTimeout } from "../../core/timeout.ts";
import { hasCode } from "../files/file_error.ts";
import type { TlsFiles } from "./types.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

export interface Exchange {
  request: NodeRequest;
  response: NodeResponse;
}

interface PortOptions {
  port: number;
  host: string | undefined;
  tls: TlsFiles | undefined;
  handle(exchange: Exchange): void;
}

export interface OpenPort {
  url: string;
  port: number;
  renewTls(tls: TlsFiles): void;
  close(graceMs: number): Promise<void>;
}

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
/** gRPC clients open another connection transparently. */
const IDLE_TIMEOUT_MS = 10 * 60_000;
/** Agents poll every 10 seconds or so: they keep their connection. */
const KEEP_ALIVE_MS = 75_000;
const MAX_CONNECTIONS = 16_384;
const MAX_HEADER_BYTES = 16 * 1024;
const HTTP2_OPTIONS = {
  settings: { maxConcurrentStreams: 256, maxHeaderListSize: MAX_HEADER_BYTES },
  maxHeaderListPairs: 64,
} as const;
/** Between the last response and the end of its connection. */
const FLUSH_MS = 250;

/**
 * Serves HTTP/1.1 and HTTP/2 on one port. With TLS the client chooses (ALPN); without it the
 * preface of HTTP/2 decides.
 * https://www.rfc-editor.org/rfc/rfc9113#section-3.4
 */
export async function openPort(options: PortOptions): Promise<OpenPort> {
  const calls = new Calls();
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const handle: Handle = (request, response) => {
    calls.begin(response);
    // HTTP/1.1 has no other way to send the next call elsewhere.
    if (isClosing && request.httpVersionMajor === 1) response.setHeader("connection", "close");
    options.handle({ request, response });
  };
  let isClosing = false;
  const secure = options.tls === undefined ? undefined : tlsServer(options.tls, handle, sessions);
  const server = secure ?? plainServer(handle, sessions);
  server.maxConnections = MAX_CONNECTIONS;
  server.on(options.tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy()); // Other connections are not affected.
  });
  const { address, port } = await listen(server, options);
  const scheme = options.tls === undefined ? "http" : "https";
  return {
    url: `${scheme}://${address.includes(":") ? `[${address}]` : address}:${port}`,
    port,
    renewTls(tls) {
      if (secure === undefined) return;
      checkTls(tls);
      secure.setSecureContext(tls);
    },
    async close(graceMs) {
      isClosing = true;
      server.close();
      const ended = [...sessions].map((session) => endOf(session));
      await within(graceMs, calls.none());
      await within(FLUSH_MS, Promise.all(ended));
      for (const socket of sockets) socket.destroy();
    },
  };
}

class Calls {
  readonly #running = new Set<NodeResponse>();
  #waiting: (() => void)[] = [];

  begin(response: NodeResponse): void {
    this.#running.add(response);
    const end = (): void => {
      this.#running.delete(response);
      if (this.#running.size > 0) return;
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
    response.once("close", end);
    response.once("finish", end);
  }

  none(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

type Handle = (request: NodeRequest, response: NodeResponse) => void;

function tlsServer(
  tls: TlsFiles,
  handle: Handle,
  sessions: Set<ServerHttp2Session>,
): Http2SecureServer {
  checkTls(tls);
  const handshake = { minVersion: "TLSv1.2", handshakeTimeout: HEADERS_TIMEOUT_MS } as const;
  const options = { ...HTTP2_OPTIONS, ...tls, ...handshake, allowHTTP1: true };
  const server = createSecureServer(options, handle);
  trackSessions(server, sessions);
  return server;
}

/** OpenSSL's own errors do not say which of the two is wrong, and Deno reports none. */
function checkTls({ cert, key }: TlsFiles): void {
  const refuse = (reason: string, cause?: unknown): ConfigError =>
    new ConfigError(`Cannot use the TLS certificate and key: ${reason}`, { cause });
  const read = <T>(reason: string, work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      throw refuse(reason, cause);
    }
  };
  const certificate = read("the certificate is not in PEM format", () => new X509Certificate(cert));
  const privateKey = read("the key is not an unencrypted private key in PEM format", () =>
    createPrivateKey(key),
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    throw refuse("the key belongs to another certificate");
  }
}

function plainServer(handle: Handle, sessions: Set<ServerHttp2Session>): Server {
  const http1 = createHttp1(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: HEADERS_TIMEOUT_MS / 2,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    handle,
  );
  // It does not listen itself, but only "listening" starts Node's check of these timeouts.
  http1.emit("listening");
  const http2 = createHttp2(HTTP2_OPTIONS, handle);
  trackSessions(http2, sessions);
  const server = createTcp((socket) => chooseProtocol(socket, { http1, http2 }));
  server.on("close", () => http1.close());
  return server;
}

function trackSessions(
  server: { on(event: "session", listener: (session: ServerHttp2Session) => void): unknown },
  sessions: Set<ServerHttp2Session>,
): void {
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => session.destroy());
    session.setTimeout(IDLE_TIMEOUT_MS, () => session.close());
  });
}

// No method of HTTP/1.1 begins like the preface of HTTP/2.
const PREFACE = "PRI";

function chooseProtocol(socket: Socket, servers: Record<"http1" | "http2", EventSource>): void {
  let seen: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), HEADERS_TIMEOUT_MS);
  socket.on("close", () => clearTimeout(timer));
  socket.on("data", read);

  function read(chunk: Buffer): void {
    seen = Buffer.concat([seen, chunk]);
    const start = seen.subarray(0, PREFACE.length).toString("latin1");
    if (start !== PREFACE && PREFACE.startsWith(start)) return;
    clearTimeout(timer);
    socket.off("data", read);
    socket.pause();
    socket.unshift(seen);
    servers[start === PREFACE ? "http2" : "http1"].emit("connection", socket);
    if (start !== PREFACE) socket.resume();
    // Node reads the unshifted bytes by itself, before this; Bun waits for resume().
    else setImmediate(() => socket.readableLength > 0 && socket.resume());
  }
}

interface EventSource {
  emit(event: "connection", socket: Socket): boolean;
}

function listen(
  server: Server,
  { port, host }: PortOptions,
): Promise<{ address: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => reject(listenError(cause, port, host)));
    server.listen(host === undefined ? { port } : { port, host }, () => {
      const bound = server.address();
      if (bound === null || typeof bound === "string") {
        reject(new HostError("Cannot determine the port"));
      } else resolve(bound);
    });
  });
}

function listenError(cause: Error, port: number, host: string | undefined): HostError {
  const where = `port ${port}${host === undefined ? "" : ` of ${host}`}`;
  const why = hasCode(cause, "EADDRINUSE")
    ? "another program uses it; choose another --port"
    : hasCode(cause, "EACCES", "EPERM")
      ? "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE)"
      : cause.message;
  return new HostError(`Cannot listen on ${where}: ${why}`, { cause, retryable: false });
}

/** Sends GOAWAY: calls in progress end, no new ones begin. */
function endOf(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    session.once("close", resolve);
    if (session.closed || session.destroyed) resolve();
    else session.close();
  });
}

function within(ms: number, work: Promise<unknown>): Promise<unknown> {
  return withTimeout(work, { clock: systemClock, ms, what: "end" }).catch(() => {});
}
