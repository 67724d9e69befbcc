import type { AwsCredentials } from "../auth/aws_credentials.ts";
import type { Clock } from "../core/clock.ts";
import type { Environment, EnvironmentSpec } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import type { OpenOptions, Platform, Registry } from "../core/types.ts";
import {
  type OptionSpec,
  option,
  type QueryReader,
  readQuery,
  redactUrl,
  type SplitUrl,
} from "../core/url.ts";
import type { ResponseCache } from "../http/response_cache.ts";
import { compileCalver } from "../version/calver.ts";
import type { OpenGrpcChannel } from "./grpc/channel.ts";
import type { CredentialHelper } from "./oci/auth/docker.ts";
import type { AwsProfile } from "./s3/address.ts";

export type { AwsCredentials } from "../auth/aws_credentials.ts";
export type { Environment, EnvironmentSpec } from "../core/environment.ts";
export type * from "./grpc/channel.ts";
export type { CredentialHelper, HelperAnswer } from "./oci/auth/docker.ts";
export type { AwsProfile } from "./s3/address.ts";

/** The commands that deploy. */
export type DeployCommand = "server" | "assets" | "container";

/** The parts that all registry URLs have. */
export interface LocatorBase {
  /** The kind of registry. */
  type: string;
  /** The URL as it may be printed. */
  url: string;
  /** The artifact's name, or a pattern for it; empty: chosen by platform. */
  artifact: string;
  /** Whether a file for amd64 will do where the machine can emulate it. The default is false. */
  emulation?: boolean;
  /** Whether pre-releases count. */
  preRelease: boolean;
  /** A CalVer format; empty: SemVer. */
  calver: string;
  /** A range of semver; empty: any version. */
  constraint: string;
  /** The build metadata a version must have; empty: any. */
  slot: string;
}

/**
 * Makes a `fetch` that passes the addresses of a host to a check, which throws to refuse them, and connects to no
 * others: a name can change its address between a lookup and a connection. Calls through a proxy are not checked.
 */
export type GuardFetch = (
  fetch: typeof globalThis.fetch,
  check: (host: string, addresses: readonly string[]) => void,
) => Promise<typeof globalThis.fetch>;

/** The services of a host beyond web standards; all absent on the edge. */
export interface HostServices {
  /** Reads a text file. Rejects with a HostError if it cannot. */
  readTextFile?: ((path: string) => Promise<string>) | undefined;
  /**
   * The AWS credentials of this machine beyond the environment: profiles, SSO, web identity, container and instance
   * roles. `undefined` if it has none.
   */
  awsCredentials?: () => Promise<AwsCredentials | undefined>;
  /** The S3 endpoint settings of the AWS profile in use. */
  awsProfile?: () => Promise<AwsProfile>;
  /** Asks `docker-credential-<helper>` for the login of a server; `undefined` if it has none. */
  credentialHelper?: CredentialHelper;
  /** The addresses of a host name. Rejects if it cannot be looked up. */
  resolveHost?: (host: string) => Promise<readonly string[]>;
  /** Guards a `fetch` against names that change their address. */
  guardFetch?: GuardFetch;
  /** Opens gRPC over HTTP/2. */
  grpcChannel?: OpenGrpcChannel;
}

/** The context of a driver. */
export interface RegistryContext extends HostServices {
  /** The platform that artifacts are chosen for. */
  platform: Platform;
  /** Environment variables. Those of the driver are validated on access. */
  env: Environment;
  /** Sends HTTP requests. */
  fetch: typeof globalThis.fetch;
  /** The clock. */
  clock: Clock;
  /** Receives requests, retries, rate limits and warnings. */
  emit: EventSink;
  /** The main credential, given in code; it takes precedence over all others. */
  token?: string | undefined;
  /** Keeps responses of registries beyond this context. Defaults to none. */
  cache?: ResponseCache | undefined;
  /** The login of an image registry, given in code. */
  registryLogin?: RegistryLogin | undefined;
  /** The table that the registry was opened from. */
  registries?: RegistryTable;
  /** Streams the bytes behind an artifact URL of any registry of the table. */
  openArtifact?: (url: string, options?: OpenOptions) => Promise<ReadableStream<Uint8Array>>;
  /** Aborts everything that was opened with this context. */
  signal?: AbortSignal | undefined;
}

/** The login of an image registry. */
export interface RegistryLogin {
  /** The user name. */
  username: string;
  /** The password or access token. */
  password: string;
}

/** The parts of an artifact URL that other registries check. */
export interface ArtifactName {
  /** The file name. */
  name: string;
  /** The server in the URL, which would receive signed requests. */
  endpoint?: string;
}

/** The artifact URLs of one kind of registry. */
export interface ArtifactScheme {
  /** Whether the URLs lead to the same bytes on other machines. */
  readonly isRemote: boolean;
  /** Reads an artifact URL. Throws a ConfigError if a part is missing. */
  parse(url: SplitUrl): ArtifactName;
  /** Streams the bytes behind an artifact URL. */
  open(
    url: SplitUrl,
    context: RegistryContext,
    options?: OpenOptions,
  ): Promise<ReadableStream<Uint8Array>>;
}

/** Members that only some registries have. */
export type RegistryFeature =
  | "anyPlatform"
  | "exists"
  | "report"
  | "watch"
  | "digest"
  | "link"
  | "pullAccess";

