import type { Clock } from "../core/clock.ts";
import { DeadlineError, withDeadline } from "../core/deadline.ts";
import { RemoteError } from "../core/error.ts";
import type { Registry } from "../core/types.ts";

/** How long a registry may take to answer, all requests and retries together, in milliseconds. */
export const POLL_DEADLINE_MS = 60_000;

/**
 * Limits the time of a registry's answers. Each request has timeouts of its own, but a response that drips, or a row of
 * retries, would hold a poll silently for minutes.
 *
 * @param registry the registry.
 * @param clock time.
 * @returns the same registry; what takes longer than {@link POLL_DEADLINE_MS} fails with a RemoteError of code `timeout`.
 */
export function withPollDeadline(registry: Registry, clock: Clock): Registry {
  return {
    ...registry,
    resolve: (options = {}) =>
      inTime(clock, options.signal, (signal) => registry.resolve({ ...options, signal })),
  };
}

async function inTime<T>(
  clock: Clock,
  signal: AbortSignal | undefined,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await withDeadline(clock, POLL_DEADLINE_MS, signal, ask);
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw cause;
    throw new RemoteError(
      `Cannot poll the registry: no complete response within ${POLL_DEADLINE_MS / 1_000} s; it hangs, or the network is slow`,
      { code: "timeout", cause },
    );
  }
}
