import { ConfigError } from "../../core/error.ts";
import { type ListenSpec, parseListenSpecs } from "../../host/sockets/listen_spec.ts";

/** A port of the proxy, and the container port behind it. */
export interface PortMapping {
  listen: ListenSpec;
  /** Defaults to the only port that the image exposes. */
  containerPort: number | undefined;
}

/**
 * Parses `8080` or `8080:3000`. Returns one mapping for each port and address, in order.
 *
 * @param defaults The container port for values without one, and the addresses to listen on.
 */
export function parsePortMappings(
  values: readonly string[],
  defaults: Pick<PortMapping, "containerPort"> & { hosts: readonly string[] },
): readonly PortMapping[] {
  const { containerPort, hosts } = defaults;
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

export function listenSpecs(port: number, hosts: readonly string[]): readonly ListenSpec[] {
  if (hosts.length === 0) return [{ kind: "tcp", host: undefined, port }];
  return parseListenSpecs(hosts.map((host) => `${bracketed(host)}:${port}`));
}

/** The container port for each mapping, or the only exposed port without mappings. */
export function containerPorts(
  mappings: readonly Pick<PortMapping, "containerPort">[],
  exposed: readonly number[],
): readonly number[] {
  if (mappings.length === 0) return [onlyPort(exposed)];
  return mappings.map(({ containerPort }) => containerPort ?? onlyPort(exposed));
}

function onlyPort(exposed: readonly number[]): number {
  const [first] = exposed;
  if (first === undefined) {
    throw new ConfigError(
      "the image does not expose any TCP port; say which one it listens on: --container-port 3000, or --port 8080:3000",
    );
  }
  if (exposed.length > 1) {
    throw new ConfigError(
      `the image exposes several ports (${exposed.join(", ")}); say which one it is: --container-port ${first}, or --port 8080:${first}`,
    );
  }
  return first;
}

function bracketed(host: string): string {
  return host.split(":").length > 2 && !host.startsWith("[") ? `[${host}]` : host;
}

function parsePair(text: string): [proxy: number, inside: number | undefined] {
  // An empty value is a mistake, such as an unset variable.
  if (text.trim() === "") throw new ConfigError("no valid port mappings specified");
  const [proxy = "", inside, ...more] = text.split(":").map((part) => part.trim());
  if (more.length > 0) {
    throw new ConfigError(
      `invalid port mapping format: ${text} (expected proxy:container); use --host to set the address to listen on`,
    );
  }
  return [parsePort(proxy), inside === undefined ? undefined : parsePort(inside)];
}

function parsePort(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    const isList = /^\d+([,-]\d+)+$/.test(text);
    const hint = isList
      ? "repeat --port for each port"
      : "expected a port such as 8080, or 8080:3000";
    throw new ConfigError(`invalid port: ${text}; ${hint}`);
  }
  const port = Number(text);
  if (port < 1 || port > 65_535) {
    throw new ConfigError(`invalid port: port number must be between 1 and 65535, got ${text}`);
  }
  return port;
}
