import type { CommonConfig } from "../cli/flags/common.ts";
import type { Registry } from "../core/types.ts";
import { loadRegistry, openRegistry, type RegistryOptions } from "../registries/open.ts";
import { withPollDeadline } from "../registries/timeout.ts";
import type { CommandContext } from "./context.ts";

type Config = Pick<CommonConfig, "registry" | "slot" | "calver">;

/** `--slot` and `--calver` override the options of the registry's URL. */
function optionsOf({ slot, calver }: Config, { io, registries }: CommandContext): RegistryOptions {
  return { ...io, registries, slot, calver };
}

export function loadConfigured(config: Config, context: CommandContext) {
  return loadRegistry(config.registry, optionsOf(config, context));
}

/** Opens the registry of a command line, with a limit on how long a question may take. */
export async function openConfigured(config: Config, context: CommandContext): Promise<Registry> {
  const { registry } = await loadConfigured(config, context);
  return withPollDeadline(registry, context.clock);
}

/** The same, but the registry is opened at its first question. */
export function openConfiguredLater(config: Config, context: CommandContext): Registry {
  const registry = openRegistry(config.registry, optionsOf(config, context));
  return withPollDeadline(registry, context.clock);
}
