import { Socket } from "node:net";
import type { Backend } from "./backend.ts";
import type { Deadlines } from "./deadlines.ts";

type Done = (error?: Error | null) => void;

/** Survives a failed write: a server may answer and close before it has read the request. */
export class BackendSocket extends Socket {
  /** Whether the backend no longer reads; writes are dropped. */
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

/** Returns a socket without listeners, from which nothing has been read. */
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
      // A late error of an abandoned socket must not end the process.
      socket.on("error", () => {}).destroy();
      reject(error);
    };
    const onClose = (): void => onError(new Error("the connection was closed"));
    socket.on("connect", onConnect).on("error", onError).on("close", onClose);
    deadlines.add(socket);
    socket.connect({ host, port });
  });
}
