import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";

const DEFAULT_UNIVERSE = "googleapis.com";
const DOMAIN =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/;

/** The domain of Google's servers: the public cloud's, or that of a sovereign cloud that the operator configured. */
export function googleUniverse(env: Environment): string {
  const name = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";
  const domain = (env[name] || DEFAULT_UNIVERSE).toLowerCase();
  if (DOMAIN.test(domain)) return domain;
  throw new ConfigError(`Cannot use ${name}: expected a domain such as ${DEFAULT_UNIVERSE}`);
}

/** Checks that the universe which credentials state is the one they will be sent to. */
export function assertUniverse(stated: string | undefined, universe: string, source: string): void {
  const expected = stated?.toLowerCase() || DEFAULT_UNIVERSE;
  if (expected === universe) return;
  throw new ConfigError(
    `Cannot use ${source}: it is for "${expected}", but dewy uses "${universe}"; set GOOGLE_CLOUD_UNIVERSE_DOMAIN to the right one`,
  );
}

/** A URL in a credential file, and where it stands, for errors. */
export interface CredentialUrl {
  text: string;
  field: string;
  source: string;
}

/**
 * Reads a URL that secrets are sent to, which must be one of Google's.
 *
 * @see https://cloud.google.com/docs/authentication/client-libraries#external-credentials
 */
export function parseGoogleUrl(url: CredentialUrl, universe: string): string {
  const { host, hostname, href } = parseSecureUrl(url);
  if (hostname === universe || hostname.endsWith(`.${universe}`)) return href;
  throw new ConfigError(
    `Cannot use ${url.source}: ${url.field} leads to ${host}, which is not in ${universe}`,
  );
}

export function parseSecureUrl({ text, field, source }: CredentialUrl): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" && url.username === "" && url.password === "") return url;
  throw new ConfigError(
    `Cannot use ${source}: ${field} "${redactUrl(text)}" is not an https:// URL without credentials`,
  );
}

/** Azure's metadata server has no TLS: https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service */
const LINK_LOCAL = "169.254.169.254";

/** Reads the URL of a server of subject tokens. Only this machine and its platform may use plain HTTP. */
export function parseSubjectUrl(subject: CredentialUrl): string {
  const url = URL.canParse(subject.text) ? new URL(subject.text) : undefined;
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url?.hostname ?? "");
  const isPlain = url?.protocol === "http:" && (isLoopback || url.hostname === LINK_LOCAL);
  if (isPlain && url.username === "" && url.password === "") return url.href;
  return parseSecureUrl(subject).href;
}
