import type { Context } from "../../core/context.ts";
import type { CommandCheckOptions } from "./command.ts";
import type { RolloutCheck, RolloutCheckConfig } from "./types.ts";

export interface CheckContext
  extends Pick<Context, "fetch" | "clock" | "emit">,
    Omit<CommandCheckOptions, "command" | "timeoutMs"> {}

/**
 * Opens the check of `--rollout-check`.
 *
 * @throws {ConfigError} If its flags or variables cannot be used.
 */
export async function openRolloutCheck(
  config: RolloutCheckConfig,
  context: CheckContext,
): Promise<RolloutCheck> {
  if (config.kind === "command") {
    const { commandCheck } = await import("./command.ts");
    return commandCheck({ ...context, command: config.command });
  }
  const { prometheusCheck } = await import("./prometheus.ts");
  return prometheusCheck({ ...context, url: config.url, query: config.query });
}
