import type { CommonConfig } from "../cli/flags/common.ts";
import type { Registry } from "../core/types.ts";
import { openRegistry } from "../registries/open.ts";
import { withPollDeadline } from "../registries/poll_deadline.ts";
import type { CommandContext } from "./context.ts";

/**
 * Opens the registry of a command line: `--slot` and `--calver` win over the URL's options.
 *
 * @param config the registry's URL and its options.
 * @returns the registry.
 * @throws ConfigError for a URL or option that cannot be used.
 */
export function openConfigured(
  config: Pick<CommonConfig, "registry" | "slot" | "calver">,
  context: CommandContext,
): Registry {
  const registry = openRegistry(config.registry, {
    ...context.io,
    registries: context.registries,
    ...(config.slot === undefined ? {} : { slot: config.slot }),
    ...(config.calver === undefined ? {} : { calver: config.calver }),
  });
  return withPollDeadline(registry, context.clock);
}
