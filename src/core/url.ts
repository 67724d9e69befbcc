/**
 * Parsing, validation and redaction of the URLs of registries, artifacts and notifiers. They are not WHATWG URLs: `..`
 * and `//` in a prefix are names, so paths are never normalised.
 *
 * @module
 */
import { ConfigError } from "./error.ts";

/** A URL split into its parts. Only the query is decoded. */
export interface SplitUrl {
  /** The text as given; print it only through {@link redactUrl}. */
  text: string;
  /** The part before `://`, in its original case. */
  scheme: string;
  /** The part between `://` and the next `/`, `?` or `#`. */
  host: string;
  /** The path including its first `/`, percent-encoded; empty if absent. */
  path: string;
  /** The decoded query; the last value of a repeated key wins. Empty values count as unset. */
  query: ReadonlyMap<string, string>;
}

/** The syntax of an option's value. */
export type OptionType = "boolean" | "string" | "duration" | "url";

/** An option in a URL's query, as shown by `--help` and the reference. */
export interface OptionSpec {
  /** The key in the query, in kebab case. */
  name: string;
  /** The syntax of its value. */
  type: OptionType;
  /** One line on what it does. */
  description: string;
  /** Whether its value is never printed. */
  secret?: boolean;
}

export function option(name: string, description: string, type: OptionType = "string"): OptionSpec {
  return { name, type, description };
}

const URL_PARTS = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?$/s;

/** Splits a URL. `what` names it in errors, such as `--registry`. */
export function splitUrl(text: string, what: string): SplitUrl {
  const parts = URL_PARTS.exec(text);
  if (parts === null) {
    const isShort = /^[a-z\d]+:\/?[^/]/i.test(text);
    const few = isShort ? "; write two slashes after the colon, and three for a directory" : "";
    const hint = text.startsWith("/") ? `, or file://${text} for a directory` : few;
    throw new ConfigError(
      `Cannot read ${what} "${redactUrl(text)}": expected <scheme>://<host>/<path>${hint}`,
    );
  }
  const [, scheme = "", host = "", path = "", query = "", fragment] = parts;
  if (fragment !== undefined) {
    throw new ConfigError(
      `Cannot read ${what} "${redactUrl(text)}": a fragment is not allowed; write %23 for a literal #`,
    );
  }
  return { text, scheme, host, path, query: parseQuery(query, what, text) };
}

function parseQuery(query: string, what: string, text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const key = decode(equals < 0 ? pair : pair.slice(0, equals), true, what, text);
    values.set(key, equals < 0 ? "" : decode(pair.slice(equals + 1), true, what, text));
  }
  return values;
}

function decode(text: string, plusIsSpace: boolean, what: string, url: string): string {
  try {
    return decodeURIComponent(plusIsSpace ? text.replaceAll("+", " ") : text);
  } catch (cause) {
    throw new ConfigError(
      `Cannot read ${what} "${redactUrl(url)}": bad percent-encoding; write %25 for a literal "%"`,
      { cause },
    );
  }
}

/** Decodes a part of a path; throws ConfigError if it is malformed or contains NUL. */
export function decodePath(part: string, url: SplitUrl, what: string): string {
  const text = decode(part, false, what, url.text);
  if (text.includes("\0")) {
    throw new ConfigError(
      `Cannot read ${what} "${redactUrl(url.text)}": it contains a NUL character`,
    );
  }
  return text;
}

/** Inverse of {@link decodePath}. Escapes only what would change the meaning: `v1.0.0+blue` stays readable. */
export function encodePath(text: string, keepSlash: boolean): string {
  const encoded = encodeURIComponent(text).replaceAll(/%(2B|3A|40|3D|2C|3B|26|24)/g, (hex) =>
    decodeURIComponent(hex),
  );
  return keepSlash ? encoded.replaceAll("%2F", "/") : encoded;
}

/** Lays options given in code over those of the query; an explicit one wins, an empty one is unset. */
export function overlayQuery(
  url: SplitUrl,
  options: Readonly<Record<string, string | boolean | undefined>>,
): SplitUrl {
  const query = new Map(url.query);
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined && value !== "") query.set(key, String(value));
  }
  return { ...url, query };
}

