import type { EngineName, LabelFilter, PullOptions } from "./engine.ts";
import type { EngineCommand } from "./engine_command.ts";
import type { HealthRuns } from "./podman_health.ts";

/** How a pull is asked for. */
export interface PullCall {
  args: readonly string[];
  env: Readonly<Record<string, string>>;
}

/** Where one engine's command line differs from another's. */
export interface EngineDialect {
  readonly name: EngineName;
  /** Finds out which engine answers, and whether it is on this machine. */
  describe(command: EngineCommand, signal: AbortSignal): Promise<string>;
  /** Writes the login into a private directory. @returns the call that uses it and no other login. */
  pullCall(options: PullOptions, directory: string, command: EngineCommand): Promise<PullCall>;
  /** Runs HEALTHCHECKs where the engine does not; `undefined`: it does. */
  healthRuns?(command: EngineCommand): HealthRuns | undefined;
  /** The filters of `events` that let through what changes a container. */
  readonly eventFilters: readonly string[];
  /** The format of `events` that gives one JSON object a line. */
  readonly eventFormat: string;
}

/** @returns label filters as arguments. */
export function filterArgs(labels: LabelFilter): string[] {
  return Object.entries(labels).flatMap(([name, value]) => ["--filter", `label=${name}=${value}`]);
}
