import type { CommandContext } from "../../agent/context.ts";
import { HostError } from "../../core/error.ts";
import type { ReleasesConfig } from "../flags/local.ts";

export async function runReleases(
  { command }: ReleasesConfig,
  _context: CommandContext,
): Promise<number> {
  throw new HostError(`dewy ${command} is not ready`);
}
