import type { Context } from "../../../core/context.ts";
import { CredentialError, DewyError, RemoteError } from "../../../core/error.ts";
import type { HttpClient, HttpFailure } from "../../../http/client.ts";
import { ociMessage } from "../errors.ts";
import { isDockerHub } from "../image_reference.ts";
import {
  type Challenge,
  checkRealm,
  chooseChallenge,
  isTrustedRealm,
  type RealmRules,
} from "./challenge.ts";
import {
  basicHeader,
  type CredentialSource,
  type OciCredential,
  type OciTarget,
} from "./credential.ts";
import { requestToken, type TokenScope } from "./token.ts";

export interface OciAuthOptions extends Pick<Context, "clock" | "emit"> {
  target: OciTarget;
  rules: RealmRules;
  /** In the order in which they are tried; anonymous access always comes last. */
  sources: readonly CredentialSource[];
  http: HttpClient;
}

export interface OciAuthorization {
  /** Empty until the registry has sent a challenge. */
  headers: Readonly<Record<string, string>>;
  /** Whether this is the first use of the answer to a challenge. */
  isFresh: boolean;
}

interface ChallengeAnswer {
  headers: Readonly<Record<string, string>>;
  /** In milliseconds since the Unix epoch. */
  expiresAt: number;
}

/** A token must not expire while the request is on its way. */
const MARGIN_MS = 5_000;
const ANONYMOUS = "anonymous";
const NEVER = Number.POSITIVE_INFINITY;

/**
 * Signs in to one repository as its registry requires, with Basic or Bearer tokens. The first credentials that the
 * registry accepts are used; if it accepts none, access is anonymous. Nothing is sent before the registry asks for it.
 */
export class OciAuth {
  readonly #options: OciAuthOptions;
  /** The last challenge of the registry. */
  #challenge: Challenge | undefined;
  #current: (ChallengeAnswer & { wasUsed: boolean }) | undefined;
  /** The index of the current source; anonymous access has the index after the last. */
  #index = 0;
  /** The sources that were rejected, with reasons, for the error. */
  #rejected: string[] = [];
  /** The source that the last event named, so that each is announced once. */
  #announced = "";

  constructor(options: OciAuthOptions) {
    this.#options = options;
  }

