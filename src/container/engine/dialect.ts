import { ConfigError } from "../../core/error.ts";
import type { EngineCommand } from "./command.ts";
import type { EngineContainer, EngineName, LabelFilter, PullOptions } from "./engine.ts";

export interface PullCall {
  args: readonly string[];
  env: Readonly<Record<string, string>>;
}

/** Runs the HEALTHCHECKs of containers for an engine that does not. */
export interface HealthRuns {
  /** Runs the checks that are due, and returns whether there were any. */
  run(containers: readonly EngineContainer[], signal: AbortSignal): Promise<boolean>;
}

/** The differences between the engines' command lines. */
export interface EngineDialect {
  readonly name: EngineName;
  /** Returns the engine's name and version, and throws if it runs on another machine. */
  describe(command: EngineCommand, signal: AbortSignal): Promise<string>;
  /** Writes the login into a private directory and returns the call that uses this login only. */
  pullCall(options: PullOptions, directory: string, command: EngineCommand): Promise<PullCall>;
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

/**
 * Refuses an engine on another machine, whose published ports cannot be reached from here.
 *
 * @param endpoint `unix:///var/run/docker.sock`, `tcp://10.0.0.1:2375`, `ssh://host`.
 * @param origin Where the endpoint is configured, such as `DOCKER_HOST`.
 */
export function assertLocalEndpoint(endpoint: string, origin: string): void {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.*)$/i.exec(endpoint) ?? [];
  if (scheme === "" || ["unix", "npipe", "fd"].includes(scheme.toLowerCase())) return;
  const host = /^(?:[^@/]*@)?(\[[^\]]*\]|[^:/]*)/.exec(rest)?.[1] ?? "";
  if (LOOPBACK.test(host)) return;
  throw new ConfigError(
    `Cannot use the container engine at ${scheme}://${host} (${origin}): it is another machine, and the ports it publishes cannot be reached from here; run dewy on that machine`,
  );
}
