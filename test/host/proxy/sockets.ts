import { connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import type { Backend } from "../../../src/host/proxy/backend.ts";
import { freePort } from "../../peers/ports.ts";

/** A backend of the test's own. */
export interface TestBackend {
  /** Where it is. */
  backend: Backend;
  /** Every connection so far. */
  sockets: Socket[];
  /** Resolves with the next connection. */
  accepted(): Promise<Socket>;
}

/**
 * Starts a TCP server that ends with the test.
 *
 * @param onSocket handles a connection; defaults to doing nothing.
 * @param options its address and name.
 */
export async function startBackend(
  onSocket: (socket: Socket) => void = () => {},
  options: { host?: string; name?: string } = {},
): Promise<TestBackend> {
  const { host = "127.0.0.1", name } = options;
  const sockets: Socket[] = [];
  const unclaimed: Socket[] = [];
  const waiting: ((socket: Socket) => void)[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
    const claim = waiting.shift();
    if (claim === undefined) unclaimed.push(socket);
    else claim(socket);
    onSocket(socket);
  });
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const accepted = (): Promise<Socket> => {
    const socket = unclaimed.shift();
    if (socket !== undefined) return Promise.resolve(socket);
    return new Promise((resolve) => waiting.push(resolve));
  };
  const port = await listening(server, host);
  const backend = { host, port, ...(name === undefined ? {} : { name }) };
  return { backend, sockets, accepted };
}

/** Listens on a free port. */
export function listening(server: Server, host = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("no port"));
      else resolve(address.port);
    });
  });
}

/** A port that nothing listens on. */
export async function deadBackend(): Promise<Backend> {
  return { host: "127.0.0.1", port: await freePort() };
}

/** Connects; the socket ends with the test, and its errors are kept for {@link closed}. */
export function connected(to: { host: string; port: number } | { path: string }): Promise<Socket> {
  const socket = connect({ ...to, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.once("connect", () => resolve(socket));
  });
}

/** The next bytes, at least so many. */
export function received(socket: Socket, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let total = 0;
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      total += chunk.length;
      if (total < length) return;
      socket.off("data", onData);
      resolve(Buffer.concat(chunks));
    };
    socket.on("data", onData);
    socket.once("close", () => reject(new Error(`closed after ${total} of ${length} bytes`)));
  });
}

/** Everything up to the end of what the peer sends. */
export function untilEnd(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.once("end", () => resolve(Buffer.concat(chunks).toString()));
    socket.once("error", reject);
  });
}

/** How a connection ended: the code of its error, or `end`. */
export function closed(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let how = "end";
    socket.once("error", (error: NodeJS.ErrnoException) => {
      how = error.code ?? error.message;
    });
    socket.once("end", () => socket.end());
    socket.once("close", () => resolve(how));
    socket.resume();
  });
}

/** Asks until a condition holds; the test's own timeout ends it. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
