import type { Context } from "../../core/context.ts";
import { DewyError } from "../../core/error.ts";
import { stoppedError } from "../../core/timeout.ts";
import { createHttpClient, type HttpClient, type HttpContext } from "../../http/client.ts";
import { findGoogleToken } from "./chain.ts";
import type { GoogleToken } from "./token.ts";
import { googleUniverse } from "./universe.ts";

/** Without `readTextFile` (on the edge), neither files nor the metadata server are tried. */
export type GoogleAuthContext = Context & Pick<HttpContext, "random">;

const RENEW_BEFORE_MS = 5 * 60_000;
/** The pause after a failed renewal, as long as the old token is valid. */
const RENEW_RETRY_MS = 60_000;
/** The pause before searching again: credentials may become available after startup. */
const SEARCH_AGAIN_MS = 10 * 60_000;

interface Outcome {
  token: GoogleToken | undefined;
  renewAt: number;
}

/**
 * Finds Google's Application Default Credentials when they are first needed, exchanges them for access tokens and renews
 * those before they expire. Concurrent callers share one renewal.
 *
 * @see https://cloud.google.com/docs/authentication/application-default-credentials
 */
export class GoogleAuth {
  readonly #context: GoogleAuthContext;
  readonly #http: HttpClient;
  readonly #scope: string;
  #current: Outcome | undefined;
  #renewal: Promise<Outcome> | undefined;
  #hasMetadata = false;
  #tried: readonly string[] = [];

  constructor(context: GoogleAuthContext, scope: string) {
    this.#context = context;
    this.#http = createHttpClient(context);
    this.#scope = scope;
  }

  /** Where the current credentials came from; `undefined` if there are none. */
  get source(): string | undefined {
    return this.#current?.token?.source;
  }

  /** The sources tried and what each yielded, for error messages. */
  get tried(): readonly string[] {
    return this.#tried;
  }

  async headers(signal?: AbortSignal): Promise<Readonly<Record<string, string>>> {
    const { token } = await rejectOnAbort(this.#outcome(), signal);
    if (token === undefined) return {};
    return {
      authorization: `Bearer ${token.accessToken}`,
      // https://cloud.google.com/apis/docs/system-parameters
      ...(token.quotaProject !== undefined && { "x-goog-user-project": token.quotaProject }),
    };
  }

  /** Drops the token after a refusal. Returns whether there was one. */
  forget(): boolean {
    const hadToken = this.#current?.token !== undefined;
    this.#current = undefined;
    return hadToken;
  }

  #outcome(): Promise<Outcome> {
    const current = this.#current;
    if (current !== undefined && isFresh(current, this.#context.clock.now())) {
      return Promise.resolve(current);
    }
    this.#renewal ??= this.#renewOrKeep(current)
      .then((renewed) => {
        this.#current = renewed;
        return renewed;
      })
      .finally(() => {
        this.#renewal = undefined;
      });
    return this.#renewal;
  }

  async #renewOrKeep(current: Outcome | undefined): Promise<Outcome> {
    const { clock } = this.#context;
    try {
      return await this.#renew();
    } catch (error) {
      const isValid = current?.token !== undefined && clock.now() < current.token.expiresAt;
      if (!isValid || !(error instanceof DewyError) || !error.retryable) throw error;
      return { ...current, renewAt: clock.now() + RENEW_RETRY_MS };
    }
  }

  async #renew(): Promise<Outcome> {
    const tried: string[] = [];
    const context = {
      ...this.#context,
      http: this.#http,
      scope: this.#scope,
      universe: googleUniverse(this.#context.env),
      hasMetadata: this.#hasMetadata,
    };
    try {
      const token = await findGoogleToken(context, tried);
      this.#hasMetadata ||= token?.fromMetadata === true;
      return { token, renewAt: renewalTime(token, this.#context.clock.now()) };
    } finally {
      this.#tried = tried;
    }
  }
}

function isFresh({ token, renewAt }: Outcome, now: number): boolean {
  return now < renewAt && (token === undefined || now < token.expiresAt);
}

/** A short-lived token is used for half its lifetime, so that it is not renewed at every call. */
function renewalTime(token: GoogleToken | undefined, now: number): number {
  if (token === undefined) return now + SEARCH_AGAIN_MS;
  return Math.max(token.expiresAt - RENEW_BEFORE_MS, now + (token.expiresAt - now) / 2);
}

/** One caller's abort must not end the renewal that others wait for. */
async function rejectOnAbort<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  work.catch(() => {}); // The rejection is reported to another caller, or is irrelevant.
  const stopped = (): DewyError => stoppedError("the sign-in to Google", signal.reason);
  if (signal.aborted) throw stopped();
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(stopped());
  });
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