  /** What to send with the next request. Requests a new token if the current one is about to expire. */
  async authorize(signal: AbortSignal | undefined): Promise<OciAuthorization> {
    if (this.#challenge === undefined) return { headers: {}, isFresh: false };
    let current = this.#current;
    if (current === undefined || this.#options.clock.now() >= current.expiresAt - MARGIN_MS) {
      current = { ...(await this.#findAnswer(this.#challenge, signal)), wasUsed: false };
      this.#current = current;
    }
    const isFresh = !current.wasUsed;
    current.wasUsed = true;
    return { headers: current.headers, isFresh };
  }

  /**
   * Handles a refusal (401, 403). Returns whether to retry with a new authorization, or the error to throw once nothing
   * is left to try; `undefined` leaves the failure as it is.
   */
  onRefusal(
    { headers, isFresh }: OciAuthorization,
    failure: HttpFailure,
  ): "retry" | DewyError | undefined {
    const challenge = chooseChallenge(failure.headers.get("www-authenticate") ?? "");
    if (headers.authorization === undefined) {
      if (failure.status !== 401 || challenge === undefined) return undefined;
      this.#challenge = challenge;
      return "retry";
    }
    // A concurrent call has already moved on.
    if (this.#current?.headers !== headers) return "retry";
    this.#challenge = challenge ?? this.#challenge;
    if (failure.status === 401 && !isFresh) {
      this.#current = undefined;
      return "retry";
    }
    this.#reject("refused", `HTTP ${failure.status} ${ociMessage(failure)}`.trim());
    return this.#index > this.#options.sources.length ? this.#exhausted() : "retry";
  }

  /** Finds the accepted credential again; `undefined` for anonymous access. */
  async acceptedCredential(signal: AbortSignal | undefined): Promise<OciCredential | undefined> {
    return this.#challenge === undefined
      ? undefined
      : this.#options.sources[this.#index]?.find(signal);
  }

  get #sourceName(): string {
    return this.#options.sources[this.#index]?.name ?? ANONYMOUS;
  }

  async #findAnswer(
    challenge: Challenge,
    signal: AbortSignal | undefined,
  ): Promise<ChallengeAnswer> {
    const { sources } = this.#options;
    while (this.#index <= sources.length) {
      try {
        const credential = await sources[this.#index]?.find(signal);
        if (credential === undefined && this.#index < sources.length) {
          this.#index += 1;
          continue;
        }
        const answer = await this.#answer(challenge, credential, signal);
        this.#announce();
        return answer;
      } catch (error) {
        if (error instanceof RealmError) throw error.cause;
        if (!isRefusal(error)) throw error;
        this.#reject(error instanceof CredentialError ? "refused" : "unusable", error.message);
      }
    }
    throw this.#exhausted();
  }

  async #answer(
    challenge: Challenge,
    credential: OciCredential | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ChallengeAnswer> {
    const source = this.#sourceName;
    if (credential?.kind === "bearer") return bearer(credential.token, NEVER);
    if (challenge.scheme === "basic") {
      if (credential?.kind !== "basic") {
        const required = credential === undefined ? "a user name" : "a password";
        throw new CredentialError(`not possible: the registry requires ${required}`);
      }
      const { username, password, expiresAt = NEVER } = credential;
      return { headers: { authorization: basicHeader(username, password, source) }, expiresAt };
    }
    const scope = await this.#scopeOf(challenge);
    if (credential !== undefined && !isTrustedRealm(scope.realm, this.#options.rules)) {
      throw new CredentialError(`not sent: ${scope.realm.origin} has no TLS`);
    }
    const token = await requestToken(this.#options, { scope, credential, source, signal });
    return bearer(token.token, token.expiresAt);
  }

  async #scopeOf({ parameters }: Challenge): Promise<TokenScope> {
    const { rules, target } = this.#options;
    const realm = await checkRealm(parameters.get("realm") ?? "", rules).catch((cause: unknown) => {
      throw new RealmError("The realm was refused", { cause });
    });
    return {
      realm,
      service: parameters.get("service") ?? "",
      // Artifactory and gcr.io send none, and a token without a scope allows nothing.
      scope: parameters.get("scope") || `repository:${target.repository}:pull`,
    };
  }

  /** Rejects the current credentials and moves on to the next source. */
  #reject(outcome: "refused" | "unusable", reason: string): void {
    const source = this.#sourceName;
    const host = this.#options.target.registry;
    this.#rejected.push(`${source} (${reason})`);
    this.#options.emit({ type: "credentials", host, source, outcome, reason });
    this.#current = undefined;
    this.#announced = "";
    this.#index += 1;
  }

  #announce(): void {
    const source = this.#sourceName;
    if (this.#announced === source) return;
    this.#announced = source;
    const { emit, target } = this.#options;
    const host = target.registry;
    if (source === ANONYMOUS) emit({ type: "anonymous", host });
    else emit({ type: "credentials", host, source, outcome: "used", reason: "" });
  }

  /** Everything was refused. The next request starts over, so that a new login is noticed. */
  #exhausted(): CredentialError {
    const { registry, repository } = this.#options.target;
    const tried = this.#rejected.join("; ");
    const login = isDockerHub(registry) ? "docker login" : `docker login ${registry}`;
    this.#index = 0;
    this.#rejected = [];
    this.#current = undefined;
    this.#challenge = undefined;
    return new CredentialError(
      `Cannot sign in to ${registry} for ${registry}/${repository}: tried ${tried}; run "${login}", or set DOCKER_USERNAME and DOCKER_PASSWORD`,
    );
  }
}

/** Ends the search for credentials, since no others would change the realm. */
class RealmError extends Error {}

function bearer(token: string, expiresAt: number): ChallengeAnswer {
  return { headers: { authorization: `Bearer ${token}` }, expiresAt };
}

/** Whether other credentials may work. An unreachable service says nothing about the credentials. */
function isRefusal(error: unknown): error is DewyError {
  return error instanceof DewyError && !(error instanceof RemoteError) && error.code !== "aborted";
}
