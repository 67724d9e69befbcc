import type { CommandContext } from "../../agent/context.ts";
import { HostError } from "../../core/error.ts";
import type { SteerConfig } from "../flags/local.ts";

export async function runOrder(
  { command }: SteerConfig,
  _context: CommandContext,
): Promise<number> {
  throw new HostError(`dewy ${command} is not ready`);
}
