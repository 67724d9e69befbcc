import type { Clock } from "../../core/clock.ts";
import { DewyError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { stoppedError } from "../../core/stopped.ts";
import { createHttpClient } from "../../http/client.ts";
import { findGoogleToken } from "./chain.ts";
import { googleUniverse } from "./host.ts";
import type { GoogleToken } from "./token.ts";

/** What signing in to Google needs from the world. */
export interface GoogleAuthIo {
  /** Environment variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Time. */
  clock: Clock;
  /** Hears of requests and retries. */
  emit: EventSink;
  /** Reads credential files; absent on the edge, where neither files nor a metadata server are looked for. */
  readTextFile?: (path: string) => Promise<string>;
  /** Ends a renewal that is under way. */
  signal?: AbortSignal;
  /** A number from 0 up to 1, for jitter; `Math.random` unless told. */
  random?: () => number;
}

/** Signs in to Google. */
export interface GoogleAuth {
  /** Headers that say who asks; empty: anonymous. */
  headers(signal?: AbortSignal): Promise<Readonly<Record<string, string>>>;
  /** Where the last credentials came from; `undefined`: there are none. */
  readonly source: string | undefined;
  /** Where was looked for them, and what was there; for errors. */
  readonly looked: readonly string[];
  /** Drops what is remembered, after a refusal; returns whether that was a token. */
  forget(): boolean;
}

/** A token is renewed this long before it ends, in milliseconds. */
const RENEW_BEFORE_MS = 5 * 60_000;
/** A renewal that failed is tried again after this, as long as the old token lasts. */
const RENEW_PAUSE_MS = 60_000;
/** Machines learn late who they are: without credentials, they are looked for again after this. */
const LOOK_AGAIN_MS = 10 * 60_000;

interface Remembered {
  token: GoogleToken | undefined;
  renewAt: number;
}

/**
 * Finds Google's "application default credentials" when they are first wanted, turns them into access tokens, and
 * renews those before they end. Callers at the same time share one renewal.
 *
 * @param io the world.
 * @param scope the OAuth scope that is asked for.
 * @returns who dewy is.
 * @see https://cloud.google.com/docs/authentication/application-default-credentials
 */
export function googleAuth(io: GoogleAuthIo, scope: string): GoogleAuth {
  const http = createHttpClient(io);
  const looked: string[] = [];
  let remembered: Remembered | undefined;
  let renewal: Promise<Remembered> | undefined;
  let seenMetadata = false;

  async function renew(): Promise<Remembered> {
    const found: string[] = [];
    const universe = googleUniverse(io.env);
    try {
      const token = await findGoogleToken({ ...io, http, scope, universe, seenMetadata }, found);
      seenMetadata ||= token?.fromMetadata === true;
      return { token, renewAt: renewAt(token, io.clock.now()) };
    } finally {
      looked.splice(0, looked.length, ...found);
    }
  }

  async function renewOrKeep(last: Remembered | undefined): Promise<Remembered> {
    try {
      return await renew();
    } catch (error) {
      const lasts = last?.token !== undefined && io.clock.now() < last.token.expiresAt;
      if (!lasts || !(error instanceof DewyError) || !error.retryable) throw error;
      return { ...last, renewAt: io.clock.now() + RENEW_PAUSE_MS };
    }
  }

  function current(): Promise<Remembered> {
    if (remembered !== undefined && isGood(remembered, io.clock.now())) {
      return Promise.resolve(remembered);
    }
    renewal ??= renewOrKeep(remembered)
      .then((renewed) => {
        remembered = renewed;
        return renewed;
      })
      .finally(() => {
        renewal = undefined;
      });
    return renewal;
  }

  return {
    headers: async (signal) => authorize((await orAborted(current(), signal)).token),
    get source() {
      return remembered?.token?.source;
    },
    looked,
    forget() {
      const had = remembered?.token !== undefined;
      remembered = undefined;
      return had;
    },
  };
}

function authorize(token: GoogleToken | undefined): Record<string, string> {
  if (token === undefined) return {};
  return {
    authorization: `Bearer ${token.accessToken}`,
    // https://cloud.google.com/apis/docs/system-parameters
    ...(token.quotaProject === undefined ? {} : { "x-goog-user-project": token.quotaProject }),
  };
}

function isGood({ token, renewAt: due }: Remembered, now: number): boolean {
  return now < due && (token === undefined || now < token.expiresAt);
}

/** A token that lives shortly is used for half of its life, so that it is not renewed at every call. */
function renewAt(token: GoogleToken | undefined, now: number): number {
  if (token === undefined) return now + LOOK_AGAIN_MS;
  return Math.max(token.expiresAt - RENEW_BEFORE_MS, now + (token.expiresAt - now) / 2);
}

/** One caller that leaves must not end the renewal that the others wait for. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const stopped = (): DewyError => stoppedError("the sign-in to Google", signal.reason);
  work.catch(() => {}); // Somebody else hears of it, or nobody needs to.
  if (signal.aborted) throw stopped();
  let leave = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(stopped());
  });
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
