import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";

const DEFAULT_UNIVERSE = "googleapis.com";
const DOMAIN =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/;

/**
 * The domain that Google's servers are in: that of the public cloud, unless the operator names the domain of a
 * sovereign one.
 *
 * @param env environment variables; `GOOGLE_CLOUD_UNIVERSE_DOMAIN` is read.
 * @returns `googleapis.com`, or another domain.
 * @throws ConfigError when the variable holds no domain.
 */
export function googleUniverse(env: Readonly<Record<string, string | undefined>>): string {
  const name = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
  const domain = (env[name] || DEFAULT_UNIVERSE).toLowerCase();
  if (DOMAIN.test(domain)) return domain;
  throw new ConfigError(`Cannot use ${name}: expected a domain such as ${DEFAULT_UNIVERSE}`);
}

/**
 * Checks that credentials belong to the servers that they will be used with.
 *
 * @param stated what the credentials say; `undefined`: the public cloud.
 * @param universe what dewy was told.
 * @param source where the credentials came from, for errors.
 * @throws ConfigError when they differ.
 */
export function assertUniverse(stated: string | undefined, universe: string, source: string): void {
  const theirs = stated?.toLowerCase() || DEFAULT_UNIVERSE;
  if (theirs === universe) return;
  throw new ConfigError(
    `Cannot use ${source}: it is for "${theirs}", but dewy asks "${universe}"; set GOOGLE_CLOUD_UNIVERSE_DOMAIN to the right one`,
  );
}

/**
 * An address of Google out of a credential file, which must not lead anywhere else: it gets secrets.
 *
 * @param text the address.
 * @param field where it stands, for errors.
 * @param universe the domain that its host must be in.
 * @param source where the credentials came from, for errors.
 * @returns the address.
 * @throws ConfigError when it is not `https://`, has credentials in it, or is of another domain.
 * @see https://cloud.google.com/docs/authentication/client-libraries#external-credentials
 */
export function googleAddress(
  text: string,
  field: string,
  universe: string,
  source: string,
): string {
  const url = secureAddress(text, field, source);
  if (url.hostname === universe || url.hostname.endsWith(`.${universe}`)) return url.href;
  throw new ConfigError(
    `Cannot use ${source}: ${field} leads to ${url.host}, which is not in ${universe}`,
  );
}

/**
 * An address out of a credential file.
 *
 * @param text the address.
 * @param field where it stands, for errors.
 * @param source where the credentials came from, for errors.
 * @returns the address.
 * @throws ConfigError when it is not `https://`, or has credentials in it.
 */
export function secureAddress(text: string, field: string, source: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" && url.username === "" && url.password === "") return url;
  throw new ConfigError(
    `Cannot use ${source}: ${field} "${redactUrl(text)}" is not an https:// address without credentials`,
  );
}

/** Azure's metadata server, which has no TLS: https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service */
const LINK_LOCAL = "169.254.169.254";

/**
 * The address of a server that hands out subject tokens.
 *
 * @param text the address.
 * @param field where it stands, for errors.
 * @param source where the credentials came from, for errors.
 * @returns the address.
 * @throws ConfigError when it is plain HTTP to something that is not this machine or its platform.
 */
export function subjectAddress(text: string, field: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const local = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url?.hostname ?? "");
  const plain = url?.protocol === "http:" && (local || url.hostname === LINK_LOCAL);
  if (plain && url.username === "" && url.password === "") return url.href;
  return secureAddress(text, field, source).href;
}
