import { type Clock, systemClock } from "../../core/clock.ts";

/**
 * A clock for timeouts: changes to the system time do not affect it.
 *
 * @see https://www.w3.org/TR/hr-time-3/#dfn-monotonic-clock
 */
export const steadyClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  monotonic: systemClock.monotonic,
  sleep: systemClock.sleep,
};
