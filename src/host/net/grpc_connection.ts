import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import type { GrpcTransportOptions } from "@connectrpc/connect-node";
import { withoutFloods } from "./grpc_flood.ts";

type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;
type RequestArguments = Parameters<SessionManager["request"]>;

/** An idle connection is closed before a firewall forgets it. */
const IDLE_TIMEOUT_MS = 15 * 60_000;

/**
 * Replaces `Http2SessionManager` of connect-node 2.1.2, which fails with peers that do not speak
 * HTTP/2: it removes its `error` listener on abort, so that a late error of the session ends the
 * process (Node); and when a session is destroyed between its `connect` event and the next
 * microtask (Deno), it awaits a resolved promise in a loop, which starves timers and signals.
 */
export class GrpcConnection implements SessionManager {
  readonly authority: string;
  readonly #dial: () => Socket;
  #session: Session | undefined;

  constructor(baseUrl: string, dial: () => Socket) {
    // connect-node compares it without a default port.
    this.authority = new URL(baseUrl).origin;
    this.#dial = dial;
  }

  async request(...request: RequestArguments): Promise<ClientHttp2Stream> {
    if (this.#session?.isUsable !== true) {
      this.#session = new Session(this.authority, this.#dial());
    }
    return this.#session.request(...request);
  }

  // Only keep-alive pings need this; each call has a deadline instead.
  notifyResponseByteRead(): void {}

  hangUp(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }
}

class Session {
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #connected: Promise<void>;
  #failure: unknown;
  #isLeaving = false;
  #streams = 0;

  constructor(authority: string, socket: Socket) {
    this.#socket = socket;
    this.#session = connect(authority, {
      createConnection: () => ("Deno" in globalThis ? withoutFloods(socket) : socket),
      settings: { enablePush: false },
    });
    this.#connected = new Promise((resolve, reject) => {
      // These listeners stay, because both can emit errors long after they were destroyed.
      for (const emitter of [this.#session, socket]) {
        emitter.on("error", (error: unknown) => {
          this.#failure ??= error;
          reject(error);
        });
      }
      this.#session.once("connect", () => {
        socket.unref(); // The deadline of a call keeps the process running, not the connection.
        resolve();
      });
      this.#session.once("close", () => reject(closed()));
    });
    this.#connected.catch(() => {}); // Not awaited after an early hangUp().
    this.#session.once("goaway", () => this.#leave());
    this.#session.setTimeout(IDLE_TIMEOUT_MS, () => this.#session.close());
  }

  get isUsable(): boolean {
    const { closed, destroyed } = this.#session;
    return !(this.#isLeaving || closed || destroyed);
  }

  async request(...[method, path, headers, options]: RequestArguments): Promise<ClientHttp2Stream> {
    await this.#connected;
    // It can be destroyed since its `connect` event.
    if (this.#session.destroyed) throw this.#failure ?? closed();
    const stream = this.#session.request({ ...headers, ":method": method, ":path": path }, options);
    this.#streams += 1;
    stream.once("close", () => {
      this.#streams -= 1;
      if (this.#streams === 0 && this.#isLeaving) this.#end();
    });
    return stream;
  }

  destroy(): void {
    this.#end(new ConnectError("another call gave up the connection", Code.Canceled));
  }

  /** Open streams may finish: https://www.rfc-editor.org/rfc/rfc9113#section-6.8 */
  #leave(): void {
    this.#isLeaving = true;
    if (this.#streams === 0) this.#end();
  }

  /** Deferred: Deno crashes when a session is destroyed while it reads frames, as in its events. */
  #end(reason?: Error): void {
    setImmediate(() => {
      this.#session.destroy(reason, constants.NGHTTP2_CANCEL);
      // Bun keeps a socket whose TLS handshake is unanswered.
      this.#socket.destroy();
    });
  }
}

function closed(): Error {
  return Object.assign(new Error("the connection was closed"), { code: "ECONNRESET" });
}
