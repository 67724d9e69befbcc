import { ConfigError } from "../../core/error.ts";
import type { EngineCall, EngineCommand } from "./command.ts";
import type { EngineContainer, EngineName, LabelFilter, PullOptions } from "./engine.ts";

/** Runs the HEALTHCHECKs of containers for an engine that does not. */
export interface HealthRuns {
  /** Runs the checks that are due, and returns whether there were any. */
  run(containers: readonly EngineContainer[], signal: AbortSignal): Promise<boolean>;
}

export interface EngineDialect {
  readonly name: EngineName;
  /** Returns the engine's name and version, and throws if it runs on another machine. */
  describe(command: EngineCommand, signal: AbortSignal): Promise<string>;
  /** Writes the login into a private directory and returns the call that uses this login only. */
  pullCall(
    options: PullOptions,
    directory: string,
    command: EngineCommand,
  ): Promise<Pick<EngineCall, "args" | "env">>;
  healthRuns?(command: EngineCommand): HealthRuns | undefined;
  /** The filters of `events` that select changes of containers. */
  readonly eventFilters: readonly string[];
  /** The format of `events` that prints one JSON object per line. */
  readonly eventFormat: string;
}

export function filterArgs(labels: LabelFilter): string[] {
  return Object.entries(labels).flatMap(([name, value]) => ["--filter", `label=${name}=${value}`]);
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|::1)$/i;

/** Refuses an engine on another machine. `origin` is where the endpoint is configured. */
export function assertLocalEndpoint(endpoint: string, origin: string): void {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/i.exec(endpoint) ?? [];
  if (scheme === "" || ["unix", "npipe", "fd"].includes(scheme.toLowerCase())) return;
  const host = /^(?:[^@/]*@)?(\[[^\]]*\]|[^:/]*)/.exec(rest)?.[1] ?? "";
  if (LOOPBACK.test(host)) return;
  throw new ConfigError(
    `Cannot use the container engine at ${scheme}://${host} (${origin}): it is another machine, and the ports it publishes cannot be reached from here; run dewy on that machine`,
  );
}
