import type { Socket } from "node:net";
import type { BackendSocket } from "./connect_backend.ts";
import { HttpFraming } from "./http_framing.ts";

/**
 * What is to become of a connection between two requests: its backend stays, or leaves while there are others, or
 * leaves without a successor.
 */
export type Fate = "stays" | "moves" | "ends";

/** Receives what a {@link ProxiedConnection} does. */
export interface ConnectionObserver {
  /** The time, in milliseconds since the epoch. */
  now(): number;
  fate(): Fate;
  /** Bytes were handed on, to the backend or to the client. */
  onBytes(count: number, to: "backend" | "client"): void;
  /** It has let go of its backend, between two requests. */
  onReleased(): void;
  /** The client speaks, and there is no backend: {@link ProxiedConnection.attach} it to one. */
  onWaiting(): void;
  /** The backend has failed: {@link ProxiedConnection.cut} it once {@link ProxiedConnection.hasLingered}. */
  onLingering(): void;
  /** Both sockets are closed. */
  onClosed(): void;
}

/** How long a client has to read what it was sent, before a reset may take it away. */
export const UNREAD_MS = 1_000;
/** The same for a client that goes on sending: https://www.rfc-editor.org/rfc/rfc9112#section-9.6 */
const LONGEST_LINGER_MS = 30_000;

/**
 * A client, and the backend it is connected with: bytes, ends, pressure and errors of one side become those of the
 * other.
 */
export class ProxiedConnection {
  /** The client's side. */
  readonly client: Socket;
  /** When the last byte was handed on, in milliseconds since the epoch. */
  activeAt: number;
  readonly #observer: ConnectionObserver;
  readonly #framing = new HttpFraming();
  #upstream: BackendSocket | undefined;
  #clientSpokeLast = true;
  /** Whether any byte has gone either way. */
  #isUsed = false;
  #isWaiting = false;
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** What the client has sent while it had no backend. */
  readonly #held: Uint8Array[] = [];
  #failedAt: number | undefined;

  /**
   * Takes a client, which must be paused.
   *
   * @param client the socket.
   * @param observer is told what happens.
   */
  constructor(client: Socket, observer: ConnectionObserver) {
    this.client = client;
    this.#observer = observer;
    this.activeAt = observer.now();
    client.on("error", () => {});
    client.on("close", () => {
      if (hasFailed(client)) resetAfterFlush(this.#upstream);
      this.#look();
    });
  }

  /** Whether the client has gone. */
  get isOver(): boolean {
    return this.client.destroyed;
  }

  /** Whether the backend has said that it sends nothing any more. */
  get hasBackendEnded(): boolean {
    return this.#upstream?.readableEnded ?? false;
  }

  /**
   * Whether it is certainly between two requests of HTTP/1, or before the first one, so that a client that is fit for
   * HTTP loses nothing when it is closed: https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1
   */
  get isIdle(): boolean {
    if (this.#isUnused) return true;
    // A client may still be busy with the response.
    return this.client.writableLength === 0 && this.#held.length === 0 && this.#framing.isIdle;
  }

  get #isUnused(): boolean {
    return !this.#isUsed && this.#upstream !== undefined;
  }

  /** Whether the client has had time to read what the backend sent before it failed. */
  get hasLingered(): boolean {
    const now = this.#observer.now();
    const isQuiet = now - this.activeAt >= UNREAD_MS;
    const isLong = now - (this.#failedAt ?? now) >= LONGEST_LINGER_MS;
    return this.client.writableLength === 0 && (isQuiet || isLong);
  }

  /**
   * Connects the client with a backend.
   *
   * @param upstream the socket to the backend.
   * @param header what the backend is told before the client's first byte.
   */
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
   * Lets go of a backend that leaves, if it is between two requests: the next one goes to another backend. Does so at once
   * if it is not used yet: then the backend may be the one to speak first. Ends, if the client was told so.
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
   * Ends the connection now. Where the backend spoke last, the client sees an orderly end: most likely it is between
   * two requests. Else it sees a reset, so that it cannot take half an answer for a whole one.
   */
  cut(): void {
    const { client } = this;
    const isQuiet =
      !this.#clientSpokeLast && this.#failedAt === undefined && client.writableLength === 0;
    const end = isQuiet ? (socket: Socket) => socket.destroy() : reset;
    end(client);
    if (this.#upstream !== undefined) end(this.#upstream);
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
        // It was let go of.
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
      if (upstream.isDeaf) upstream.destroy();
      else client.end();
    });
    on("close", () => {
      if (hasFailed(upstream) || upstream.isDeaf) this.#fail();
      this.#look();
    });
  }

  /** What the client still sends is of no use, but is read: else it might see a reset instead of the response. */
  #fail(): void {
    const { client } = this;
    if (client.destroyed) return;
    this.#failedAt = this.#observer.now();
    client.resume();
    const isRead = client.writableLength === 0 && this.#failedAt - this.#answeredAt >= UNREAD_MS;
    if (isRead) reset(client);
    else this.#observer.onLingering();
  }

  #look(): void {
    if (this.client.closed && (this.#upstream?.closed ?? true)) this.#observer.onClosed();
  }
}

/** A side that ended in order has told the other one so already; all else is a reset. */
function hasFailed(socket: Socket): boolean {
  return !socket.readableEnded || Boolean(socket.errored);
}

/** What one side sent before it failed still reaches the other one. */
function resetAfterFlush(socket: Socket | undefined): void {
  if (socket === undefined || socket.destroyed) return;
  socket.pause();
  if (socket.writableLength === 0) reset(socket);
  else if (socket.writableEnded) socket.once("finish", () => reset(socket));
  else socket.write("", () => reset(socket));
}

/** The peer sees ECONNRESET; a unix socket knows no reset, its peer sees an end. */
function reset(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    socket.destroy();
  }
}
