import { readFile, stat } from "node:fs/promises";
import { ConfigError } from "../core/error.ts";
import { nearest } from "../core/text.ts";
import { declarePrintable, redactUrl, type SplitUrl, splitUrl } from "../core/url.ts";
import { fileError } from "../host/files/file_error.ts";
import type { NotifierDriver } from "./driver.ts";

/** The notifiers by scheme; a driver may have several. */
export type NotifierTable = Readonly<Record<string, NotifierDriver>>;

/** The URL of a notifier, with its driver. */
export interface NotifierUrl {
  text: string;
  url: SplitUrl;
  driver: NotifierDriver;
}

/** The variable with the URLs of notifiers, separated by white space. */
export const NOTIFIER_VARIABLE = "DEWY_NOTIFIER";

const SCHEME = /^([a-z][a-z0-9+.-]*):/;

/** Where URLs of notifiers come from. */
export interface NotifierSources {
  notifiers: readonly string[];
  notifierFiles: readonly string[];
}

export interface CollectedUrls {
  texts: readonly string[];
  /** Where a URL stands that no flag has, for messages. */
  origins: ReadonlyMap<string, string>;
  /** The files that every user can read. */
  publicFiles: readonly string[];
  /** The files without a URL. */
  emptyFiles: readonly string[];
}

interface OriginalUrl {
  text: string;
  origin: string;
}

/** Returns the URLs of the flags, the files and the variable. */
export async function collectNotifierUrls(
  { notifiers, notifierFiles }: NotifierSources,
  env: Readonly<Record<string, string | undefined>>,
): Promise<CollectedUrls> {
  const files = await Promise.all(notifierFiles.map(readUrls));
  const words = (env[NOTIFIER_VARIABLE] ?? "").split(/\s+/).filter((text) => text !== "");
  const ofVariable = words.map((text) => ({ text, origin: NOTIFIER_VARIABLE }));
  const others = [...files.flatMap(({ urls }) => urls), ...ofVariable];
  return {
    texts: [...notifiers, ...others.map(({ text }) => text)],
    origins: new Map(others.map(({ text, origin }) => [text, origin])),
    publicFiles: notifierFiles.filter((_, index) => files[index]?.isPublic),
    emptyFiles: notifierFiles.filter((_, index) => files[index]?.urls.length === 0),
  };
}

