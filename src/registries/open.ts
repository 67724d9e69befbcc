/**
 * The way in: from a URL to a registry, an answer, or a stream of bytes.
 *
 * @module
 */

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
  AwsCredentials,
  AwsProfile,
  CredentialHelper,
  GuardFetch,
  LocatorBase,
  RegistryContext,
  RegistryDriver,
  RegistryTable,
} from "./driver.ts";
import { parseFileUrl } from "./file_locator.ts";
import type { OpenGrpcChannel } from "./grpc/channel.ts";
import { openHttpsArtifact } from "./https_artifact.ts";
import { type RegistryLocator, registries } from "./table.ts";

/** What can be given to {@link openRegistry}, {@link latest}, {@link explain} and {@link openArtifact}. */
export interface RegistryOptions {
  /** The machine that artifacts are chosen for. The default is the one this runs on. */
  platform?: Platform;
  /** Environment variables. The default is the runtime's environment, if it has one. */
  env?: Readonly<Record<string, string | undefined>>;
  /** The network. The default is the runtime's `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Time. The default is the runtime's clock. */
  clock?: Clock;
  /** Hears of requests, retries, rate limits and warnings. The default is nobody. */
  emit?: EventSink;
  /** Ends everything that was opened with it. */
  signal?: AbortSignal;
  /** The registries to choose from. The default is {@link registries}; a host gives `hostRegistries`. */
  registries?: RegistryTable;
  /** Reads a file of this machine; `createHostIo` of `dewy/host` gives one. */
  readTextFile?: (path: string) => Promise<string>;
  /** AWS credentials beyond the environment; `createHostIo` of `dewy/host` gives them. */
  awsCredentials?: () => Promise<AwsCredentials | undefined>;
  /** What the AWS profile in use says about the address of S3; `createHostIo` of `dewy/host` reads it. */
  awsProfile?: () => Promise<AwsProfile>;
  /** Opens gRPC over HTTP/2; `createHostIo` of `dewy/host` gives it. */
  grpcChannel?: OpenGrpcChannel;
  /** Whether pre-releases count. The default is false. */
  preRelease?: boolean;
  /** The artifact's name, or a pattern for it. The default is to choose by platform. */
  artifact?: string;
  /** Whether macOS and Windows on arm64 may take a file for amd64 where nothing else fits. The default is false. */
  emulation?: boolean;
  /** A CalVer format. The default is SemVer. */
  calver?: string;
  /** A semver range that versions must satisfy. The default is any. */
  constraint?: string;
  /** The build metadata that a version must have. The default is any. */
  slot?: string;
  /** The region of `s3://`. The default is the host of the URL. */
  region?: string;
  /** The address of an S3-compatible service. */
  endpoint?: string;
  /** Whether `grpc://` speaks plain text. The default is TLS. */
  noTls?: boolean;
  /** What `grpc://` speaks. The default is `grpc` on a host, and `connect` where there is only `fetch`. */
  protocol?: "grpc" | "grpc-web" | "connect";
  /** A file of PEM certificates that `grpc://` trusts as well, on a host. The default is none. */
  caFile?: string;
  /** What the artifact URLs of a `grpc://` server may use: `http`, `file`, `endpoint`, hosts; with commas between. */
  allow?: string;
  /** Whether `img://` uses plain HTTP. The default is true for `localhost`, else false. */
  insecure?: boolean;
  /** A host in private address space that may hand out tokens for `img://`. The default is none. */
  realm?: string;
  /** The login for `img://`; wins over all others. */
  registryLogin?: { username: string; password: string };
  /** Asks Docker's credential helpers; `createHostIo` of `dewy/host` gives one. */
  credentialHelper?: CredentialHelper;
  /** Looks up the addresses of a host; `createHostIo` of `dewy/host` gives one. */
  resolveHost?: (host: string) => Promise<readonly string[]>;
  /** Guards a `fetch` against names that change; `createHostIo` of `dewy/host` gives one. */
  guardFetch?: GuardFetch;
}

/**
 * Reads a registry URL without asking anybody.
 *
 * @param url `ghr://…`, `s3://…`, `gs://…`, `img://…`, `grpc://…` or `file://…`.
 * @returns its parts; `type` tells which.
 * @throws ConfigError that names the part that is wrong.
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
 * Opens a registry. Nothing is sent before its first question.
 *
 * @param url the registry's URL.
 * @param options the world around it, and registry options by name; an explicit one wins over the URL's.
 * @returns the registry.
 * @throws ConfigError for a URL, option, CalVer format or constraint that cannot be used.
 *
 * @example
 * ```ts
 * import { openRegistry } from "dewy";
 *
 * const registry = openRegistry("ghr://linyows/myapp", { platform: { os: "linux", arch: "amd64" }, env: {} });
 * if (typeof registry.resolve !== "function") throw new Error("unexpected");
 * ```
 */
