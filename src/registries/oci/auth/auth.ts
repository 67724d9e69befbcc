import type { Clock } from "../../../core/clock.ts";
import { CredentialError, DewyError, RemoteError } from "../../../core/error.ts";
import type { EventSink } from "../../../core/event.ts";
import type { HttpClient, HttpFailure } from "../../../http/client.ts";
import { ociMessage } from "../error.ts";
import { isDockerHub } from "../image_reference.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import {
  basicHeader,
  type CredentialSource,
  type OciCredential,
  type OciTarget,
} from "./credential.ts";
import { checkRealm, isTrustedRealm, type RealmRules } from "./realm.ts";
import { askToken, type TokenScope } from "./token.ts";

/** What signing in to a registry needs. */
export interface OciAuthParts {
  /** The repository. */
  target: OciTarget;
  /** Who may hand out tokens. */
  rules: RealmRules;
  /** Where credentials may be found, in this order; anonymous comes last by itself. */
  sources: readonly CredentialSource[];
  /** Asks token services. */
  http: HttpClient;
  /** Time. */
  clock: Clock;
  /** Hears which credentials are used and refused. */
  emit: EventSink;
}

/** Proof of who asks, for one request. */
export interface OciProof {
  /** Headers to send; none before the registry has asked for any. */
  headers: Readonly<Record<string, string>>;
  /** It is the answer to a challenge, and this was its first use. */
  isFresh: boolean;
}

/** Signs in to one registry. */
export interface OciAuth {
  /** What to send with the next request; asks for a token when the last one has ended. */
  proof(signal: AbortSignal | undefined): Promise<OciProof>;
  /**
   * Takes note of a refusal (401, 403).
   *
   * @returns whether to ask again, with another {@link OciAuth.proof}; the error to throw when nothing is left to try.
   */
  refused(proof: OciProof, failure: HttpFailure): "again" | DewyError | undefined;
  /**
   * @returns the credential that the last question was answered with, looked up anew; `undefined`: it was anonymous.
   */
  accepted(signal: AbortSignal | undefined): Promise<OciCredential | undefined>;
}

interface Held {
  headers: Readonly<Record<string, string>>;
  /** Not used after this, in milliseconds since the Unix epoch. */
  until: number;
  /** It was used before. */
  used: boolean;
}

/** A token that ends on the way is of no use. */
const MARGIN_MS = 5_000;
const ANONYMOUS = "anonymous";

/**
 * Signs in as the registry asks for, by Basic or by Bearer tokens, with the first credentials that it does not refuse;
 * anonymously when all are. Nothing is sent before the registry has asked for it.
 *
 * @param parts the repository, the places to look at, and the world.
 * @returns who dewy is.
 */
