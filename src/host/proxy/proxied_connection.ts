import type { Socket } from "node:net";
import type { BackendSocket } from "./connect_backend.ts";
import { type ExchangeCounts, HttpFraming } from "./http_framing.ts";

/** Between two requests: stay with the backend, move to another one, or close. */
export type Fate = "stays" | "moves" | "ends";

interface ConnectionObserver {
  now(): number;
  readonly exchanges: ExchangeCounts;
  fate(): Fate;
  onBytes(count: number, to: "backend" | "client"): void;
  /** It has released its backend, between two requests. */
  onReleased(): void;
  /** The client sends without a backend: attach one. */
  onWaiting(): void;
  /** The backend has failed: cut the connection once `hasLingered`. */
  onLingering(): void;
  onClosed(): void;
}

/** How long a client has to read what it was sent, before a reset may discard it. */
export const UNREAD_MS = 1_000;
/** The same for a client that keeps sending: https://www.rfc-editor.org/rfc/rfc9112#section-9.6 */
const LONGEST_LINGER_MS = 30_000;

/** Relays bytes, ends, backpressure and errors both ways. */
export class ProxiedConnection {
  readonly client: Socket;
  /** When the last byte was relayed, in milliseconds since the epoch. */
  activeAt: number;
  readonly #observer: ConnectionObserver;
  readonly #framing: HttpFraming;
  #upstream: BackendSocket | undefined;
  #clientSpokeLast = true;
  #isUsed = false;
  #isWaiting = false;
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** Bytes that the client sent while it had no backend. */
  readonly #held: Uint8Array[] = [];
  #failedAt: number | undefined;

