import { type Clock, systemClock } from "../../core/clock.ts";

/** For timeouts: changes to the system time do not affect it. https://www.w3.org/TR/hr-time-3/#dfn-monotonic-clock */
export const steadyClock: Clock = {
  ...systemClock,
  now: () => performance.timeOrigin + performance.now(),
};
