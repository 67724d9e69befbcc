/**
 * What a registry driver is: one file that says how its URL reads and how to ask it.
 *
 * @module
 */

import type { AwsCredentials } from "../auth/aws_credentials.ts";
import type { Clock } from "../core/clock.ts";
import type { EnvironmentSpec } from "../core/environment.ts";
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
export type { EnvironmentSpec } from "../core/environment.ts";
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

/** What a driver needs from the world, all of it passed in. */
export interface RegistryContext {
  /** The machine that artifacts are chosen for. */
  platform: Platform;
  /** Environment variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Time. */
  clock: Clock;
  /** Hears of requests, limits and warnings. */
  emit: EventSink;
  /**
   * Reads a file of this machine as text; absent on the edge. Rejects with a HostError when it cannot.
   */
  readTextFile?: (path: string) => Promise<string>;
  /**
   * The AWS credentials of this machine beyond the environment (profiles, SSO, web identity, container
   * and instance roles), `undefined` when it has none; absent on the edge.
   */
  awsCredentials?: () => Promise<AwsCredentials | undefined>;
  /** What the AWS profile in use says about the address of S3; absent on the edge. */
  awsProfile?: () => Promise<AwsProfile>;
  /**
   * Asks `docker-credential-<helper>` for the login of a server, `undefined` when it has none; absent on the edge.
   */
  credentialHelper?: CredentialHelper;
  /** The addresses of a host name; absent on the edge. Rejects when it cannot be looked up. */
  resolveHost?: (host: string) => Promise<readonly string[]>;
  /** Guards a `fetch` against names that change; absent on the edge. */
  guardFetch?: GuardFetch;
  /** The login of a registry of images, given in code. */
  registryLogin?: { username: string; password: string };
  /** Opens gRPC over HTTP/2; absent on the edge, where there is only `fetch`. */
  grpcChannel?: OpenGrpcChannel;
  /** The table that the registry was opened from; `openRegistry` fills it in. */
  registries?: RegistryTable;
  /** Streams the bytes behind an artifact URL of any registry of the table; `openRegistry` fills it in. */
  openArtifact?: (url: string, options?: OpenOptions) => Promise<ReadableStream<Uint8Array>>;
  /** Ends everything that is opened with this. */
  signal?: AbortSignal;
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
 * Checks the query of a registry URL and reads what is common to all of them.
 *
 * @param type the locator's type.
 * @param url the URL.
 * @param options the options that the driver has.
 * @returns the common part, and a reader for the rest.
 * @throws ConfigError for an unknown option or a value that cannot be read, a CalVer format or a
 * constraint that cannot be used.
 */
export function readCommon<T extends string>(
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
