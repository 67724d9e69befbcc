import { type Clock, systemClock } from "../core/clock.ts";
import { driverEnvironment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { nearest } from "../core/nearest.ts";
import type {
  Explanation,
  OpenOptions,
  Platform,
  Registry,
  Resolution,
  ResolveOptions,
} from "../core/types.ts";
import { declarePrintable, overlayQuery, redactUrl, type SplitUrl, splitUrl } from "../core/url.ts";
import { normalizePlatform, runtimePlatform } from "../platform/platform.ts";
import type {
  HostServices,
  LocatorBase,
  RegistryContext,
  RegistryDriver,
  RegistryLogin,
  RegistryTable,
} from "./driver.ts";
import { parseFileUrl } from "./file_locator.ts";
import { type RegistryLocator, registries } from "./table.ts";
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
   * A limit in milliseconds on how long a question or the start of a download may take, retries included. If it is exceeded,
   * the call rejects with a `RemoteError` of code `timeout`. Defaults to no limit beyond that of each request.
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

/** Options of single kinds of registries. They can also be set in the query of the URL. */
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
  /** What the artifact URLs of a `grpc://` server may use: `http`, `file`, `endpoint`, hosts; separated by commas. */
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
  explain: true,
  maxAgeMs: true,
  offset: true,
  validator: true,
  onValidator: true,
};

type ContextOption =
  | keyof RegistryContext
  | keyof OpenOptions
  | Exclude<keyof ResolveOptions, "artifact">
  | "timeoutMs";

type Options = RegistryOptions & HostServices;

/**
 * Parses a registry URL. No request is sent.
 *
 * @param url `ghr://…`, `s3://…`, `gs://…`, `img://…`, `grpc://…` or `file://…`.
 * @returns Its parts; the property `type` is the kind of registry.
 * @throws {ConfigError} If a part of the URL is invalid.
 *
 * @example
 * ```ts
 * import { parseRegistryUrl } from "dewy";
 *
 * const locator = parseRegistryUrl("s3://ap-northeast-1/my-releases/myapp?pre-release=true");
 * if (locator.type !== "s3" || locator.prefix !== "myapp/") throw new Error("unexpected");
 * ```
 */
export function parseRegistryUrl(url: string): RegistryLocator {
  const split = splitRegistryUrl(url, registries);
  const driver = ownEntry(registries, split.scheme);
  if (driver !== undefined) return driver.parse(split) as RegistryLocator;
  if (split.scheme === "file") return parseFileUrl(split);
  throw unsupported(split, registries, ["file"]);
}

/**
 * Opens a registry. No request is sent until you call one of its methods. Its driver is loaded at the first call; an
 * invalid environment variable is reported then.
 *
 * @param url `ghr://owner/repo`, `s3://region/bucket/prefix`, … Query parameters set registry options.
 * @param options Platform, credentials and network, plus registry options by name. These override the URL's.
 * @throws {ConfigError} If the URL or an option is invalid.
 *
 * @example
 * ```ts
 * import { openRegistry } from "dewy";
 *
 * const registry = openRegistry("ghr://linyows/myapp", { platform: { os: "linux", arch: "amd64" }, env: {} });
 * if (typeof registry.resolve !== "function") throw new Error("unexpected");
 * ```
 */
export function openRegistry(url: string, options: RegistryOptions & HostServices = {}): Registry {
  const { driver, locator, context } = prepare(url, options);
  let opened: Promise<Registry> | undefined;
  const registry = lazyRegistry(driver, () => {
    opened ??= Promise.resolve(driver.open(locator, context));
    return opened;
  });
  return withTimeout(registry, options.timeoutMs, context.clock);
}

/** Opens a registry and loads its driver at once, so that errors in the environment show now. */
export async function loadRegistry(
  url: string,
  options: Options = {},
): Promise<{ registry: Registry; locator: LocatorBase }> {
  const { driver, locator, context } = prepare(url, options);
  const registry = await driver.open(locator, context);
  return { registry: withTimeout(registry, options.timeoutMs, context.clock), locator };
}

function prepare(
  url: string,
  options: Options,
): { driver: RegistryDriver; locator: LocatorBase; context: RegistryContext } {
  const table = options.registries ?? registries;
  const query = queryOf(options, table);
  const split = overlayQuery(splitRegistryUrl(url, table), query);
  const driver = findDriver(split, table);
  checkToken(options, driver);
  return { driver, locator: driver.parse(split), context: contextOf(options, driver) };
}

function checkToken({ token }: Options, driver: RegistryDriver): void {
  if (token === undefined || driver.token !== undefined) return;
  const variables = driver.environment.filter(({ secret }) => secret).map(({ name }) => name);
  const instead = variables.length === 0 ? "" : `; set ${variables.join(", ")}`;
  throw new ConfigError(`Cannot use the option token with ${driver.scheme}://${instead}`);
}

type Method = (...args: unknown[]) => unknown;

