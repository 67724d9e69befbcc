import type { CommonConfig } from "../cli/flags/common.ts";
import type { Registry } from "../core/types.ts";
import { loadRegistry, type RegistryOptions } from "../registries/load.ts";
import { withPollDeadline } from "../registries/timeout.ts";
import type { CommandContext } from "./context.ts";

type Config = Pick<CommonConfig, "registry" | "slot" | "calver">;

/** `--slot` and `--calver` override the options of the registry's URL. */
export function optionsOf(
  { slot, calver }: Config,
  { io, registries }: CommandContext,
): RegistryOptions {
  return { ...io, registries, slot, calver };
}

export function loadConfigured(config: Config, context: CommandContext) {
  return loadRegistry(config.registry, optionsOf(config, context));
}

/** Opens the registry of a command line, with a limit on how long a question may take. */
export async function openConfigured(config: Config, context: CommandContext): Promise<Registry> {
  return (await openWithLocator(config, context)).registry;
}

export async function openWithLocator(config: Config, context: CommandContext) {
  const { registry, locator } = await loadConfigured(config, context);
  return { registry: withPollDeadline(registry, context.clock), locator };
}

/** Returns a function that opens the registry at its first question, with the same limit. */
export async function loadOpener(config: Config): Promise<(context: CommandContext) => Registry> {
  const { openRegistry } = await import("../registries/open.ts");
  return (context) =>
    withPollDeadline(openRegistry(config.registry, optionsOf(config, context)), context.clock);
}
