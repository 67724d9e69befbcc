/** A clock, passed in so that tests do not sleep. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /**
   * Milliseconds since an arbitrary moment, unaffected by changes of the system time. For measuring durations. See
   * https://www.w3.org/TR/hr-time-3/#dfn-monotonic-clock.
   */
  monotonic(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason if it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

// https://developer.mozilla.org/docs/Web/API/Window/setTimeout#maximum_delay_value
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * The clock of this runtime.
 *
 * @example
 * ```ts
 * import { systemClock } from "dewy";
 *
 * await systemClock.sleep(1);
 * if (systemClock.now() <= 0) throw new Error("time stands still");
 * ```
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      let timer: ReturnType<typeof setTimeout>;
      const wait = (leftMs: number): void => {
        timer = setTimeout(
          () => {
            if (leftMs > MAX_TIMEOUT_MS) return wait(leftMs - MAX_TIMEOUT_MS);
            signal?.removeEventListener("abort", onAbort);
            resolve();
          },
          Math.min(leftMs, MAX_TIMEOUT_MS),
        );
      };
      wait(Math.max(0, ms));
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
};
