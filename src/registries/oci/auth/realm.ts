import { CredentialError } from "../../../core/error.ts";
import { isPrivateAddress, isPrivateHost } from "../../../core/private_address.ts";
import { redactUrl } from "../../../core/url.ts";

/** Who may hand out tokens. */
export interface RealmRules {
  /** The address of the registry. */
  registry: URL;
  /** A host that the user allows wherever it is; empty: none. */
  allowedHost: string;
  /** The addresses of a host; absent on the edge, where names cannot be looked up. */
  resolveHost?: (host: string) => Promise<readonly string[]>;
}

/**
 * Checks the address of a token service that a registry names: it must not send dewy into the network that dewy runs in.
 *
 * @param text the challenge's realm.
 * @param rules who may hand out tokens.
 * @returns the address.
 * @throws CredentialError when it is none, or leads to private address space other than the registry's own host.
 */
export async function checkRealm(text: string, rules: RealmRules): Promise<URL> {
  const { registry, allowedHost, resolveHost } = rules;
  const refuse = (why: string): CredentialError =>
    new CredentialError(
      `Cannot sign in to ${registry.host}: it names "${redactUrl(text)}" to get a token from, ${why}`,
    );
  // Not left to URL alone: it reads http:///token as http://token.
  if (!/^https?:\/\/[^/?#\\]/i.test(text) || !URL.canParse(text)) {
    throw refuse("which is no http:// or https:// address");
  }
  const realm = new URL(text);
  if (realm.username !== "" || realm.password !== "") throw refuse("which has credentials in it");
  if (isOwnHost(realm, rules) || realm.hostname === hostname(allowedHost)) return realm;
  const inside = `which is in private address space; where that is right, allow it with realm=${realm.hostname}`;
  if (isPrivateHost(realm.hostname)) throw refuse(inside);
  // A name that cannot be looked up here may be known to the proxy.
  const addresses = (await resolveHost?.(realm.hostname).catch(() => [])) ?? [];
  if (addresses.some(isPrivateAddress)) throw refuse(inside);
  return realm;
}

/**
 * Tells whether a token service may see passwords: over TLS, or where the registry itself, spoken to without TLS by the
 * user's choice, is the same host.
 *
 * @param realm a realm that was checked.
 * @param rules who may hand out tokens.
 * @returns whether credentials may be sent there.
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