/** The checked values of a query. */
export interface QueryReader {
  /** The text of an option; empty if it is unset. */
  text(name: string): string;
  /** Whether an option is true; false if it is unset. */
  flag(name: string): boolean;
}

const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True", "on"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False", "off"]);

/** Validates a query against a driver's options. */
export function readQuery(url: SplitUrl, specs: readonly OptionSpec[], what: string): QueryReader {
  const names = new Set(specs.map((spec) => spec.name));
  for (const key of url.query.keys()) {
    if (!names.has(key)) {
      throw new ConfigError(
        `Cannot use ${what} "${redactUrl(url.text)}": unknown option "${key}"; ` +
          `${url.scheme}:// knows ${[...names].sort().join(", ") || "no options"}`,
      );
    }
  }
  return {
    text: (name) => url.query.get(name) ?? "",
    flag: (name) => {
      const value = url.query.get(name) ?? "";
      if (value === "" || FALSE.has(value)) return false;
      if (TRUE.has(value)) return true;
      throw new ConfigError(
        `Cannot use ${what} "${redactUrl(url.text)}": ${name}=${value} is neither true nor false`,
      );
    },
  };
}

/** Names of query keys that drivers declare: those of their options, and of the requests that they send. */
export interface PrintableKeys {
  readonly options?: readonly Pick<OptionSpec, "name" | "secret">[];
  /** Keys of request URLs, such as `page`, whose values are never secret. */
  readonly requestKeys?: readonly string[];
}

// Everything else could be a secret. The set only grows: until a table is declared, more is hidden, never less.
const printableKeys = new Set<string>();

/** Lets {@link redactUrl} print the values of the query keys that the drivers of a table declare. */
export function declarePrintable(table: Readonly<Record<string, PrintableKeys>>): void {
  for (const { options = [], requestKeys = [] } of Object.values(table)) {
    const shown = options.filter(({ secret }) => secret !== true).map(({ name }) => name);
    for (const key of [...shown, ...requestKeys]) printableKeys.add(key);
  }
}

/** Reads an http:// or https:// URL without credentials, query and fragment; it has no slash at its end. */
export function readBaseUrl(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) return undefined;
  if (`${url.username}${url.password}${url.search}${url.hash}` !== "") return undefined;
  return url.href.replace(/\/+$/, "");
}

/**
 * Redacts a URL for a log, an error or a notification. Removes user name and password, also from malformed URLs, and
 * replaces the values of query keys by `…`, except those that drivers declare with {@link declarePrintable}.
 */
export function redactUrl(url: string | URL): string {
  const text = withoutUserInfo(String(url));
  const start = text.indexOf("?");
  if (start < 0) return text.replace(/#.*$/s, "");
  const pairs = text
    .slice(start + 1)
    .replace(/#.*$/s, "")
    .split("&")
    .map(redactPair);
  return `${text.slice(0, start)}?${pairs.join("&")}`;
}

/** An unescaped password may contain `/`, `?` or `#`; digits up to the next `/` are a port. */
function withoutUserInfo(text: string): string {
  const scheme = /^(?:[A-Za-z][A-Za-z0-9+.-]*:)?\/\//.exec(text)?.[0];
  if (scheme === undefined) return text.replace(/^(?:[^/?#\s]*|[^/?#@\s:]+:[^@\s]*)@/, "…@");
  const rest = text.slice(scheme.length);
  const pasted = /^[^/?#@[]*:(?!\d{1,5}(?:[/?#]|$))[^@]*@/;
  return scheme + rest.replace(/^[^/?#]*@/, "").replace(pasted, "");
}

function redactPair(pair: string): string {
  const equals = pair.indexOf("=");
  if (equals < 0) return pair;
  const key = pair.slice(0, equals);
  if (!printableKeys.has(key)) return `${key}=…`;
  const value = decodedValue(pair.slice(equals + 1));
  // A printable value may be a URL with secrets in it.
  const shown = /:\/\/|:.*@/s.test(value) ? redactUrl(value) : value;
  return shown === value ? pair : `${key}=${shown}`;
}

function decodedValue(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
