import type { Clock } from "../core/clock.ts";
import { withDeadline } from "../core/timeout.ts";
import type { ContainerMeasures } from "./measures.ts";

/** Several readers may collect at about the same time. */
const FRESH_MS = 5_000;
/** A scrape must not hang with the engine. */
const TIMEOUT_MS = 2_000;

export type ReadContainers = (signal: AbortSignal) => Promise<readonly ContainerMeasures[]>;

/** Returns the containers, at most one inspection in five seconds; `undefined` if it failed or took too long. */
export function containerObserver(
  read: ReadContainers,
  clock: Clock,
): () => Promise<readonly ContainerMeasures[] | undefined> {
  let last: { at: number; result: Promise<readonly ContainerMeasures[] | undefined> } | undefined;
  return () => {
    const now = clock.monotonic();
    if (last === undefined || now - last.at >= FRESH_MS) {
      const result = withDeadline(clock, TIMEOUT_MS, undefined, read).catch(() => undefined);
      last = { at: now, result };
    }
    return last.result;
  };
}
