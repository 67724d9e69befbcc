import { existsSync } from "node:fs";
import type { EngineContainer } from "./engine.ts";
import type { EngineCommand } from "./engine_command.ts";

/** Checks the health of containers that nobody else checks. */
export interface HealthRuns {
  /**
   * Runs the checks that are due.
   *
   * @returns whether there was one, so that the containers have changed.
   */
  run(containers: readonly EngineContainer[], signal: AbortSignal): Promise<boolean>;
}

const CHECK_MS = 60_000;
/** An app that has only just been started fails its first check for nothing. */
const FIRST_CHECK_MS = 1_000;
const FORGET_MS = 24 * 3600_000;

/**
 * Podman leaves it to timers of systemd to run HEALTHCHECKs. Where there is no systemd, dewy runs them when it looks at a
 * container and its pause is over.
 *
 * @param command runs Podman.
 * @returns the runner; `undefined` where systemd runs them.
 * @see https://docs.podman.io/en/stable/markdown/podman-healthcheck-run.1.html
 */
export function podmanHealthRuns(command: EngineCommand): HealthRuns | undefined {
  if (existsSync("/run/systemd/system")) return undefined;
  const lastRuns = new Map<string, number>();

  function isDue({ id, status, health, checkEveryMs, startedAt }: EngineContainer): boolean {
    if (status !== "running" || health === undefined) return false;
    const lastRun = lastRuns.get(id);
    if (lastRun !== undefined) return Date.now() - lastRun >= checkEveryMs;
    return Date.now() - Date.parse(startedAt) >= Math.min(FIRST_CHECK_MS, checkEveryMs);
  }

  return {
    async run(containers, signal) {
      const now = Date.now();
      for (const [id, at] of lastRuns) if (now - at > FORGET_MS) lastRuns.delete(id);
      const due = containers.filter(isDue);
      for (const { id, name } of due) {
        lastRuns.set(id, now);
        const args = ["healthcheck", "run", id];
        // What comes of it is said by the container's state afterwards.
        await command.run({ args, action: `check ${name}`, timeoutMs: CHECK_MS, signal });
      }
      return due.length > 0;
    },
  };
}
