import { Socket } from "node:net";
import type { Backend } from "./backend.ts";
import type { Deadlines } from "./deadlines.ts";

type Done = (error?: Error | null) => void;

/**
 * A connection to a backend that survives a failed write: a server may answer before it has read a request, and close
 * the connection. A plain socket would then be destroyed together with the response that waits in it.
 */
export class BackendSocket extends Socket {
  /** Whether the backend takes nothing any more; what is written goes nowhere. */
  isDeaf = false;

  override _write(chunk: unknown, encoding: BufferEncoding, done: Done): void {
    if (this.isDeaf) done();
    else super._write(chunk, encoding, (error) => this.#written(error, done));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], done: Done): void {
    if (this.isDeaf) done();
    else super._writev?.(chunks, (error) => this.#written(error, done));
  }

  #written(error: Error | null | undefined, done: Done): void {
    this.isDeaf ||= error !== undefined && error !== null;
    done();
    if (this.isDeaf && this.readableEnded) this.destroy();
  }
}

/**
 * Connects to a backend.
 *
 * @param backend where to.
 * @param deadlines ends the attempt when it takes too long: it is given the socket, to destroy it with an error.
 * @returns the socket, with neither listeners nor data read.
 * @throws the system's error, such as ECONNREFUSED.
 */
export function connectBackend(
  backend: Backend,
  deadlines: Deadlines<Socket>,
): Promise<BackendSocket> {
  const { host, port } = backend;
  const socket = new BackendSocket({ allowHalfOpen: true });
  return new Promise((resolve, reject) => {
    const forget = (): void => {
      deadlines.delete(socket);
      socket.off("connect", onConnect).off("error", onError).off("close", onClose);
    };
    const onConnect = (): void => {
      forget();
      resolve(socket.setNoDelay());
    };
    const onError = (error: Error): void => {
      forget();
      // A late error of a socket that nobody has any more must not end the process.
      socket.on("error", () => {}).destroy();
      reject(error);
    };
    const onClose = (): void => onError(new Error("the connection was closed"));
    socket.on("connect", onConnect).on("error", onError).on("close", onClose);
    deadlines.add(socket);
    socket.connect({ host, port });
  });
}
