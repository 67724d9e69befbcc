import { ConfigError } from "../../core/error.ts";
import type { PortMapping } from "./port_mapping.ts";

/**
 * Says which ports of a container stand behind the ports of the proxy.
 *
 * @param mappings what the operator typed; none: the only port that the image exposes.
 * @param exposed the TCP ports that the image exposes.
 * @returns one for each mapping, or the only one.
 * @throws ConfigError when the image had to say it, and does not.
 */
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