/** A registry that is opened at the first call of one of its methods. */
function lazyRegistry(driver: RegistryDriver, opened: () => Promise<Registry>): Registry {
  const methods = driver.features.filter((feature) => feature !== "anyPlatform");
  const optional = methods.map((name): [string, Method] => [
    name,
    async (...args) =>
      ((await opened()) as unknown as Readonly<Record<string, Method>>)[name]?.(...args),
  ]);
  return {
    anyPlatform: driver.features.includes("anyPlatform"),
    resolve: async (options) => (await opened()).resolve(options),
    open: async (artifact, options) => (await opened()).open(artifact, options),
    ...Object.fromEntries(optional),
  };
}

/**
 * Resolves the newest version: the one-liner for serverless functions.
 *
 * @param options As for {@link openRegistry}, and the tags to exclude.
 * @returns The answer. "Pending" and "none" are values.
 * @throws {DewyError} If the URL is invalid, access is refused, or the registry cannot be reached.
 *
 * @example
 * ```ts
 * import { latest } from "dewy";
 *
 * const answer = await latest("ghr://linyows/myapp", {
 *   platform: { os: "linux", arch: "amd64" },
 *   env: {},
 *   fetch: async () => Response.json([]), // a repository without tags and releases
 * });
 * if (answer.kind !== "none" || answer.reason !== "empty") throw new Error(answer.kind);
 * ```
 */
export function latest(
  url: string,
  options: RegistryOptions & HostServices & ResolveOptions = {},
): Promise<Resolution> {
  return Promise.resolve().then(() =>
    openRegistry(url, options).resolve({ exclude: options.exclude }),
  );
}

/**
 * Explains every candidate: chosen, or the reason why not.
 *
 * @param options As for {@link latest}.
 * @returns The tags, the artifacts, and the answer they lead to.
 *
 * @example
 * ```ts
 * import { explain } from "dewy";
 *
 * const why = await explain("ghr://linyows/myapp", {
 *   platform: { os: "linux", arch: "amd64" },
 *   env: {},
 *   fetch: async () => Response.json([]),
 * });
 * if (why.resolution.kind !== "none" || why.tags.length !== 0) throw new Error("unexpected");
 * ```
 */
export async function explain(
  url: string,
  options: RegistryOptions & HostServices & ResolveOptions = {},
): Promise<Explanation> {
  return explainRegistry(openRegistry(url, options), { exclude: options.exclude });
}

export async function explainRegistry(
  registry: Registry,
  options: ResolveOptions = {},
): Promise<Explanation> {
  const { explanation, ...resolution } = await registry.resolve({ ...options, explain: true });
  if (explanation === undefined) throw new TypeError("the registry does not explain its answers");
  return { ...explanation, resolution };
}

/**
 * Streams the bytes behind an artifact URL.
 *
 * @param artifactUrl `ghr://owner/repo/tag/<tag>/<artifact>`, `s3://region/bucket/key`, `gs://bucket/object`, `https://…`;
 * `http://…` with `allow: "http"`; on a host `file://…`.
 * @param options As for {@link openRegistry}, and which bytes to stream.
 * @returns The bytes, from `offset` on. Digests are not checked here, since the stream may be only a part.
 * @throws {DewyError} If the URL is invalid, access is refused, or the artifact is missing.
 *
 * @example
 * ```ts
 * import { openArtifact } from "dewy";
 *
 * const stream = await openArtifact("https://example.com/app.tar.gz", {
 *   fetch: async () => new Response("bytes"),
 * });
 * if ((await new Response(stream).text()) !== "bytes") throw new Error("unexpected");
 * ```
 */
export async function openArtifact(
  artifactUrl: string,
  options: RegistryOptions & HostServices & OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const { offset, validator, onValidator, signal, timeoutMs, clock = systemClock } = options;
  return inTime(timeoutMs, clock, signal, "open the artifact", (limited) =>
    startArtifact(artifactUrl, options, { offset, validator, onValidator, signal: limited }),
  );
}

async function startArtifact(
  artifactUrl: string,
  options: Options,
  open: OpenOptions,
): Promise<ReadableStream<Uint8Array>> {
  const table = options.registries ?? registries;
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
  if (meant === undefined) return splitUrl(url, flag);
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

function unsupported(split: SplitUrl, table: RegistryTable, extra: readonly string[]): ConfigError {
  const schemes = [...Object.keys(table), ...extra];
  const near = nearest(split.scheme.toLowerCase(), schemes);
  const meant = fromWebAddress(split.text, table) ?? (near && `${near}://`);
  const supported = schemes.join(", ");
  const why =
    split.scheme === "file"
      ? "a directory can only be read on a host; pass the registries of dewy/host"
      : `${meant === undefined ? "" : `did you mean ${meant}? `}supported: ${supported}`;
  return new ConfigError(`unsupported registry: "${redactUrl(split.text)}"; ${why}`);
}

function ownEntry(table: RegistryTable, scheme: string): RegistryDriver | undefined {
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
    registries: options.registries ?? registries,
    openArtifact: (url, open) => openArtifact(url, { ...options, token: undefined, ...open }),
  };
}

function runtimeEnvironment(): Readonly<Record<string, string | undefined>> {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env ?? {};
}