/**
 * One kind of registry: its URLs, and how to open it. Help, reference, redaction and the isolation of apps are derived
 * from it. Drivers load at every start, so they import their client only when a registry is opened.
 */
export interface RegistryDriver<L extends LocatorBase = LocatorBase> {
  /** The part of the URL before `://`; the key in the table. */
  readonly scheme: string;
  /** Its name in texts. */
  readonly name: string;
  /** The URL's form: `ghr://<owner>/<repo>`. */
  readonly syntax: string;
  /** A URL to copy. */
  readonly example: string;
  /** The commands that can deploy from it. */
  readonly commands: readonly DeployCommand[];
  /** The options of its URL. Their values are printed, so they must not be secrets. */
  readonly options: readonly OptionSpec[];
  /** Query keys of its requests whose values may be printed. */
  readonly requestKeys?: readonly string[];
  /** The environment variables it reads. */
  readonly environment: readonly EnvironmentSpec[];
  /** Prefixes of further variables with credentials, such as `AWS_`. */
  readonly credentialPrefixes?: readonly string[];
  /** Its artifact URLs, if they have their own scheme. */
  readonly artifact?: ArtifactScheme;
  /** Names the option `token`: `A token for GitHub`. If unset, the option is refused. */
  readonly token?: string;
  /**
   * The optional members that its registries implement; `openRegistry` hides any other. With `listRegistry`, include
   * `anyPlatform`.
   */
  readonly features: readonly RegistryFeature[];
  /** Parses the URL; throws a ConfigError that names the invalid part. */
  parse(url: SplitUrl): L;
  /** The registry URL that a web address such as https://github.com/owner/repo stands for, as a hint in errors. */
  fromWebAddress?(address: URL): string | undefined;
  /** Opens the registry. No request is sent until one of its methods is called. */
  open(locator: L, context: RegistryContext): Registry | Promise<Registry>;
}

/** Drivers by the part of the URL before `://`. */
export type RegistryTable = Readonly<Record<string, RegistryDriver>>;

const PRE_RELEASE = option("pre-release", "Whether to include pre-release versions", "boolean");
const ARTIFACT = option(
  "artifact",
  "The artifact's name, or a pattern such as app-*.zip or app-{version}.jar, instead of a choice by platform",
);
const EMULATION = option(
  "emulation",
  "Whether macOS and Windows on arm64 may take a file for amd64 where nothing else fits",
  "boolean",
);
const CALVER = option("calver", "A CalVer format such as YYYY.0M.MICRO, where tags are not SemVer");
const CONSTRAINT = option(
  "constraint",
  "A semver range that versions must satisfy: ^1.2, ~1.0, >=1 <2",
);
const SLOT = option(
  "slot",
  "The build metadata that a version must have (v1.2.0+blue is of slot blue)",
);

/** The options that all registries of files have. */
export const FILE_OPTIONS: readonly OptionSpec[] = [
  PRE_RELEASE,
  ARTIFACT,
  EMULATION,
  CALVER,
  CONSTRAINT,
  SLOT,
];
/** The options that all registries of images have. */
export const IMAGE_OPTIONS: readonly OptionSpec[] = [PRE_RELEASE, CALVER, CONSTRAINT, SLOT];
/** The options of registries that choose the version themselves. */
export const RESOLVED_OPTIONS: readonly OptionSpec[] = [CALVER, SLOT];

/**
 * Checks the query of a registry URL and reads the options that all registries share.
 *
 * @param type The locator's `type`.
 * @param options All options of the driver.
 * @returns The common part of a locator, and a reader for the other options.
 * @throws {ConfigError} For an unknown option, an invalid value, CalVer format or constraint, or a user name in the URL.
 *
 * @example
 * ```ts
 * import { FILE_OPTIONS, readRegistryQuery } from "dewy/driver";
 *
 * const query = new Map([["slot", "blue"]]);
 * const url = { text: "shelf://a?slot=blue", scheme: "shelf", host: "a", path: "", query };
 * const { common } = readRegistryQuery("shelf", url, FILE_OPTIONS);
 * if (common.slot !== "blue") throw new Error(common.slot);
 * ```
 */
export function readRegistryQuery<T extends string>(
  type: T,
  url: SplitUrl,
  options: readonly OptionSpec[],
): { common: LocatorBase & { type: T }; query: QueryReader } {
  rejectUserInfo(url);
  const query = readQuery(url, options, "--registry");
  const common = {
    type,
    url: redactUrl(url.text),
    artifact: query.text("artifact"),
    emulation: query.flag("emulation"),
    preRelease: query.flag("pre-release"),
    calver: query.text("calver"),
    constraint: query.text("constraint"),
    slot: query.text("slot"),
  };
  if (common.calver !== "") compileCalver(common.calver);
  return { common, query };
}

function rejectUserInfo(url: SplitUrl): void {
  if (url.host.includes("@")) {
    throw new ConfigError(
      `Cannot use --registry "${redactUrl(url.text)}": credentials do not belong in a URL; set the environment variables of ${url.scheme}://`,
    );
  }
}

export function badRegistryUrl(url: SplitUrl, problem: string, syntax: string): ConfigError {
  return new ConfigError(`Cannot use --registry "${redactUrl(url.text)}": ${problem}: ${syntax}`);
}

export function badArtifactUrl(url: SplitUrl, syntax: string): ConfigError {
  return new ConfigError(
    `Cannot read the artifact URL "${redactUrl(url.text)}": expected ${syntax}`,
  );
}

export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
