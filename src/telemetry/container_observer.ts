import type { Clock } from "../core/clock.ts";
import { withDeadline } from "../core/timeout.ts";

/** Several readers may collect at about the same time. */
const FRESH_MS = 5_000;
/** A scrape must not hang with the engine. */
const TIMEOUT_MS = 2_000;

/** What is read of a container; the admin API's containers have it. */
export interface ObservedContainer {
  name: string;
  image: string;
  /** The engine's: `created`, `running`, `exited`, … */
  status: string;
  /** In RFC 3339; before 1970 if it is unknown. */
  started_at: string;
  labels: Readonly<Record<string, string>>;
  /** How often the engine has restarted it. */
  restarts?: number;
  /** Of a container that has exited. */
  exit_code?: number;
  oom_killed?: boolean;
}

export type ReadContainers = (signal: AbortSignal) => Promise<readonly ObservedContainer[]>;

/** Returns the containers, at most one inspection in five seconds; `undefined` if it failed or took too long. */
export function containerObserver(
  read: ReadContainers,
  clock: Clock,
): () => Promise<readonly ObservedContainer[] | undefined> {
  let last: { at: number; result: Promise<readonly ObservedContainer[] | undefined> } | undefined;
  return () => {
    const now = clock.monotonic();
    if (last === undefined || now - last.at >= FRESH_MS) {
      const result = withDeadline(clock, TIMEOUT_MS, undefined, read).catch(() => undefined);
      last = { at: now, result };
    }
    return last.result;
  };
}
