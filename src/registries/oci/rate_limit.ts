import type { Context } from "../../core/context.ts";
import { RemoteError } from "../../core/error.ts";
import type { HttpFailure } from "../../http/client.ts";
import { ociMessage } from "./errors.ts";

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
export class OciLimit {
  readonly #host: string;
  readonly #context: Pick<Context, "clock" | "emit">;
  #quota: Quota | undefined;
  /** The state that was last announced, so that each is announced once. */
  #announced: "hit" | "low" | "" = "";
  #closedUntil = Number.NEGATIVE_INFINITY;
  #reason = "";

  constructor(host: string, context: Pick<Context, "clock" | "emit">) {
    this.#host = host;
    this.#context = context;
  }

  observe(headers: Headers): void {
    const quota = parseQuota(headers, this.#context.clock.monotonic());
    if (quota === undefined) return;
    this.#quota = quota;
    this.#announce(quota);
  }

  toError(failure: HttpFailure): RemoteError | undefined {
    if (failure.status !== 429) return undefined;
    this.observe(failure.headers);
    const message = ociMessage(failure);
    this.#reason = `it asks to slow down (HTTP 429${message === "" ? "" : `: ${message}`})`;
    const waitMs = failure.retryAfterMs ?? DEFAULT_PAUSE_MS;
    this.#closedUntil = this.#context.clock.monotonic() + waitMs;
    return this.#error(this.#reason, waitMs, failure);
  }

  /** Throws while the registry has asked for a pause, so that no request is sent for nothing. */
  assertOpen(): void {
    const waitMs = this.#closedUntil - this.#context.clock.monotonic();
    if (waitMs > 0) throw this.#error(this.#reason, waitMs);
  }

  /** Throws if the registry has announced that the next pull would be refused. */
  assertPull(): void {
    const quota = this.#quota;
    const now = this.#context.clock.monotonic();
    if (quota === undefined || quota.remaining > 0 || now - quota.at > QUOTA_VALID_MS) return;
    const waitMs = Math.min(quota.windowMs, MAX_PULL_PAUSE_MS);
    throw this.#error(`all ${quota.limit} pulls of this window are used up`, waitMs);
  }

  #announce({ limit, remaining, windowMs }: Quota): void {
    const { clock, emit } = this.#context;
    const state = remaining === 0 ? "hit" : remaining < limit * LOW ? "low" : "";
    const isNews = state !== "" && state !== this.#announced;
    emit({
      type: "rate-limit",
      host: this.#host,
      remaining,
      limit,
      resetAt: new Date(clock.now() + windowMs),
      isRoutine: isNews ? undefined : true,
    });
    this.#announced = state;
  }

  #error(
    reason: string,
    waitMs: number,
    { method, url, status }: Partial<HttpFailure> = {},
  ): RemoteError {
    const seconds = Math.ceil(waitMs / 1000);
    return new RemoteError(
      `Cannot use ${this.#host}: ${reason}; dewy tries again in ${seconds} s`,
      { code: "rate-limited", retryAfterMs: waitMs, method, url, status },
    );
  }
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
