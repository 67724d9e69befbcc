import type { RateLimit } from "./rate_limit.ts";

/** How often the whole list of releases is read although no tag has changed, in milliseconds. */
export const FULL_LISTING_MS: number = 15 * 60_000;
/** Without a token, every page of that list counts against the rate limit: at most a fifth of the usual 60 requests an hour. */
const ANONYMOUS_PAGE_MS = 5 * 60_000;

/** A tag without a release is asked for at every poll while it is this young, in milliseconds … */
const EAGER_MS = 2 * 60_000;
/** … then this often, because a 404 counts against the rate limit, … */
const PATIENT_MS = 30_000;
/** … and no longer than this after it was first seen. */
export const RELEASE_GRACE_MS: number = 30 * 60_000;

/** When the whole list is due next. */
export function listingPauseMs(pages: number, anonymous: boolean, random: () => number): number {
  const pause = anonymous ? Math.max(FULL_LISTING_MS, pages * ANONYMOUS_PAGE_MS) : FULL_LISTING_MS;
  return pause * (0.95 + random() * 0.1);
}

/** Whether a tag without a release is worth another question. */
export function isReleaseDue(now: number, since: number, askedAt: number): boolean {
  if (now - since > RELEASE_GRACE_MS) return false;
  return now - since <= EAGER_MS || now - askedAt >= PATIENT_MS;
}

/**
 * When a client without a token may ask again, so that its rate limit lasts until the next window. A reserve stays
 * untouched for what a new release costs: the whole list, twice, and the download.
 */
export function nextPollAt(now: number, limit: RateLimit, cost: number, pages: number): number {
  const reserve = Math.min(Math.floor(limit.limit / 2), 5 + 2 * pages);
  const polls = Math.floor((limit.remaining - reserve) / Math.max(1, cost));
  const untilReset = Math.max(0, limit.resetAt - now);
  return now + (polls <= 0 ? untilReset + 1_000 : Math.ceil(untilReset / polls));
}
