import { ConfigError } from "../../core/error.ts";

/** `host` is an IP address without brackets, or a name; `undefined` for every address. */
export type ListenSpec =
  | { kind: "tcp"; host: string | undefined; port: number }
  | { kind: "unix"; path: string };

const MAX_PORT = 65_535;
/** So that a typo (`80-8080`) does not open eight thousand sockets. */
const MAX_RANGE = 100;
/** https://man7.org/linux/man-pages/man7/unix.7.html: 108 bytes with a NUL at the end. */
export const MAX_PATH_BYTES = 107;

/** Returns TCP by port and host, then unix sockets in the order given, without duplicates. */
export function parseListenSpecs(values: readonly string[]): readonly ListenSpec[] {
  const specs = new Map<string, ListenSpec>();
  for (const value of values) {
    for (const spec of parseList(value)) specs.set(formatListenSpec(spec), spec);
  }
  return [...specs.values()].sort(compare);
}

/** As a value of `--port`. */
export function formatListenSpec(spec: ListenSpec): string {
  if (spec.kind === "unix") return `unix:${spec.path}`;
  if (spec.host === undefined) return String(spec.port);
  return spec.host.includes(":") ? `[${spec.host}]:${spec.port}` : `${spec.host}:${spec.port}`;
}

/** As in `SERVER_STARTER_PORT`: https://metacpan.org/pod/Server::Starter */
export function socketName(spec: ListenSpec): string {
  return spec.kind === "unix" ? spec.path : formatListenSpec(spec);
}

export function parseSocketName(name: string): ListenSpec {
  const tcp = /^(?:\[(?<six>[^\]]+)\]:|(?<host>[^/:]+):)?(?<port>\d+)$/.exec(name)?.groups;
  if (tcp === undefined) return { kind: "unix", path: name };
  return { kind: "tcp", host: tcp.six ?? tcp.host, port: Number(tcp.port) };
}

const ANY = new Set(["::", "0.0.0.0", undefined]);
const LOOPBACK = new Set(["::1", "127.0.0.1", "localhost"]);

/** Whether a socket on the address `real` matches the one that the operator asked for. */
export function serves(asked: ListenSpec, real: ListenSpec): boolean {
  if (asked.kind === "unix") return real.kind === "unix" && real.path === asked.path;
  if (real.kind !== "tcp" || real.port !== asked.port) return false;
  if (asked.host === "localhost") return real.host !== undefined && LOOPBACK.has(real.host);
  return asked.host === real.host || (ANY.has(asked.host) && ANY.has(real.host));
}

function parseList(value: string): ListenSpec[] {
  const parts = value
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  if (parts.length === 0) {
    throw new ConfigError(
      `empty value "${value}"; expected for example 8080, 8000-8005, 127.0.0.1:8080 or unix:/run/app.sock`,
    );
  }
  return parts.flatMap(parseOne);
}

function parseOne(text: string): ListenSpec[] {
  if (text.startsWith("unix:")) return [parseUnix(text)];
  const colon = text.lastIndexOf(":");
  if (colon >= 0) return [parseHostPort(text.slice(0, colon), text.slice(colon + 1), text)];
  if (text.includes("-")) return parseRange(text);
  return [{ kind: "tcp", host: undefined, port: parsePort(text) }];
}

function parseUnix(text: string): ListenSpec {
  const path = text.slice("unix:".length);
  if (path === "" || path.endsWith("/")) {
    throw new ConfigError(`no path of a socket in "${text}"; expected unix:/run/app.sock`);
  }
  if (new TextEncoder().encode(path).length > MAX_PATH_BYTES) {
    throw new ConfigError(
      `the path in "${text}" is too long for a socket: at most ${MAX_PATH_BYTES} bytes`,
    );
  }
  return { kind: "unix", path };
}

function parseHostPort(host: string, port: string, text: string): ListenSpec {
  const bracketed = /^\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]$/.exec(host)?.[1];
  // An IPv6 address without brackets can be cut at any of its colons.
  const name = bracketed ?? (/^[\w.-]+$/.test(host) ? host : undefined);
  if (name === undefined || (bracketed !== undefined && !bracketed.includes(":"))) {
    throw new ConfigError(
      `invalid host in "${text}"; expected such as 127.0.0.1:8080, localhost:8080 or [::]:8080`,
    );
  }
  return { kind: "tcp", host: name.toLowerCase(), port: parsePort(port) };
}

function parseRange(text: string): ListenSpec[] {
  const [first = "", last = "", ...more] = text.split("-").map((part) => part.trim());
  if (first === "" || last === "" || more.length > 0) {
    throw new ConfigError(`invalid port range format: ${text}; expected such as 8000-8005`);
  }
  const [from, to] = [parsePort(first), parsePort(last)];
  if (from > to) {
    throw new ConfigError(
      `invalid port range format: ${text} runs downward; did you mean ${to}-${from}?`,
    );
  }
  const count = to - from + 1;
  if (count > MAX_RANGE) {
    throw new ConfigError(`port range too large (${count} ports), maximum allowed is ${MAX_RANGE}`);
  }
  return Array.from({ length: count }, (_, index) => ({
    kind: "tcp",
    host: undefined,
    port: from + index,
  }));
}

function parsePort(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) {
    throw new ConfigError(`invalid port number: ${text}; expected a number such as 8080`);
  }
  const port = Number(text);
  if (port < 1 || port > MAX_PORT) {
    throw new ConfigError(`port number must be between 1 and ${MAX_PORT}, got ${text}`);
  }
  return port;
}

function compare(a: ListenSpec, b: ListenSpec): number {
  if (a.kind === "unix" || b.kind === "unix") {
    return Number(a.kind === "unix") - Number(b.kind === "unix");
  }
  const [hostA, hostB] = [a.host ?? "", b.host ?? ""];
  return a.port - b.port || Number(hostA > hostB) - Number(hostA < hostB);
}
