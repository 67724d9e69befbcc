import { CredentialError } from "../../../core/error.ts";
import { isPrivateAddress, isPrivateHost } from "../../../core/private_address.ts";
import { redactUrl } from "../../../core/url.ts";
import type { ResolveHost } from "../../../http/redirect.ts";

export interface Challenge {
  /** In lower case: `basic`, `bearer`. */
  scheme: string;
  /** Names in lower case; of a repeated parameter, the first counts. */
  parameters: ReadonlyMap<string, string>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const SCHEME = new RegExp(`^(${TOKEN})(?=[\\s,]|$)`);
// Some servers omit the quotes that the grammar requires: realm=https://….
const PARAMETER = new RegExp(
  `^[\\s,]*(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]*))`,
  "s",
);
const TOKEN68 = /^\s+[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))/;

/**
 * Parses `WWW-Authenticate`: several challenges, commas within quotes, escaped quotes. Malformed parts are skipped.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  let rest = header;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    const found = pattern.exec(rest) ?? undefined;
    if (found !== undefined) rest = rest.slice(found[0].length);
    return found;
  };
  for (;;) {
    take(/^[\s,]+/);
    if (rest === "") return challenges;
    const scheme = take(SCHEME)?.[1];
    if (scheme === undefined) {
      take(/^[^,]+/);
      continue;
    }
    const parameters = new Map<string, string>();
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    if (take(TOKEN68) !== undefined) continue;
    for (let found = take(PARAMETER); found !== undefined; found = take(PARAMETER)) {
      const [, name = "", quoted, bare = ""] = found;
      const key = name.toLowerCase();
      if (!parameters.has(key)) parameters.set(key, quoted?.replace(/\\(.)/gs, "$1") ?? bare);
    }
  }
}

export function chooseChallenge(header: string): Challenge | undefined {
  const challenges = parseChallenges(header);
  return (
    challenges.find(({ scheme }) => scheme === "bearer") ??
    challenges.find(({ scheme }) => scheme === "basic")
  );
}

export interface RealmRules {
  registry: URL;
  /** A host that the operator allows even in private address space; may be empty. */
  allowedHost: string;
  /** Absent on the edge, where only literal addresses are checked. */
  resolveHost?: ResolveHost | undefined;
}

/**
 * Checks the URL of a token service (the challenge's realm), which a registry could use to direct dewy into the private
 * network that it runs in. Only the registry's own host and the allowed host may be in private address space.
 */
export async function checkRealm(text: string, rules: RealmRules): Promise<URL> {
  const { registry, allowedHost, resolveHost } = rules;
  const refuse = (why: string): CredentialError =>
    new CredentialError(
      `Cannot sign in to ${registry.host}: its token service "${redactUrl(text)}" ${why}`,
    );
  // URL alone is not enough: it reads http:///token as http://token.
  if (!/^https?:\/\/[^/?#\\]/i.test(text) || !URL.canParse(text)) {
    throw refuse("is not an http:// or https:// URL");
  }
  const realm = new URL(text);
  if (realm.username !== "" || realm.password !== "") throw refuse("has credentials in its URL");
  if (isOwnHost(realm, rules) || realm.hostname === hostname(allowedHost)) return realm;
  const isPrivate = `is in private address space; if that is right, allow it with realm=${realm.hostname}`;
  if (isPrivateHost(realm.hostname)) throw refuse(isPrivate);
  // The proxy may know a name that cannot be looked up here.
  const addresses = (await resolveHost?.(realm.hostname).catch(() => [])) ?? [];
  if (addresses.some(isPrivateAddress)) throw refuse(isPrivate);
  return realm;
}

/**
 * Whether credentials may be sent to a token service: over TLS, or if the operator chose plain HTTP for the registry and
 * the host is the same or allowed.
 */
export function isTrustedRealm(realm: URL, rules: RealmRules): boolean {
  if (realm.protocol === "https:") return true;
  const isChosen = isOwnHost(realm, rules) || realm.hostname === hostname(rules.allowedHost);
  return isChosen && rules.registry.protocol === "http:";
}

function isOwnHost(realm: URL, { registry }: RealmRules): boolean {
  return realm.hostname === registry.hostname;
}

function hostname(host: string): string | undefined {
  return URL.canParse(`https://${host}`) ? new URL(`https://${host}`).hostname : undefined;
}
