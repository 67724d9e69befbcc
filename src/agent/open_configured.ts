import type { CommonConfig } from "../cli/flags/common.ts";
import type { Registry } from "../core/types.ts";
import { openRegistry } from "../registries/open.ts";
import { withPollDeadline } from "../registries/poll_deadline.ts";
import type { World } from "./context.ts";

/**
 * Opens the registry of a command line: `--slot` and `--calver` win over the URL's options.
 *
 * @param config the registry's URL and its options.
 * @param world the network, the drivers and this machine.
 * @returns the registry.
 * @throws ConfigError for a URL or option that cannot be used.
 */
export function openConfigured(
  config: Pick<CommonConfig, "registry" | "slot" | "calver">,
  world: World,
): Registry {
  const registry = openRegistry(config.registry, {
    ...world.io,
    registries: world.registries,
    ...(config.slot === undefined ? {} : { slot: config.slot }),
    ...(config.calver === undefined ? {} : { calver: config.calver }),
  });
  return withPollDeadline(registry, world.clock);
}
