import { unlink } from "node:fs/promises";
import type { Server } from "node:net";
import { HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { hasCode } from "../files/file_error.ts";
import { bindError } from "../sockets/bind_error.ts";
import { freeUnixPath } from "../sockets/listeners.ts";

/** An address and port, a unix socket, or an inherited listening socket. */
export type ProxyAddress =
  | {
      /** `undefined` for every address, IPv6 and IPv4. */
      host: string | undefined;
      /** 0 for any free port. */
      port: number;
    }
  | {
      path: string;
    }
  | {
      fd: number;
    };

// The kernel takes the smaller of this and net.core.somaxconn.
const BACKLOG = 4_096;

/** Replaces a unix socket that no process listens on. */
export async function listenAddress(server: Server, address: ProxyAddress): Promise<void> {
  try {
    await listen(server, address);
  } catch (cause) {
    if (!("path" in address) || !hasCode(cause, "EADDRINUSE")) throw refusal(address, cause);
    await freeUnixPath({ kind: "unix", path: address.path });
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
    else server.listen({ ...address, backlog: BACKLOG }, onListening);
  });
}

function refusal(address: ProxyAddress, cause: unknown): Error {
  if ("path" in address) return bindError({ kind: "unix", path: address.path }, cause);
  if ("port" in address) return bindError({ kind: "tcp", ...address }, cause);
  return new HostError(`Cannot listen on inherited socket ${address.fd}: ${messageOf(cause)}`, {
    cause,
  });
}
