import type { CommandContext } from "../../agent/context.ts";
import { HostError } from "../../core/error.ts";
import type { StatusConfig } from "../flags/local.ts";

export async function runStatus(
  { command }: StatusConfig,
  _context: CommandContext,
): Promise<number> {
  throw new HostError(`dewy ${command} is not ready`);
}
