import { type Clock, systemClock } from "../../core/clock.ts";

/**
 * A clock that nobody puts forward or back, for timeouts: time goes on from the start of the process, whatever is done to
 * the time of the machine.
 *
 * @see https://www.w3.org/TR/hr-time-3/#dfn-monotonic-clock
 */
export const steadyClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  monotonic: systemClock.monotonic,
  sleep: systemClock.sleep,
};