  /** The client must be paused. */
  constructor(client: Socket, observer: ConnectionObserver) {
    this.client = client;
    this.#observer = observer;
    this.#framing = new HttpFraming(observer.exchanges);
    this.activeAt = observer.now();
    client.on("error", () => {});
    client.on("close", () => {
      if (hasFailed(client)) resetAfterFlush(this.#upstream);
      this.#reportClosed();
    });
  }

  get isClosed(): boolean {
    return this.client.destroyed;
  }

  get hasBackendEnded(): boolean {
    return this.#upstream?.readableEnded ?? false;
  }

  /**
   * Whether closing it costs an HTTP/1 client nothing: it is between two requests, or before the
   * first. https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1
   */
  get isIdle(): boolean {
    if (this.#isUnused) return true;
    // The client may still be reading the response.
    return this.client.writableLength === 0 && this.#held.length === 0 && this.#framing.isIdle;
  }

  get #isUnused(): boolean {
    return !this.#isUsed && this.#upstream !== undefined;
  }

  /** Whether the client has had time to read the last bytes of a failed backend. */
  get hasLingered(): boolean {
    const now = this.#observer.now();
    const isQuiet = now - this.activeAt >= UNREAD_MS;
    const isLong = now - (this.#failedAt ?? now) >= LONGEST_LINGER_MS;
    return this.client.writableLength === 0 && (isQuiet || isLong);
  }

  attach(upstream: BackendSocket, header?: Uint8Array): void {
    const { client } = this;
    const isFirst = client.listenerCount("data") === 0;
    this.#upstream = upstream;
    this.#isWaiting = false;
    if (isFirst) this.#clientSpokeLast = false;
    this.activeAt = this.#observer.now();
    this.#receiveFromBackend(upstream);
    if (header !== undefined) upstream.write(header);
    if (isFirst) this.#receiveFromClient();
    else
      for (const chunk of [this.#framing.preface, ...this.#held.splice(0)]) upstream.write(chunk);
    if (client.readableEnded) upstream.end();
    client.resume();
  }

  /**
   * Between two requests: releases a backend that is out of rotation. An unused connection gets
   * another one at once, because the backend may speak first. Closes after `Connection: close`.
   */
  moveOn(): void {
    const { client } = this;
    const upstream = this.#upstream;
    const isUnused = this.#isUnused;
    if (upstream === undefined || !(this.#framing.isIdle || isUnused)) return;
    if (this.#framing.isOver) {
      upstream.end();
      client.end();
      return;
    }
    const hasEnded = upstream.destroyed || upstream.readableEnded || client.readableEnded;
    if (hasEnded || upstream.writableLength > 0 || this.#observer.fate() !== "moves") return;
    this.#upstream = undefined;
    upstream.destroy();
    client.resume();
    this.#observer.onReleased();
    if (isUnused) this.#wait();
  }

  /**
   * Closes with a reset, so that the client cannot mistake half a response for a whole one; in
   * order if the backend spoke last, which is most likely between two requests.
   */
  cut(): void {
    const { client } = this;
    const isQuiet =
      !this.#clientSpokeLast && this.#failedAt === undefined && client.writableLength === 0;
    const end = isQuiet ? (socket: Socket) => socket.destroy() : reset;
    end(client);
    if (this.#upstream === undefined) return;
    this.#framing.interrupt();
    end(this.#upstream);
  }

  #receiveFromClient(): void {
    const { client } = this;
    const observer = this.#observer;
    client.on("data", (chunk: Uint8Array) => {
      this.activeAt = observer.now();
      this.#isUsed = this.#clientSpokeLast = true;
      this.#framing.request(chunk);
      const upstream = this.#upstream;
      if (upstream === undefined) this.#hold(chunk);
      else if (!upstream.destroyed) {
        observer.onBytes(chunk.byteLength, "backend");
        if (!upstream.write(chunk)) client.pause();
      }
    });
    client.on("drain", () => {
      this.activeAt = observer.now();
      this.#upstream?.resume();
    });
    client.on("end", () => {
      this.activeAt = observer.now();
      if (this.#upstream !== undefined) this.#upstream.end();
      else if (this.#held.length === 0) client.end();
    });
  }

  #hold(chunk: Uint8Array): void {
    this.#held.push(chunk);
    this.#wait();
  }

  #wait(): void {
    this.client.pause();
    if (!this.#isWaiting) this.#observer.onWaiting();
    this.#isWaiting = true;
  }

  #receiveFromBackend(upstream: BackendSocket): void {
    const { client } = this;
    const observer = this.#observer;
    const on = (event: string, receive: (chunk: Uint8Array) => void): void => {
      upstream.on(event, (chunk: Uint8Array) => {
        if (upstream !== this.#upstream) return;
        this.activeAt = observer.now();
        receive(chunk);
      });
    };
    upstream.on("error", () => {});
    on("data", (chunk) => {
      this.#answeredAt = this.activeAt;
      this.#isUsed = true;
      this.#clientSpokeLast = false;
      const sent = this.#framing.response(chunk, observer.fate() === "ends");
      observer.onBytes(sent.byteLength, "client");
      if (!client.write(sent)) upstream.pause();
      this.moveOn();
    });
    on("drain", () => {
      client.resume();
      this.moveOn();
    });
    on("end", () => {
      if (!this.#clientSpokeLast) this.#framing.end();
      else if (!client.readableEnded) this.#framing.interrupt();
      if (upstream.isDeaf) upstream.destroy();
      else client.end();
    });
    on("close", () => {
      if (hasFailed(upstream) || upstream.isDeaf) this.#fail();
      this.#reportClosed();
    });
  }

  /** Keeps reading: otherwise the client might see a reset instead of the response. */
  #fail(): void {
    const { client } = this;
    if (client.destroyed) return;
    this.#framing.interrupt();
    this.#failedAt = this.#observer.now();
    client.resume();
    const isRead = client.writableLength === 0 && this.#failedAt - this.#answeredAt >= UNREAD_MS;
    if (isRead) reset(client);
    else this.#observer.onLingering();
  }

  #reportClosed(): void {
    if (this.client.closed && (this.#upstream?.closed ?? true)) this.#observer.onClosed();
  }
}

/** An orderly end was relayed already; everything else is a reset. */
function hasFailed(socket: Socket): boolean {
  return !socket.readableEnded || Boolean(socket.errored);
}

/** The bytes that one side sent before it failed still reach the other one. */
function resetAfterFlush(socket: Socket | undefined): void {
  if (socket === undefined || socket.destroyed) return;
  socket.pause();
  if (socket.writableLength === 0) reset(socket);
  else if (socket.writableEnded) socket.once("finish", () => reset(socket));
  else socket.write("", () => reset(socket));
}

/** The peer sees ECONNRESET, over a unix socket an end. */
function reset(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    socket.destroy();
  }
}
