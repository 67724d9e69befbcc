import { unlink } from "node:fs/promises";
import type { Server } from "node:net";
import { HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { hasCode } from "../files/file_error.ts";
import { bindError } from "../sockets/bind_error.ts";
import { freeUnixPath } from "../sockets/listeners.ts";

/** Without a host, every address; `fd` is an inherited listening socket. */
export type ProxyAddress =
  | { host: string | undefined; port: number }
  | { path: string }
  | { fd: number };

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
    server.once("error", reject);
    const options = "fd" in address ? { fd: address.fd } : { ...address, backlog: BACKLOG };
    server.listen(options, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function refusal(address: ProxyAddress, cause: unknown): Error {
  if ("path" in address) return bindError({ kind: "unix", path: address.path }, cause);
  if ("port" in address) return bindError({ kind: "tcp", ...address }, cause);
  return new HostError(`Cannot listen on inherited socket ${address.fd}: ${messageOf(cause)}`, {
    cause,
  });
}
