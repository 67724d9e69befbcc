import { unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { hasCode } from "../files/file_error.ts";
import { bindError } from "../sockets/bind_error.ts";

/** Where a proxy listens: an address and a port, a unix socket, or a listening socket that was inherited. */
export type ProxyAddress =
  | {
      /** The address; every one, IPv6 and IPv4, when `undefined`. */
      host: string | undefined;
      /** The port; 0 for any that is free. */
      port: number;
    }
  | {
      /** The path of a unix socket. */
      path: string;
    }
  | {
      /** The file descriptor of a listening socket. */
      fd: number;
    };

// The kernel takes the smaller of this and net.core.somaxconn.
const BACKLOG = 4_096;

/**
 * Lets a server listen; a unix socket that a process left behind is removed first.
 *
 * @param server the server.
 * @param address where.
 * @throws HostError when the address cannot be had; ConfigError when it is none of this machine.
 */
export async function listenAddress(server: Server, address: ProxyAddress): Promise<void> {
  try {
    await listen(server, address);
  } catch (cause) {
    if (!("path" in address) || !hasCode(cause, "EADDRINUSE") || (await isAlive(address.path))) {
      throw refusal(address, cause);
    }
    await unlink(address.path).catch(() => {});
    await listen(server, address).catch((error) => {
      throw refusal(address, error);
    });
  }
}

function listen(server: Server, address: ProxyAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error): void => reject(error);
    server.once("error", onError);
    const onListening = (): void => {
      server.off("error", onError);
      resolve();
    };
    if ("fd" in address) server.listen({ fd: address.fd }, onListening);
    else if ("path" in address)
      server.listen({ path: address.path, backlog: BACKLOG }, onListening);
    else {
      const host = address.host === undefined ? {} : { host: address.host };
      server.listen({ ...host, port: address.port, backlog: BACKLOG }, onListening);
    }
  });
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

function refusal(address: ProxyAddress, cause: unknown): Error {
  if ("path" in address) return bindError({ kind: "unix", path: address.path }, cause);
  if ("port" in address) return bindError({ kind: "tcp", ...address }, cause);
  return new HostError(`Cannot listen on inherited socket ${address.fd}: ${messageOf(cause)}`, {
    cause,
  });
}
