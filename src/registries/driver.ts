/**
 * What a registry driver is: one file that says how its URL reads and how to ask it.
 *
 * @module
 */

import type { AwsCredentials } from "../auth/aws_credentials.ts";
import type { Clock } from "../core/clock.ts";
import type { Environment, EnvironmentSpec } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import type { OpenOptions, Platform, Registry } from "../core/types.ts";
import {
  type OptionSpec,
  type QueryReader,
  readQuery,
  redactUrl,
  type SplitUrl,
} from "../core/url.ts";
import { compileCalver } from "../version/calver.ts";
import { compileConstraint } from "../version/constraint.ts";
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

/** What every registry URL can say. */
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
 * Makes a `fetch` that shows the addresses of a host to a check, which throws to refuse them, and connects to no
 * others: between a look-up and a connection a name can come to stand for something else. A `fetch` that cannot be
 * made so, and calls through a proxy, stay as they are.
 */
export type GuardFetch = (
  fetch: typeof globalThis.fetch,
  check: (host: string, addresses: readonly string[]) => void,
) => Promise<typeof globalThis.fetch>;

/** What a host offers to drivers beyond web standards. On the edge, all of it is absent. */
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

/** Everything a driver gets from its surroundings. */
export interface RegistryContext extends HostServices {
  /** The platform that artifacts are chosen for. */
  platform: Platform;
  /** Environment variables. The driver's own are checked when they are read. */
  env: Environment;
  /** Sends HTTP requests. */
  fetch: typeof globalThis.fetch;
  /** Tells the time and sleeps. */
  clock: Clock;
  /** Receives requests, retries, rate limits and warnings. */
  emit: EventSink;
  /** The main credential, given in code; it takes precedence over all others. */
  token?: string | undefined;
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

/** An artifact URL, as far as other registries need to know it. */
export interface ArtifactName {
  /** The file name. */
  name: string;
  /** The server that the URL itself names, to which signed requests would be sent. */
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
export type RegistryFeature = "anyPlatform" | "exists" | "report" | "digest" | "pullAccess";

/**
 * One kind of registry: how its URL reads, and how it is opened. Everything that dewy knows of a kind of registry stands
 * here: help, reference, redaction, and the isolation of apps are derived from it. A driver is light; what it needs to
 * talk to a server is imported when a registry is opened.
 */
export interface RegistryDriver<L extends LocatorBase = LocatorBase> {
  /** The part of the URL before `://`; the key in the table. */
  readonly scheme: string;
  /** The name that people know. */
  readonly name: string;
  /** The URL's form: `ghr://<owner>/<repo>`. */
  readonly syntax: string;
  /** A URL to copy. */
  readonly example: string;
  /** The commands that can deploy from it. */
  readonly commands: readonly DeployCommand[];
  /** The options of its URL. Their values are printed, so they never hold a secret. */
  readonly options: readonly OptionSpec[];
  /** Query keys of its requests whose values may be printed. */
  readonly requestKeys?: readonly string[];
  /** The environment variables it reads. */
  readonly environment: readonly EnvironmentSpec[];
  /** How the names of further variables begin that hold credentials or lead to them, such as `AWS_`. */
  readonly credentialPrefixes?: readonly string[];
  /** Its artifact URLs, if it has a form of its own for them. */
  readonly artifact?: ArtifactScheme;
  /** What the option `token` is: `GitHub token`. Without it, the option is refused. */
  readonly token?: string;
  /** The optional members of its registries. */
  readonly features: readonly RegistryFeature[];
  /** Reads the URL; throws a ConfigError that names the part that is wrong. */
  parse(url: SplitUrl): L;
  /** The registry URL that a web address such as https://github.com/owner/repo stands for, as a hint in errors. */
  fromWebAddress?(address: URL): string | undefined;
  /** Opens the registry. No request is sent until one of its methods is called. */
  open(locator: L, context: RegistryContext): Registry | Promise<Registry>;
}

/** Drivers by the part of the URL before `://`. */
export type RegistryTable = Readonly<Record<string, RegistryDriver>>;

const PRE_RELEASE: OptionSpec = {
  name: "pre-release",
  type: "boolean",
  description: "Whether to include pre-release versions",
};
const ARTIFACT: OptionSpec = {
  name: "artifact",
  type: "string",
  description:
    "The artifact's name, or a pattern such as app-*.zip or app-{version}.jar, instead of a choice by platform",
};
const EMULATION: OptionSpec = {
  name: "emulation",
  type: "boolean",
  description:
    "Whether macOS and Windows on arm64 may take a file for amd64 where nothing else fits",
};
const CALVER: OptionSpec = {
  name: "calver",
  type: "string",
  description: "A CalVer format such as YYYY.0M.MICRO, where tags are not SemVer",
};
const CONSTRAINT: OptionSpec = {
  name: "constraint",
  type: "string",
  description: "A semver range that versions must satisfy: ^1.2, ~1.0, >=1 <2",
};
const SLOT: OptionSpec = {
  name: "slot",
  type: "string",
  description: "The build metadata that a version must have (v1.2.0+blue is of slot blue)",
};

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
 * @param url The URL.
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
  if (common.constraint !== "") compileConstraint(common.constraint, common);
  return { common, query };
}

function rejectUserInfo(url: SplitUrl): void {
  if (url.host.includes("@")) {
    throw new ConfigError(
      `Cannot use --registry "${redactUrl(url.text)}": credentials do not belong in a URL; set the environment variables of ${url.scheme}://`,
    );
  }
}

/**
 * The error for a registry URL whose parts are not those of its scheme.
 *
 * @param url the URL.
 * @param problem what is wrong with it.
 * @param syntax the form it should have.
 * @returns the error to throw.
 */
export function badRegistryUrl(url: SplitUrl, problem: string, syntax: string): ConfigError {
  return new ConfigError(`Cannot use --registry "${redactUrl(url.text)}": ${problem}: ${syntax}`);
}

/** The error for an artifact URL whose parts are not those of its scheme. */
export function badArtifactUrl(url: SplitUrl, syntax: string): ConfigError {
  return new ConfigError(
    `Cannot read the artifact URL "${redactUrl(url.text)}": expected ${syntax}`,
  );
}

/** The part of a path behind its last slash. */
export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
