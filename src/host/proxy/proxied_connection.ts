import type { Socket } from "node:net";
import { HttpExchange } from "./http_farewell.ts";

/** Hears what a {@link ProxiedConnection} does. */
export interface ConnectionObserver {
  /** The time, in milliseconds since the epoch. */
  now(): number;
  /** Whether the connection is to end soon: its backend leaves, or the proxy does. */
  isLeaving(): boolean;
  /** Bytes were handed on, to the backend or to the client. */
  onBytes(count: number, to: "backend" | "client"): void;
  /** Both sockets are closed. */
  onClosed(connection: ProxiedConnection): void;
}

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
  #upstream: Socket | undefined;
  #lastHeard: Socket | undefined;
  readonly #exchange = new HttpExchange();

  /**
   * Takes a client, which must be paused.
   *
   * @param client the socket.
   * @param observer hears what happens.
   */
  constructor(client: Socket, observer: ConnectionObserver) {
    this.client = client;
    this.#observer = observer;
    this.activeAt = observer.now();
    client.on("error", () => {});
    client.on("close", () => this.#onClose(client, this.#upstream));
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
   * Whether it is certainly between two requests of HTTP/1, so that a client that is fit for HTTP loses nothing when it is
   * closed: https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1
   */
  get isBetweenRequests(): boolean {
    // A client may still be busy with the answer.
    const isSent = this.client.writableLength === 0;
    return isSent && this.#lastHeard === this.#upstream && this.#exchange.isOver;
  }

  /**
   * Connects the client with a backend.
   *
   * @param upstream the socket to the backend.
   * @param header what the backend is told before the client's first byte.
   */
  attach(upstream: Socket, header?: Uint8Array): void {
    const { client } = this;
    this.#upstream = upstream;
    this.activeAt = this.#observer.now();
    upstream.on("error", () => {});
    upstream.on("close", () => this.#onClose(upstream, client));
    if (header !== undefined) upstream.write(header);
    this.#forward(client, upstream, "backend");
    this.#forward(upstream, client, "client");
    client.resume();
  }

  /**
   * Ends the connection now. Where the backend spoke last, the client sees an orderly end: most likely it is between
   * two requests. Else it sees a reset, so that it cannot take half an answer for a whole one.
   */
  cut(): void {
    const { client } = this;
    const upstream = this.#upstream;
    const isQuiet =
      upstream !== undefined && this.#lastHeard === upstream && client.writableLength === 0;
    const end = isQuiet ? (socket: Socket) => socket.destroy() : reset;
    end(client);
    if (upstream !== undefined) end(upstream);
  }

  #forward(from: Socket, to: Socket, receiver: "backend" | "client"): void {
    const observer = this.#observer;
    from.on("data", (chunk: Uint8Array) => {
      this.activeAt = observer.now();
      const sent = this.#heard(from, chunk);
      observer.onBytes(sent.byteLength, receiver);
      if (!to.write(sent)) from.pause();
    });
    to.on("drain", () => {
      this.activeAt = observer.now();
      from.resume();
    });
    from.on("end", () => {
      this.activeAt = observer.now();
      to.end();
    });
  }

  /** @returns what the other side gets: the same bytes, but for the farewell of a backend that leaves. */
  #heard(from: Socket, chunk: Uint8Array): Uint8Array {
    const isNext = this.#lastHeard !== from;
    this.#lastHeard = from;
    if (from === this.client) {
      this.#exchange.asked(chunk, isNext);
      return chunk;
    }
    this.#exchange.answered(chunk);
    if (!isNext || !this.#observer.isLeaving()) return chunk;
    return this.#exchange.withClose(chunk) ?? chunk;
  }

  /** A side that ended in order has told the other one so already; all else is a reset. */
  #onClose(socket: Socket, other: Socket | undefined): void {
    if (!socket.readableEnded || socket.errored) resetAfterFlush(other);
    if (this.client.closed && (this.#upstream?.closed ?? true)) this.#observer.onClosed(this);
  }
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
