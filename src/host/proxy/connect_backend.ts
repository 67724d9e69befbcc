import { connect, type Socket } from "node:net";
import type { Backend } from "./backend.ts";
import type { Deadlines } from "./deadlines.ts";

/**
 * Connects to a backend.
 *
 * @param backend where to.
 * @param deadlines ends the attempt when it takes too long: it is given the socket, to destroy it with an error.
 * @returns the socket, with neither listeners nor data read.
 * @throws the system's error, such as ECONNREFUSED.
 */
export function connectBackend(backend: Backend, deadlines: Deadlines<Socket>): Promise<Socket> {
  const { host, port } = backend;
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
  return new Promise((resolve, reject) => {
    const forget = (): void => {
      deadlines.delete(socket);
      socket.off("connect", onConnect).off("error", onError).off("close", onClose);
    };
    const onConnect = (): void => {
      forget();
      resolve(socket);
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
  });
}
