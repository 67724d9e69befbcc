import { type Clock, systemClock } from "../core/clock.ts";
import { driverEnvironment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { nearest } from "../core/text.ts";
import type { OpenOptions, Platform, Registry, ResolveOptions } from "../core/types.ts";
import { declarePrintable, overlayQuery, redactUrl, type SplitUrl, splitUrl } from "../core/url.ts";
import type { ResponseCache } from "../http/response_cache.ts";
import { normalizePlatform, runtimePlatform } from "../platform/platform.ts";
import { compilePolicy } from "../version/load_constraint.ts";
import type {
  HostServices,
  LocatorBase,
  RegistryContext,
  RegistryDriver,
  RegistryLogin,
  RegistryTable,
} from "./driver.ts";
import { inTime, withTimeout } from "./timeout.ts";

/** Options of {@link openRegistry}, {@link latest}, {@link explain} and {@link openArtifact}. */
export interface RegistryOptions extends SchemeOptions {
  /** The platform that artifacts are chosen for. Defaults to the one this code runs on. */
  platform?: Platform | undefined;
  /** Environment variables. Defaults to the runtime's environment, if it has one. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Sends HTTP requests. Defaults to the runtime's `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  /** The clock. Defaults to the runtime's clock. */
  clock?: Clock | undefined;
  /** Receives requests, retries, rate limits and warnings. Defaults to none. */
  emit?: EventSink | undefined;
  /** Aborts everything that was opened with it. */
  signal?: AbortSignal | undefined;
  /**
   * The main credential of the registry: a token for GitHub, a bearer token for `grpc://`, an access token for Google Cloud
   * Storage, a password or access token for an image registry (with the user name `token`; see `registryLogin`). It takes
   * precedence over the environment. `s3://` and `file://` have none. Defaults to the environment's credentials.
   */
  token?: string | undefined;
  /**
   * Keeps responses beyond this call, so that the next one sends conditional requests; see `dewy/cache`. GitHub's API
   * supports them: with a token, an unchanged response does not count against its limit. Defaults to none.
   */
  cache?: ResponseCache | undefined;
  /**
   * A limit in milliseconds on how long a question or the start of a download may take, retries included. If it is exceeded,
   * the call rejects with a `RemoteError` of code `timeout`. Defaults to 10,000; `Infinity` leaves only the limits of each
   * request.
   */
  timeoutMs?: number | undefined;
  /** Whether pre-releases count. Defaults to false. */
  preRelease?: boolean | undefined;
  /** The artifact's name, or a pattern for it. Defaults to a choice by platform. */
  artifact?: string | undefined;
  /** Whether macOS and Windows on arm64 may run a file for amd64 if nothing else fits. Defaults to false. */
  emulation?: boolean | undefined;
  /** A CalVer format such as `YYYY.0M.MICRO`. Defaults to SemVer. */
  calver?: string | undefined;
  /** A semver range that versions must satisfy. Defaults to any version. */
  constraint?: string | undefined;
  /** The build metadata that a version must have. Defaults to any. */
  slot?: string | undefined;
  /** The registries to choose from. Defaults to all that need no host; `dewy/host` adds `file://`. */
  registries?: RegistryTable | undefined;
}

/** Options of one kind of registry. All but `registryLogin` can also be set in the query of the URL. */
export interface SchemeOptions {
  /** The region of `s3://`. Defaults to the host of the URL. */
  region?: string | undefined;
  /** The address of an S3-compatible service. Defaults to AWS. */
  endpoint?: string | undefined;
  /** Whether `grpc://` uses plain text. Defaults to false: TLS. */
  noTls?: boolean | undefined;
  /** The protocol of `grpc://`. Defaults to `grpc` on a host, and to `connect` where there is only `fetch`. */
  protocol?: "grpc" | "grpc-web" | "connect" | undefined;
  /** A file of PEM certificates that `grpc://` trusts in addition. Defaults to none. */
  caFile?: string | undefined;
  /** Schemes and hosts for the artifact URLs of a `grpc://` server: `http`, `file`, `endpoint`, hosts; comma-separated. */
  allow?: string | undefined;
  /** Whether `img://` uses plain HTTP. Defaults to true for `localhost`, otherwise to false. */
  insecure?: boolean | undefined;
  /** A host in private address space that may issue tokens for `img://`. Defaults to none. */
  realm?: string | undefined;
  /** The login of `img://`. It takes precedence over `token` and the environment. */
  registryLogin?: RegistryLogin | undefined;
}

/** Options that are passed on as they are, by name; all others belong to a driver's URL. */
const CONTEXT_OPTIONS: Readonly<Record<ContextOption, true>> = {
  platform: true,
  env: true,
  fetch: true,
  clock: true,
  emit: true,
  signal: true,
  token: true,
  cache: true,
  timeoutMs: true,
  registries: true,
  registryLogin: true,
  readTextFile: true,
  awsCredentials: true,
  awsProfile: true,
  grpcChannel: true,
  credentialHelper: true,
  resolveHost: true,
  guardFetch: true,
  openArtifact: true,
  exclude: true,
  since: true,
  tag: true,
  explain: true,
  maxAgeMs: true,
  offset: true,
  validator: true,
  onValidator: true,
};

type ContextOption =
  | keyof RegistryContext
  | keyof OpenOptions
  | Exclude<keyof ResolveOptions, "artifact" | "onTag" | "once">
  | "timeoutMs";

/** With the table of the entry that was called; only `dewy` knows all registries. */
export type Options = RegistryOptions & HostServices & { registries: RegistryTable };

/** Opens a registry and loads its driver at once, so that errors in the environment show now. */
export async function loadRegistry(
  url: string,
  options: Options,
): Promise<{ registry: Registry; locator: LocatorBase }> {
  const { driver, locator, context } = prepare(url, options);
  await compilePolicy(locator);
  const registry = await driver.open(locator, context);
  return { registry: withTimeout(registry, options.timeoutMs, context.clock), locator };
}

export function prepare(
  url: string,
  options: Options,
): { driver: RegistryDriver; locator: LocatorBase; context: RegistryContext } {
  const table = options.registries;
  const query = queryOf(options, table);
  const split = overlayQuery(splitRegistryUrl(url, table), query);
  const driver = findDriver(split, table);
  checkToken(options, driver);
  return { driver, locator: driver.parse(split), context: contextOf(options, driver) };
}

function checkToken({ token }: Options, driver: RegistryDriver): void {
  if (token === undefined || driver.token !== undefined) return;
  const variables = driver.environment.filter(({ secret }) => secret).map(({ name }) => name);
  const instead =
    variables.length === 0 ? "" : `; set in env what it reads: ${variables.join(", ")}`;
  throw new ConfigError(
    `Cannot use the option token with ${driver.scheme}://: it has no single token${instead}`,
  );
}

/** The default of `timeoutMs` in the functions of the library. An agent has limits of its own. */
export const LIBRARY_TIMEOUT_MS = 10_000;

/** Streams the bytes behind an artifact URL, within `timeoutMs` until the stream begins. */
export async function fetchArtifact(
  artifactUrl: string,
  options: Options & OpenOptions,
): Promise<ReadableStream<Uint8Array>> {
  const { offset, validator, onValidator, signal, clock = systemClock } = options;
  const { timeoutMs = LIBRARY_TIMEOUT_MS } = options;
  return inTime(timeoutMs, clock, signal, "open the artifact", (limited) =>
    startArtifact(artifactUrl, options, { offset, validator, onValidator, signal: limited }),
  );
}

async function startArtifact(
  artifactUrl: string,
  options: Options,
  open: OpenOptions,
): Promise<ReadableStream<Uint8Array>> {
  const table = options.registries;
  queryOf(options, table);
  const split = splitUrl(artifactUrl, "the artifact URL");
  if (isWebAddress(split, options)) {
    const { openHttpsArtifact } = await import("./https_artifact.ts");
    return openHttpsArtifact(split, contextOf(options), open);
  }
  const driver = findDriver(split, table, ["https"]);
  checkToken(options, driver);
  if (driver.artifact === undefined) {
    throw new ConfigError(
      `Cannot open "${redactUrl(artifactUrl)}": ${driver.name} has no files to download`,
    );
  }
  return driver.artifact.open(split, contextOf(options, driver), open);
}

/** Plain HTTP only where the caller allows it, as a `grpc://` registry with the same option does. */
function isWebAddress({ scheme }: SplitUrl, { allow = "" }: RegistryOptions): boolean {
  return scheme === "https" || (scheme === "http" && allow.split(",").includes("http"));
}

/** Splits a registry URL. If it is a web address that a driver recognises, the error suggests the registry URL. */
export function splitRegistryUrl(url: string, table: RegistryTable, flag = "--registry"): SplitUrl {
  declarePrintable(table);
  if (typeof url !== "string" || url === "") {
    throw new ConfigError("Cannot open a registry without a URL; for example: ghr://owner/repo");
  }
  const meant = url.includes("://") ? undefined : fromWebAddress(`https://${url}`, table);
  if (meant === undefined) {
    const split = splitUrl(url, flag);
    // The page of a repository, not a handler.
    if (split.scheme === "https" && fromWebAddress(url, table)) throw unsupported(split, table, []);
    return split;
  }
  throw new ConfigError(
    `Cannot read ${flag} "${redactUrl(url)}": the scheme is missing; did you mean ${meant}?`,
  );
}

function fromWebAddress(text: string, table: RegistryTable): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const address = new URL(text);
  const found = Object.values(table).map((driver) => driver.fromWebAddress?.(address));
  return found.find((url) => url !== undefined);
}

