import type { Clock } from "../core/clock.ts";
import { RemoteError } from "../core/error.ts";
import { TimeoutError, withDeadline } from "../core/timeout.ts";
import type { Registry } from "../core/types.ts";

const POLL_TIMEOUT_MS = 60_000;

/**
 * Limits how long a poll may take. Each request has its own timeout, but a response that drips, or many retries,
 * would hold a poll for minutes.
 */
export function withPollDeadline(
  registry: Registry,
  clock: Clock,
  timeoutMs = POLL_TIMEOUT_MS,
): Registry {
  return {
    ...registry,
    resolve: (options = {}) =>
      inTime(timeoutMs, clock, options.signal, "poll the registry", (signal) =>
        registry.resolve({ ...options, signal }),
      ),
  };
}

/** Limits how long a question, or the start of a download, may take. */
export function withTimeout(
  registry: Registry,
  timeoutMs: number | undefined,
  clock: Clock,
): Registry {
  if (timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY) return registry;
  return {
    ...withPollDeadline(registry, clock, timeoutMs),
    open: (artifact, options = {}) =>
      inTime(timeoutMs, clock, options.signal, "open the artifact", (signal) =>
        registry.open(artifact, { ...options, signal }),
      ),
  };
}

export async function inTime<T>(
  timeoutMs: number | undefined,
  clock: Clock,
  signal: AbortSignal | undefined,
  action: string,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY) return work(signal);
  // The deadline lets go of the caller's signal when the work is done, but a stream that it opened must obey it.
  const joined = (limit: AbortSignal): AbortSignal =>
    signal === undefined ? limit : AbortSignal.any([signal, limit]);
  try {
    return await withDeadline(clock, timeoutMs, signal, (limit) => work(joined(limit)));
  } catch (cause) {
    if (!(cause instanceof TimeoutError)) throw cause;
    throw new RemoteError(
      `Cannot ${action}: no complete response within ${timeoutMs / 1_000} s; it hangs, or the network is slow`,
      { code: "timeout", cause },
    );
  }
}
