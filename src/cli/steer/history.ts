import type { CommandContext } from "../../agent/context.ts";
import { HostError } from "../../core/error.ts";
import type { HistoryConfig } from "../flags/local.ts";

export async function runHistory(
  { command }: HistoryConfig,
  _context: CommandContext,
): Promise<number> {
  throw new HostError(`dewy ${command} is not ready`);
}