function findDriver(
  split: SplitUrl,
  table: RegistryTable,
  extra: readonly string[] = [],
): RegistryDriver {
  const entry = ownEntry(table, split.scheme);
  if (entry !== undefined) return entry;
  throw unsupported(split, table, extra);
}

export function unsupported(
  split: SplitUrl,
  table: RegistryTable,
  extra: readonly string[],
): ConfigError {
  const schemes = [...new Set([...Object.keys(table), ...extra])];
  const near = nearest(split.scheme.toLowerCase(), schemes);
  const meant = fromWebAddress(split.text, table) ?? (near && `${near}://`);
  const supported = schemes.join(", ");
  const why =
    split.scheme === "file"
      ? "a directory can only be read on a host; pass the registries of dewy/host"
      : `${meant === undefined ? "" : `did you mean ${meant}? `}supported: ${supported}`;
  return new ConfigError(`unsupported registry: "${redactUrl(split.text)}"; ${why}`);
}

export function ownEntry(table: RegistryTable, scheme: string): RegistryDriver | undefined {
  return Object.hasOwn(table, scheme) ? table[scheme] : undefined;
}

/** Options that belong to the query of a URL: `noTls` is `no-tls`. A typing error in JavaScript must not be ignored. */
function queryOf(options: Options, table: RegistryTable): Record<string, string | boolean> {
  const known = Object.values(table).flatMap((driver) => driver.options.map(({ name }) => name));
  const query: Record<string, string | boolean> = {};
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(CONTEXT_OPTIONS, name)) continue;
    const key = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (!known.includes(key)) throw unknownOption(name, known);
    if (typeof value === "string" || typeof value === "boolean") query[key] = value;
  }
  return query;
}

function unknownOption(name: string, keys: readonly string[]): ConfigError {
  const names = keys.map((key) =>
    key.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()),
  );
  const meant = nearest(name, [...Object.keys(CONTEXT_OPTIONS), ...names]);
  return new ConfigError(
    `unknown option "${name}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
  );
}

function contextOf(options: Options, driver?: RegistryDriver): RegistryContext {
  return {
    ...options,
    platform: normalizePlatform(options.platform ?? runtimePlatform()),
    env: driverEnvironment(options.env ?? runtimeEnvironment(), driver?.environment ?? []),
    // A bare `globalThis.fetch` passed on loses its receiver, which workerd refuses.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    clock: options.clock ?? systemClock,
    emit: options.emit ?? (() => {}),
    openArtifact: (url, open) => {
      const { timeoutMs = Number.POSITIVE_INFINITY } = options;
      return fetchArtifact(url, { ...options, timeoutMs, token: undefined, ...open });
    },
  };
}

export function runtimeEnvironment(): Readonly<Record<string, string | undefined>> {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env ?? {};
}
