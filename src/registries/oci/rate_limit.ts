import type { Clock } from "../../core/clock.ts";
import { RemoteError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import type { HttpFailure } from "../../http/client.ts";
import { ociMessage } from "./error.ts";

/** Keeps account of what a registry lets us ask. */
export interface OciLimit {
  /** Takes the account out of an answer. */
  observe(headers: Headers): void;
  /** An error when an answer means "too many", else nothing. */
  toError(failure: HttpFailure): RemoteError | undefined;
  /** Throws while the registry has asked for silence, so that no request leaves in vain. */
  assertOpen(): void;
  /** Throws when the registry has said that the next pull would be refused. */
  assertPull(): void;
}

/** A refusal that names no time. */
const UNTOLD_MS = 60_000;
/** The window of Docker Hub slides: something may be free again long before it ends. */
const MAX_PULL_PAUSE_MS = 10 * 60_000;
/** An account older than this says nothing about the next request. */
const FRESH_MS = 60_000;
/** Worth a word when less than this share is left. */
const LOW = 0.1;

interface Account {
  limit: number;
  remaining: number;
  windowMs: number;
  at: number;
}

/**
 * Watches the rate limit of a registry: 429, `Retry-After`, and Docker Hub's `RateLimit-*` headers.
 *
 * @param host the registry, for events and errors.
 * @param io time, and who hears of a limit that is low or hit.
 * @returns the watch.
 * @see https://docs.docker.com/docker-hub/usage/pulls/#view-pull-rate-and-limit
 */
export function watchOciLimit(host: string, io: { clock: Clock; emit: EventSink }): OciLimit {
  const { clock, emit } = io;
  let account: Account | undefined;
  let told = "";
  let closedUntil = Number.NEGATIVE_INFINITY;
  let why = "";

  const limited = (reason: string, waitMs: number, parts: Partial<HttpFailure>): RemoteError =>
    new RemoteError(
      `Cannot ask ${host}: ${reason}; asking again in ${Math.ceil(waitMs / 1000)} s`,
      {
        code: "rate-limited",
        retryAfterMs: waitMs,
        ...(parts.method === undefined ? {} : { method: parts.method }),
        ...(parts.url === undefined ? {} : { url: parts.url }),
        ...(parts.status === undefined ? {} : { status: parts.status }),
      },
    );
  const announce = ({ limit, remaining, windowMs }: Account): void => {
    const state = remaining === 0 ? "hit" : remaining < limit * LOW ? "low" : "";
    if (state !== "" && state !== told) {
      const resetAt = new Date(clock.now() + windowMs);
      emit({ type: "rate-limit", host, remaining, limit, resetAt });
    }
    told = state;
  };

  return {
    observe(headers) {
      const read = readAccount(headers, clock.monotonic());
      if (read === undefined) return;
      account = read;
      announce(read);
    },
    toError(failure) {
      if (failure.status !== 429) return undefined;
      this.observe(failure.headers);
      const said = ociMessage(failure);
      why = `it asks to slow down (HTTP 429${said === "" ? "" : `: ${said}`})`;
      const waitMs = failure.retryAfterMs ?? UNTOLD_MS;
      closedUntil = clock.monotonic() + waitMs;
      return limited(why, waitMs, failure);
    },
    assertOpen() {
      const waitMs = closedUntil - clock.monotonic();
      if (waitMs > 0) throw limited(why, waitMs, {});
    },
    assertPull() {
      const now = clock.monotonic();
      if (account === undefined || account.remaining > 0 || now - account.at > FRESH_MS) return;
      const waitMs = Math.min(account.windowMs, MAX_PULL_PAUSE_MS);
      throw limited(`all ${account.limit} pulls of this window are used up`, waitMs, {});
    },
  };
}

/** `RateLimit-Limit: 100;w=21600` */
function readAccount(headers: Headers, at: number): Account | undefined {
  const limit = readQuota(headers.get("ratelimit-limit"));
  const remaining = readQuota(headers.get("ratelimit-remaining"));
  if (limit === undefined || remaining === undefined) return undefined;
  const windowMs = (remaining.seconds ?? limit.seconds ?? UNTOLD_MS / 1000) * 1000;
  return { limit: limit.count, remaining: remaining.count, windowMs, at };
}

function readQuota(
  text: string | null,
): { count: number; seconds: number | undefined } | undefined {
  const [, count, seconds] = /^\s*(\d{1,9})\s*(?:;\s*w=(\d{1,9}))?/.exec(text ?? "") ?? [];
  if (count === undefined) return undefined;
  return { count: Number(count), seconds: seconds === undefined ? undefined : Number(seconds) };
}