async function readUrls(
  path: string,
): Promise<{ urls: readonly OriginalUrl[]; isPublic: boolean }> {
  try {
    const [text, { mode }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    const lines = text.replace(/^\uFEFF/, "").split("\n");
    const urls = lines
      .map((line, index) => ({ text: line.trim(), origin: `line ${index + 1} of "${path}"` }))
      .filter((url) => !/^(#|$)/.test(url.text));
    const isPublic = process.getuid !== undefined && (mode & 0o004) !== 0;
    return { urls, isPublic: isPublic && urls.length > 0 };
  } catch (cause) {
    const { message } = fileError("read", path, cause);
    throw new ConfigError(`Cannot use --notifier-file: ${message}`, { cause });
  }
}

export function readNotifierUrl(text: string, table: NotifierTable): NotifierUrl {
  declarePrintable(table);
  const [, scheme = ""] = SCHEME.exec(text) ?? [];
  const driver = Object.hasOwn(table, scheme) ? table[scheme] : undefined;
  if (driver === undefined) throw unsupported(text, table);
  const url = splitNotifierUrl(text, driver);
  // The webhook of a service understands only what its own driver sends.
  const meant = /(^|\+)https?$/.test(scheme) ? driverOfSite(url.host, table) : undefined;
  if (meant !== undefined && meant !== driver) {
    throw new ConfigError(
      `Cannot use --notifier "${hiddenUrl(text)}": for ${meant.name} ${advice(meant)}`,
    );
  }
  return { text, url, driver };
}

function splitNotifierUrl(text: string, driver: NotifierDriver): SplitUrl {
  if (driver.isOpaque && !/^[a-z0-9+.-]*:\/\//.test(text)) {
    const [start = "", scheme = ""] = SCHEME.exec(text) ?? [];
    return { text, scheme, host: "", path: text.slice(start.length), query: new Map() };
  }
  // Operators write a channel as Slack shows it, `slack://#deploy`; no notifier URL has a fragment.
  const plain = text.replace(/^([a-z][a-z0-9+.-]*:\/\/)#/, "$1%23");
  // The error would show the URL.
  if (driver.isSecretUrl && plain.includes("#")) {
    throw new ConfigError(
      `Cannot read --notifier "${hiddenUrl(text)}": a fragment is not allowed; write %23 for a literal #`,
    );
  }
  return splitUrl(plain, "--notifier");
}

/** How each URL is shown, without secrets. Those that look the same are numbered. */
export function labelsOf(urls: readonly NotifierUrl[]): readonly string[] {
  const labels = urls.map(labelOf);
  return labels.map((label, index) => {
    if (labels.indexOf(label) === labels.lastIndexOf(label)) return label;
    const number = labels.slice(0, index + 1).filter((one) => one === label).length;
    return `${label} (${number})`;
  });
}

function labelOf({ text, url, driver }: NotifierUrl): string {
  return driver.isSecretUrl ? hiddenUrl(text) : redactUrl(url.text).replace("://%23", "://");
}

/** `discord+https://discord.com/…` */
export function hiddenUrl(text: string): string {
  const [, start = "", authority = ""] =
    /^([a-z][a-z0-9+.-]*:(?:\/\/)?)?([^/?#\s]*)/i.exec(text) ?? [];
  const rest = text.length > start.length + authority.length ? "/…" : "";
  return start.endsWith(":") ? `${start}…` : `${redactUrl(start + authority)}${rest}`;
}

/** Words of the URLs of well-known services, and flags of a command. */
const PLAIN_WORD = /^-*[a-z-]+$/i;
const MIN_SEGMENT_LENGTH = 8;

/** The parts of the URLs that must not be printed. */
export function secretsIn(texts: readonly string[], table: NotifierTable): readonly string[] {
  return texts.flatMap((text) => {
    const [, scheme = "", rest = ""] = /^([^:]*):(?:\/\/)?(.*)$/s.exec(text) ?? [];
    const driver = Object.hasOwn(table, scheme) ? table[scheme] : undefined;
    const form = driver?.isOpaque ? /^()(.*)()$/s : /^([^/?#]*)([^?#]*)(.*)$/s;
    const [, authority = "", path = "", query = ""] = form.exec(rest) ?? [];
    // What cannot be read is not shown either.
    const isSecret = driver === undefined || driver.isSecretUrl === true;
    const isSecretKey = new Map(driver?.options.map(({ name, secret = false }) => [name, secret]));
    const values = query.split(/[?&#]/).flatMap((pair) => {
      const [, key = "", value = ""] = /^([^=]*)=?(.*)$/s.exec(pair) ?? [];
      return (isSecretKey.get(key) ?? isSecret) ? [value] : [];
    });
    const user = authority.includes("@") ? authority.replace(/@[^@]*$/, "") : "";
    const parts = isSecret ? partsOf(path, query, values) : values;
    return [user, user.replace(/^[^:]*:/, ""), ...parts].flatMap(spellings);
  });
}

function partsOf(path: string, query: string, values: readonly string[]): readonly string[] {
  const parts = [...path.split(/[/\s=]/), ...values].filter((part) => {
    return part.length >= MIN_SEGMENT_LENGTH && !PLAIN_WORD.test(part);
  });
  return [path.length > 1 ? path + query : "", path, query.slice(1), ...parts];
}

function spellings(text: string): readonly string[] {
  if (text === "") return [];
  try {
    return [text, decodeURIComponent(text), decodeURIComponent(text.replaceAll("+", " "))];
  } catch {
    return [text];
  }
}

function unsupported(text: string, table: NotifierTable): ConfigError {
  const [, start = "", host = ""] = /^([a-z][a-z0-9+.-]*:\/\/)?([^/?#\s]*)/i.exec(text) ?? [];
  const shown = `"${hiddenUrl(text)}"`;
  const drivers = [...new Set(Object.values(table))];
  const meant = driverOfSite(host, table);
  const near = schemeNear(start.replace("://", "").toLowerCase(), Object.keys(table));
  const advised = meant === undefined ? "" : `; for ${meant.name} ${advice(meant)}`;
  const hint = near === undefined || meant !== undefined ? advised : `; did you mean ${near}://?`;
  return new ConfigError(
    start === ""
      ? `Cannot read --notifier ${shown}: expected ${drivers.map(({ syntax }) => syntax).join(", ")}${hint}`
      : `unsupported notifier: ${shown}; supported: ${Object.keys(table).join(", ")}${hint}`,
  );
}

function schemeNear(scheme: string, schemes: readonly string[]): string | undefined {
  return schemes.find((one) => `${one}+`.startsWith(`${scheme}+`)) ?? nearest(scheme, schemes);
}

/** The driver of the service with this host, by the most specific domain. */
function driverOfSite(host: string, table: NotifierTable): NotifierDriver | undefined {
  const found = Object.values(table).flatMap((driver) =>
    (driver.sites ?? []).filter((site) => isBelow(host, site)).map((site) => ({ site, driver })),
  );
  return found.sort((one, other) => other.site.length - one.site.length)[0]?.driver;
}

function isBelow(host: string, domain: string): boolean {
  return `.${host.replace(/^.*@|:\d+$/g, "").toLowerCase()}`.endsWith(`.${domain}`);
}

function advice({ syntax, environment }: NotifierDriver): string {
  const secrets = environment.filter(({ secret }) => secret !== false).map(({ name }) => name);
  return `use ${syntax}${secrets.length === 0 ? "" : `, and set ${secrets.join(" and ")}`}`;
}
