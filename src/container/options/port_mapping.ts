/**
 * Which port of a container is reached at which port of this machine, as people write it.
 *
 * @module
 */
import { ConfigError } from "../../core/error.ts";
import {
  formatListenSpec,
  type ListenSpec,
  parseListenSpecs,
} from "../../host/sockets/listen_spec.ts";

/** One port of the proxy, and the port of the containers behind it. */
export interface PortMapping {
  /** Where the proxy listens. */
  listen: ListenSpec;
  /** The port inside the containers; `undefined`: the only one that the image exposes. */
  containerPort: number | undefined;
}

/** What {@link parsePortMappings} is told besides the ports. */
export interface PortMappingOptions {
  /** The port inside the containers where a mapping names none; `undefined`: the image says it. */
  containerPort: number | undefined;
  /** The addresses to listen on; none: every address of this machine. */
  hosts: readonly string[];
}

/**
 * Reads the values of `--port`: `8080` or `8080:3000`. Blanks around a port are ignored.
 *
 * @param values what was typed, one entry a flag.
 * @param options what holds for all of them.
 * @returns the mappings, one for each port and address, in the order typed.
 * @throws ConfigError for what is none, and for a port of the proxy that is there twice.
 */
export function parsePortMappings(
  values: readonly string[],
  { containerPort, hosts }: PortMappingOptions,
): readonly PortMapping[] {
  const pairs = values.map(parsePair);
  const taken = new Set<number>();
  for (const [proxy] of pairs) {
    if (taken.has(proxy)) throw new ConfigError(`duplicate proxy port: ${proxy}`);
    taken.add(proxy);
  }
  return pairs.flatMap(([proxy, inside = containerPort]) =>
    listenSpecs(proxy, hosts).map((listen) => ({ listen, containerPort: inside })),
  );
}

/**
 * Says where a port is listened on.
 *
 * @param port the port.
 * @param hosts the addresses; none: every address of this machine.
 * @returns one for each address.
 * @throws ConfigError for what is no address.
 */
export function listenSpecs(port: number, hosts: readonly string[]): readonly ListenSpec[] {
  if (hosts.length === 0) return [{ kind: "tcp", host: undefined, port }];
  return parseListenSpecs(hosts.map((host) => `${bracketed(host)}:${port}`));
}

/**
 * Writes a mapping for people.
 *
 * @param mapping the mapping.
 * @returns such as `8080:3000` or `127.0.0.1:8080`.
 */
export function formatPortMapping({ listen, containerPort }: PortMapping): string {
  const where = formatListenSpec(listen);
  return containerPort === undefined ? where : `${where}:${containerPort}`;
}

function bracketed(host: string): string {
  return host.split(":").length > 2 && !host.startsWith("[") ? `[${host}]` : host;
}

function parsePair(text: string): [proxy: number, inside?: number] {
  // A --port without a port is a mistake, such as an unset variable.
  if (text.trim() === "") throw new ConfigError("no valid port mappings specified");
  const [proxy = "", inside, ...more] = text.split(":").map((part) => part.trim());
  if (more.length > 0) {
    throw new ConfigError(
      `invalid port mapping format: ${text} (expected proxy:container); an address to listen on goes to --host`,
    );
  }
  if (inside === undefined) return [parsePort(proxy)];
  return [parsePort(proxy), parsePort(inside)];
}

function parsePort(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    const isList = /^\d+([,-]\d+)+$/.test(text);
    const hint = isList
      ? "give each port a --port of its own"
      : "expected such as 8080 or 8080:3000";
    throw new ConfigError(`invalid port: ${text}; ${hint}`);
  }
  const port = Number(text);
  if (port < 1 || port > 65_535) {
    throw new ConfigError(`invalid port: port number must be between 1 and 65535, got ${text}`);
  }
  return port;
}
