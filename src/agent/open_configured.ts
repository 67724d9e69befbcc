import type { CommonConfig } from "../cli/flags/common.ts";
import type { Registry } from "../core/types.ts";
import { openRegistry } from "../registries/open.ts";
import { withPollDeadline } from "../registries/poll_deadline.ts";
import type { CommandContext } from "./context.ts";

/** Opens the registry of a command line. `--slot` and `--calver` override the URL's options. */
export function openConfigured(
  { registry: url, slot, calver }: Pick<CommonConfig, "registry" | "slot" | "calver">,
  context: CommandContext,
): Registry {
  const { registries, clock } = context;
  const registry = openRegistry(url, { ...context.io, registries, slot, calver });
  return withPollDeadline(registry, clock);
}