export function openRegistry(url: string, options: RegistryOptions = {}): Registry {
  const { driver, locator, context } = prepare(url, options);
  let opened: Promise<Registry> | undefined;
  return lazyRegistry(driver, () => {
    opened ??= Promise.resolve(driver.open(locator, context));
    return opened;
  });
}

/**
 * Opens a registry whose driver is loaded at once, so that a driver that cannot be opened fails here and not at the first
 * question.
 */
export async function loadRegistry(
  url: string,
  options: RegistryOptions = {},
): Promise<{ registry: Registry; locator: LocatorBase }> {
  const { driver, locator, context } = prepare(url, options);
  return { registry: await driver.open(locator, context), locator };
}

function prepare(
  url: string,
  options: RegistryOptions,
): { driver: RegistryDriver; locator: LocatorBase; context: RegistryContext } {
  const table = options.registries ?? registries;
  const split = overlayQuery(splitRegistryUrl(url, table), queryOf(options));
  const driver = findDriver(split, table);
  return { driver, locator: driver.parse(split), context: ioOf(options, driver) };
}

type Method = (...args: unknown[]) => unknown;

/** A registry that is opened when one of its methods is called. */
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
 * Asks a registry for its newest version: the one-liner for serverless functions.
 *
 * @param url the registry's URL.
 * @param options as for {@link openRegistry}, and tags to exclude.
 * @returns the answer; "nothing" and "not there yet" are values.
 * @throws DewyError when the URL is wrong, access is refused, or the registry cannot be reached.
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
  options: RegistryOptions & ResolveOptions = {},
): Promise<Resolution> {
  return Promise.resolve().then(() =>
    openRegistry(url, options).resolve({ exclude: options.exclude }),
  );
}

/**
 * Asks a registry for every candidate, chosen or the reason why not.
 *
 * @param url the registry's URL.
 * @param options as for {@link latest}.
 * @returns tags, artifacts, and the answer they lead to.
 * @throws DewyError as {@link latest} does.
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
  options: RegistryOptions & ResolveOptions = {},
): Promise<Explanation> {
  return explainRegistry(openRegistry(url, options), { exclude: options.exclude });
}

/** The answer of a registry, and everything behind it. */
export async function explainRegistry(
  registry: Registry,
  options: ResolveOptions = {},
): Promise<Explanation> {
  const { explanation, ...resolution } = await registry.resolve({ ...options, explain: true });
  if (explanation === undefined) throw new TypeError("the registry does not explain its answers");
  return { ...explanation, resolution };
}

/**
 * Streams the bytes behind an artifact's URL.
 *
 * @param artifactUrl `ghr://owner/repo/tag/<tag>/<artifact>`, `s3://region/bucket/key`, `gs://bucket/object`, `https://…`;
 * `http://…` with `allow: "http"`; on a host `file://…`.
 * @param options as for {@link openRegistry}, and which bytes.
 * @returns the bytes, from `offset` on. Digests are not checked here: the stream may be only a part.
 * @throws DewyError when the URL is wrong, or the bytes cannot be had.
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
  options: RegistryOptions & OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const split = splitUrl(artifactUrl, "the artifact URL");
  const { offset, validator, onValidator, signal } = options;
  const open: OpenOptions = {
    ...(offset === undefined ? {} : { offset }),
    ...(validator === undefined ? {} : { validator }),
    ...(onValidator === undefined ? {} : { onValidator }),
    ...(signal === undefined ? {} : { signal }),
  };
  if (isWebAddress(split, options)) return openHttpsArtifact(split, ioOf(options), open);
  const driver = findDriver(split, options.registries ?? registries, ["https"]);
  if (driver.artifact === undefined) {
    throw new ConfigError(
      `Cannot open "${redactUrl(artifactUrl)}": ${driver.name} has no files to download`,
    );
  }
  return driver.artifact.open(split, ioOf(options, driver), open);
}

/** Plain HTTP only where the caller allows it, as a `grpc://` registry with the same option does. */
function isWebAddress({ scheme }: SplitUrl, { allow = "" }: RegistryOptions): boolean {
  return scheme === "https" || (scheme === "http" && allow.split(",").includes("http"));
}

