import { formatListenSpec, type ListenSpec } from "./listen_spec.ts";

/**
 * Names a socket as `SERVER_STARTER_PORT` does. https://metacpan.org/pod/Server::Starter
 *
 * @param spec where it listens.
 * @returns `8080`, `127.0.0.1:8080`, `[::]:8080` or `/run/app.sock`.
 */
export function socketName(spec: ListenSpec): string {
  return spec.kind === "unix" ? spec.path : formatListenSpec(spec);
}

/**
 * Reads a name back.
 *
 * @param name as {@link socketName} writes it.
 * @returns where the socket listens.
 */
export function parseSocketName(name: string): ListenSpec {
  const tcp = /^(?:\[(?<six>[^\]]+)\]:|(?<host>[^/:]+):)?(?<port>\d+)$/.exec(name)?.groups;
  if (tcp === undefined) return { kind: "unix", path: name };
  return { kind: "tcp", host: tcp.six ?? tcp.host, port: Number(tcp.port) };
}

const ANY = new Set(["::", "0.0.0.0", undefined]);
const LOOPBACK = new Set(["::1", "127.0.0.1", "localhost"]);

/**
 * Whether a socket that listens there is what was asked for.
 *
 * @param asked what the operator wrote.
 * @param real where the socket listens.
 * @returns true when the port and the kind of address agree.
 */
export function serves(asked: ListenSpec, real: ListenSpec): boolean {
  if (asked.kind === "unix") return real.kind === "unix" && real.path === asked.path;
  if (real.kind !== "tcp" || real.port !== asked.port) return false;
  if (asked.host === "localhost") return real.host !== undefined && LOOPBACK.has(real.host);
  return asked.host === real.host || (ANY.has(asked.host) && ANY.has(real.host));
}