export function ociAuth(parts: OciAuthParts): OciAuth {
  const { target, rules, sources, http, clock, emit } = parts;
  let challenge: Challenge | undefined;
  let held: Held | undefined;
  let at = 0;
  let tried: string[] = [];
  let told = "";

  const sourceName = (): string => sources[at]?.name ?? ANONYMOUS;

  /** The present credentials are of no use: on to the next. */
  function turnDown(outcome: "refused" | "unusable", reason: string): void {
    const source = sourceName();
    tried.push(`${source} (${reason})`);
    emit({ type: "credentials", host: target.registry, source, outcome, reason });
    held = undefined;
    told = "";
    at += 1;
  }

  function announce(): void {
    const source = sourceName();
    if (told === source) return;
    told = source;
    const host = target.registry;
    if (source === ANONYMOUS) emit({ type: "anonymous", host });
    else emit({ type: "credentials", host, source, outcome: "used", reason: "" });
  }

  /** Everything was refused. The next question starts over, so that a new login is seen. */
  function exhausted(): CredentialError {
    const where = `${target.registry}/${target.repository}`;
    const attempts = tried.join("; ");
    const login = isDockerHub(target.registry) ? "docker login" : `docker login ${target.registry}`;
    at = 0;
    tried = [];
    held = undefined;
    challenge = undefined;
    return new CredentialError(
      `Cannot sign in to ${target.registry} for ${where}: tried ${attempts}; run "${login}", or set DOCKER_USERNAME and DOCKER_PASSWORD`,
    );
  }

  async function mint(asked: Challenge, signal: AbortSignal | undefined): Promise<Held> {
    for (;;) {
      const source = sources[at];
      const isAnonymous = at === sources.length;
      if (at > sources.length) throw exhausted();
      let credential: OciCredential | undefined;
      try {
        credential = await source?.find(signal);
        if (!isAnonymous && credential === undefined) {
          at += 1;
          continue;
        }
        const made = await answer(asked, credential, signal);
        announce();
        return { ...made, used: false };
      } catch (error) {
        if (!isRefusal(error)) throw error;
        turnDown(error instanceof CredentialError ? "refused" : "unusable", error.message);
      }
    }
  }

  async function answer(
    asked: Challenge,
    credential: OciCredential | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Omit<Held, "used">> {
    const source = sourceName();
    const forEver = Number.POSITIVE_INFINITY;
    if (credential?.kind === "bearer") {
      return { headers: { authorization: `Bearer ${credential.token}` }, until: forEver };
    }
    if (asked.scheme === "basic") {
      if (credential?.kind !== "basic") {
        const why = credential === undefined ? "it wants a user name" : "it wants a password";
        throw new CredentialError(`not possible: ${why}`);
      }
      const { username, password, expiresAt = forEver } = credential;
      return {
        headers: { authorization: basicHeader(username, password, source) },
        until: expiresAt,
      };
    }
    const scope = await scopeOf(asked);
    if (credential !== undefined && !isTrustedRealm(scope.realm, rules)) {
      throw new CredentialError(`not sent: ${scope.realm.origin} has no TLS`);
    }
    const { token, expiresAt } = await askToken(http, clock, { scope, credential, source, signal });
    return { headers: { authorization: `Bearer ${token}` }, until: expiresAt };
  }

  async function scopeOf({ parameters }: Challenge): Promise<TokenScope> {
    const realm = await checkRealm(parameters.get("realm") ?? "", rules).catch((error: unknown) => {
      // No other credentials would change this.
      throw error instanceof DewyError ? new RealmRefused(error) : error;
    });
    return {
      realm,
      service: parameters.get("service") ?? "",
      // Artifactory and gcr.io name none, and a token without one allows nothing.
      scope: parameters.get("scope") || `repository:${target.repository}:pull`,
    };
  }

  return {
    async proof(signal) {
      if (challenge === undefined) return { headers: {}, isFresh: false };
      if (held === undefined || clock.now() >= held.until - MARGIN_MS) {
        const asked = challenge;
        held = await mint(asked, signal).catch((error: unknown) => {
          throw error instanceof RealmRefused ? error.error : error;
        });
      }
      const proof = { headers: held.headers, isFresh: !held.used };
      held.used = true;
      return proof;
    },
    refused(proof, failure) {
      const next = chooseChallenge(failure.headers.get("www-authenticate") ?? "");
      if (proof.headers.authorization === undefined) {
        if (failure.status !== 401 || next === undefined) return undefined;
        challenge = next;
        return "again";
      }
      // Another call has moved on already.
      if (held === undefined || held.headers !== proof.headers) return "again";
      challenge = next ?? challenge;
      if (failure.status === 401 && !proof.isFresh) {
        held = undefined;
        return "again";
      }
      turnDown("refused", `HTTP ${failure.status} ${ociMessage(failure)}`.trim());
      return at > sources.length ? exhausted() : "again";
    },
    async accepted(signal) {
      return challenge === undefined ? undefined : sources[at]?.find(signal);
    },
  };
}

/** Ends the search for credentials. */
class RealmRefused extends Error {
  readonly error: DewyError;
  constructor(error: DewyError) {
    super(error.message);
    this.error = error;
  }
}

/** Credentials that are wrong or unusable: others may do. A service that is out of reach says nothing about them. */
function isRefusal(error: unknown): error is DewyError {
  return error instanceof DewyError && !(error instanceof RemoteError) && error.code !== "aborted";
}

function chooseChallenge(header: string): Challenge | undefined {
  const challenges = parseChallenges(header);
  return (
    challenges.find(({ scheme }) => scheme === "bearer") ??
    challenges.find(({ scheme }) => scheme === "basic")
  );
}
