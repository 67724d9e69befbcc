import type { Context } from "../../core/context.ts";
import { RemoteError } from "../../core/error.ts";
import type { HttpFailure } from "../../http/client.ts";
import { ociMessage } from "./errors.ts";

export interface OciLimit {
  /** Reads the quota from a response. */
  observe(headers: Headers): void;
  /** The error for HTTP 429. */
  toError(failure: HttpFailure): RemoteError | undefined;
  /** Throws while the registry has asked for a pause, so that no request is sent for nothing. */
  assertOpen(): void;
  /** Throws if the registry has announced that the next pull would be refused. */
  assertPull(): void;
}

/** The pause after a refusal without `Retry-After`. */
const DEFAULT_PAUSE_MS = 60_000;
/** Docker Hub's window slides, so that pulls may be available long before it ends. */
const MAX_PULL_PAUSE_MS = 10 * 60_000;
/** An older quota says nothing about the next request. */
const QUOTA_VALID_MS = 60_000;
/** A quota below this share is reported. */
const LOW = 0.1;

interface Quota {
  limit: number;
  remaining: number;
  windowMs: number;
  at: number;
}

/**
 * Tracks the rate limit of a registry: 429, `Retry-After`, and Docker Hub's `RateLimit-*` headers.
 *
 * @see https://docs.docker.com/docker-hub/usage/pulls/#view-pull-rate-and-limit
 */
export function watchOciLimit(host: string, context: Pick<Context, "clock" | "emit">): OciLimit {
  const { clock, emit } = context;
  let quota: Quota | undefined;
  let announced = "";
  let closedUntil = Number.NEGATIVE_INFINITY;
  let why = "";

  const limited = (
    reason: string,
    waitMs: number,
    { method, url, status }: Partial<HttpFailure> = {},
  ): RemoteError =>
    new RemoteError(
      `Cannot use ${host}: ${reason}; dewy tries again in ${Math.ceil(waitMs / 1000)} s`,
      {
        code: "rate-limited",
        retryAfterMs: waitMs,
        method,
        url,
        status,
      },
    );
  const announce = ({ limit, remaining, windowMs }: Quota): void => {
    const state = remaining === 0 ? "hit" : remaining < limit * LOW ? "low" : "";
    if (state !== "" && state !== announced) {
      const resetAt = new Date(clock.now() + windowMs);
      emit({ type: "rate-limit", host, remaining, limit, resetAt });
    }
    announced = state;
  };

  return {
    observe(headers) {
      const stated = parseQuota(headers, clock.monotonic());
      if (stated === undefined) return;
      quota = stated;
      announce(stated);
    },
    toError(failure) {
      if (failure.status !== 429) return undefined;
      this.observe(failure.headers);
      const message = ociMessage(failure);
      why = `it asks to slow down (HTTP 429${message === "" ? "" : `: ${message}`})`;
      const waitMs = failure.retryAfterMs ?? DEFAULT_PAUSE_MS;
      closedUntil = clock.monotonic() + waitMs;
      return limited(why, waitMs, failure);
    },
    assertOpen() {
      const waitMs = closedUntil - clock.monotonic();
      if (waitMs > 0) throw limited(why, waitMs);
    },
    assertPull() {
      const now = clock.monotonic();
      if (quota === undefined || quota.remaining > 0 || now - quota.at > QUOTA_VALID_MS) return;
      const waitMs = Math.min(quota.windowMs, MAX_PULL_PAUSE_MS);
      throw limited(`all ${quota.limit} pulls of this window are used up`, waitMs);
    },
  };
}

function parseQuota(headers: Headers, at: number): Quota | undefined {
  const limit = parseLimit(headers.get("ratelimit-limit"));
  const remaining = parseLimit(headers.get("ratelimit-remaining"));
  if (limit === undefined || remaining === undefined) return undefined;
  const windowMs = (remaining.seconds ?? limit.seconds ?? DEFAULT_PAUSE_MS / 1000) * 1000;
  return { limit: limit.count, remaining: remaining.count, windowMs, at };
}

/** `RateLimit-Limit: 100;w=21600` */
function parseLimit(
  text: string | null,
): { count: number; seconds: number | undefined } | undefined {
  const [, count, seconds] = /^\s*(\d{1,9})\s*(?:;\s*w=(\d{1,9}))?/.exec(text ?? "") ?? [];
  if (count === undefined) return undefined;
  return { count: Number(count), seconds: seconds === undefined ? undefined : Number(seconds) };
}
