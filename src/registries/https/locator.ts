import { ConfigError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import { decodePath, type OptionSpec, option, redactUrl, type SplitUrl } from "../../core/url.ts";
import { ALLOW_OPTION, HOST, readAllow } from "../answered/allow.ts";
import {
  badRegistryUrl,
  type LocatorBase,
  RESOLVED_OPTIONS,
  readRegistryQuery,
} from "../driver.ts";

/** The environment variable with the bearer token of the handler. */
export const TOKEN_VARIABLE = "DEWY_HTTPS_TOKEN";
export const HTTPS_SYNTAX = "https://<host>[:<port>][/<path>]";
export const HTTPS_OPTIONS: readonly OptionSpec[] = [
  ...RESOLVED_OPTIONS,
  option("insecure", "Whether to speak plain HTTP; only to this machine", "boolean"),
  ALLOW_OPTION,
];

/** A handler that chooses the version itself; see docs/handler.md. */
export interface HttpsLocator extends LocatorBase {
  /** The kind of registry. */
  type: "https";
  /** The address of the handler, without a slash at its end. */
  base: string;
  /** Schemes and hosts that the handler's artifact URLs may use: `http`, `file`, `endpoint`, hosts. Defaults to none. */
  allow?: readonly string[];
}

/** Reads `https://host/path`. The handler chooses, so `pre-release`, `constraint` and `artifact` are its options. */
export function parseHttpsUrl(url: SplitUrl): HttpsLocator {
  const { common, query } = readRegistryQuery("https", url, HTTPS_OPTIONS);
  const host = decodePath(url.host, url, "--registry");
  const scheme = query.flag("insecure") ? "http" : "https";
  const text = `${scheme}://${host}${url.path}`;
  if (!HOST.test(host.toLowerCase()) || !URL.canParse(text)) {
    throw badRegistryUrl(
      url,
      `"${host}" is not a valid host, or its port is not valid`,
      HTTPS_SYNTAX,
    );
  }
  const base = new URL(text);
  if (scheme === "http" && !isLoopbackHost(base.hostname)) {
    throw new ConfigError(
      `Cannot use --registry "${redactUrl(url.text)}": insecure=true is for this machine only, ` +
        `and "${base.hostname}" is another; serve the handler over TLS`,
    );
  }
  return { ...common, base: base.href.replace(/\/+$/, ""), allow: readAllow(url, query) };
}
