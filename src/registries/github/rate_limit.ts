import type { Clock } from "../../core/clock.ts";
import { RemoteError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import type { HttpFailure } from "../../http/client.ts";
import { boundedPauseMs } from "../../http/retry.ts";

/** How much may still be asked. https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api */
export interface RateLimit {
  limit: number;
  remaining: number;
  /** When the next window begins, in milliseconds of {@link Clock.monotonic}. */
  resetAt: number;
  /** The same in the spelling of the server; identifies the window. */
  window: number;
}

export interface RateWatch {
  /** The last known limit; `undefined` before the first response, and if the server has none. */
  readonly current: RateLimit | undefined;
  observe(headers: Headers): void;
  toError(failure: HttpFailure): RemoteError | undefined;
  /** Throws while the server has asked for a pause, so that no request is sent only to be refused. */
  assertOpen(): void;
}

/** A secondary limit that names no time: wait at least a minute, says GitHub. */
const SECONDARY_MS = 60_000;
/** Requests an hour without a token. */
const ANONYMOUS_LIMIT = 60;
/** Worth a word when less than this share is left. */
const LOW = 0.1;

export function watchRateLimit(host: string, io: { clock: Clock; emit: EventSink }): RateWatch {
  let current: RateLimit | undefined;
  let told = "";
  let closed: { until: number; why: string } | undefined;

  const announce = (limit: RateLimit): void => {
    const state = limit.remaining === 0 ? "hit" : limit.remaining < limit.limit * LOW ? "low" : "";
    const isNews = state !== "" && told !== `${state} ${limit.window}`;
    if (isNews) told = `${state} ${limit.window}`;
    const { remaining } = limit;
    io.emit({
      type: "rate-limit",
      host,
      remaining,
      limit: limit.limit,
      resetAt: new Date(io.clock.now() + limit.resetAt - io.clock.monotonic()),
      isRoutine: isNews ? undefined : true,
    });
  };
  const limited = (
    why: string,
    waitMs: number,
    { method, url, status }: Partial<HttpFailure>,
  ): RemoteError =>
    new RemoteError(`Cannot ask ${host}: ${why}; retry after ${Math.ceil(waitMs / 1000)} s`, {
      code: "rate-limited",
      retryAfterMs: waitMs,
      method,
      url,
      status,
    });

  return {
    get current() {
      return current;
    },
    observe(headers) {
      const read = readLimit(headers, io.clock);
      if (read === undefined) return;
      current = read;
      announce(read);
    },
    toError(failure) {
      this.observe(failure.headers);
      if (failure.status !== 403 && failure.status !== 429) return undefined;
      const now = io.clock.monotonic();
      const limit = readLimit(failure.headers, io.clock);
      const why = explain(failure, limit);
      if (why === undefined) return undefined;
      const untilReset =
        limit?.remaining === 0 ? Math.max(1_000, boundedPauseMs(limit.resetAt - now)) : undefined;
      const waitMs = failure.retryAfterMs ?? untilReset ?? SECONDARY_MS;
      closed = { until: now + waitMs, why };
      return limited(why, waitMs, failure);
    },
    assertOpen() {
      const waitMs = (closed?.until ?? 0) - io.clock.monotonic();
      if (closed !== undefined && waitMs > 0) throw limited(closed.why, waitMs, {});
      closed = undefined;
    },
  };
}

function explain(failure: HttpFailure, limit: RateLimit | undefined): string | undefined {
  if (limit?.remaining === 0) {
    const more = limit.limit <= ANONYMOUS_LIMIT ? "; set GH_TOKEN for a higher one" : "";
    return `the rate limit of ${limit.limit} requests an hour is used up (HTTP ${failure.status})${more}`;
  }
  const secondary = /secondary rate limit|abuse detection/i.test(failure.message);
  if (secondary || failure.retryAfterMs !== undefined || failure.status === 429) {
    return `it asks to slow down (HTTP ${failure.status}, secondary rate limit)`;
  }
  return undefined;
}

function readLimit(headers: Headers, clock: Clock): RateLimit | undefined {
  if ((headers.get("x-ratelimit-resource") ?? "core") !== "core") return undefined;
  const [limit, remaining, reset] = ["limit", "remaining", "reset"].map((name) =>
    readNumber(headers.get(`x-ratelimit-${name}`)),
  );
  if (limit === undefined || remaining === undefined || reset === undefined) return undefined;
  // The server's own time makes our clock's error harmless.
  const serverNow = Date.parse(headers.get("date") ?? "");
  const untilReset = reset * 1000 - (Number.isNaN(serverNow) ? clock.now() : serverNow);
  const resetAt = clock.monotonic() + Math.max(0, untilReset);
  return { limit, remaining, resetAt, window: reset };
}

function readNumber(text: string | null): number | undefined {
  return text !== null && /^\d{1,12}$/.test(text) ? Number(text) : undefined;
}