/**
 * Takes a registry URL apart.
 *
 * @param url the URL, as typed.
 * @param table the drivers, which recognise web addresses of their own.
 * @returns its parts; its scheme need not be one of the table's.
 * @throws ConfigError with the URL that was probably meant, if a driver knows.
 */
export function splitRegistryUrl(url: string, table: RegistryTable): SplitUrl {
  declarePrintable(table);
  if (typeof url !== "string" || url === "") {
    throw new ConfigError("Cannot open a registry without a URL; for example: ghr://owner/repo");
  }
  const meant = url.includes("://") ? undefined : fromWebAddress(`https://${url}`, table);
  if (meant === undefined) return splitUrl(url, "--registry");
  throw new ConfigError(
    `Cannot read --registry "${redactUrl(url)}": the scheme is missing; did you mean ${meant}?`,
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
  const meant = /^https?$/.test(split.scheme) ? fromWebAddress(split.text, table) : undefined;
  const supported = [...Object.keys(table), ...extra].join(", ");
  const why =
    split.scheme === "file"
      ? "a directory can only be read on a host; pass the registries of dewy/host"
      : `${meant === undefined ? "" : `did you mean ${meant}? `}supported: ${supported}`;
  return new ConfigError(`unsupported registry: "${redactUrl(split.text)}"; ${why}`);
}

function ownEntry(table: RegistryTable, scheme: string): RegistryDriver | undefined {
  return Object.hasOwn(table, scheme) ? table[scheme] : undefined;
}

function queryOf(options: RegistryOptions): Record<string, string | boolean | undefined> {
  return {
    "pre-release": options.preRelease,
    artifact: options.artifact,
    emulation: options.emulation,
    calver: options.calver,
    constraint: options.constraint,
    slot: options.slot,
    region: options.region,
    endpoint: options.endpoint,
    "no-tls": options.noTls,
    protocol: options.protocol,
    "ca-file": options.caFile,
    allow: options.allow,
    insecure: options.insecure,
    realm: options.realm,
  };
}

type AnyOptions = RegistryOptions & RegistryContext & ResolveOptions & OpenOptions;

/** Every option there is: a typing error in JavaScript must not be ignored. */
const OPTION_NAMES: Readonly<Record<keyof AnyOptions, true>> = {
  platform: true,
  env: true,
  fetch: true,
  clock: true,
  emit: true,
  signal: true,
  registries: true,
  readTextFile: true,
  awsCredentials: true,
  awsProfile: true,
  grpcChannel: true,
  preRelease: true,
  artifact: true,
  emulation: true,
  calver: true,
  constraint: true,
  slot: true,
  region: true,
  endpoint: true,
  noTls: true,
  protocol: true,
  caFile: true,
  allow: true,
  insecure: true,
  realm: true,
  registryLogin: true,
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

function checkOptions(options: object): void {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTION_NAMES, name));
  if (unknown === undefined) return;
  const meant = nearest(unknown, Object.keys(OPTION_NAMES));
  throw new ConfigError(
    `unknown option "${unknown}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
  );
}

function ioOf(options: RegistryOptions, driver?: RegistryDriver): RegistryContext {
  checkOptions(options);
  const table = options.registries ?? registries;
  const { readTextFile, awsCredentials, awsProfile, grpcChannel, signal } = options;
  const { registryLogin, credentialHelper, resolveHost, guardFetch } = options;
  return {
    platform: normalizePlatform(options.platform ?? runtimePlatform()),
    env: driverEnvironment(options.env ?? runtimeEnvironment(), driver?.environment ?? []),
    // A bare `globalThis.fetch` passed on loses its receiver, which workerd refuses.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    clock: options.clock ?? systemClock,
    emit: options.emit ?? (() => {}),
    ...(readTextFile === undefined ? {} : { readTextFile }),
    ...(awsCredentials === undefined ? {} : { awsCredentials }),
    ...(awsProfile === undefined ? {} : { awsProfile }),
    ...(registryLogin === undefined ? {} : { registryLogin }),
    ...(credentialHelper === undefined ? {} : { credentialHelper }),
    ...(resolveHost === undefined ? {} : { resolveHost }),
    ...(guardFetch === undefined ? {} : { guardFetch }),
    ...(grpcChannel === undefined ? {} : { grpcChannel }),
    registries: table,
    openArtifact: (url, open) => openArtifact(url, { ...options, ...open }),
    ...(signal === undefined ? {} : { signal }),
  };
}

function runtimeEnvironment(): Readonly<Record<string, string | undefined>> {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env ?? {};
}
