import process from "node:process";
import type { defaultProvider } from "@aws-sdk/credential-provider-node";
import type { Clock } from "../../core/clock.ts";
import { CredentialError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { AwsCredentials } from "../../registries/driver.ts";
import { readAwsProfile } from "./aws_profile.ts";

/** What looking for AWS credentials needs. */
export interface AwsCredentialsIo {
  /** Environment variables, to know what the operator asked for. */
  env: Environment;
  /** Time. */
  clock: Clock;
  /** Stands in for the standard chain of the AWS SDK. */
  loadChain?: () => Promise<AwsChain>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The standard chain: rejects when no link of it has credentials. */
export type AwsChain = () => Promise<AwsCredentials>;

/** The longest wait for all links together: a command, a token exchange, two metadata calls. */
const CHAIN_TIMEOUT_MS = 20_000;
/** A laptop has no metadata service: its silence must not be noticed. */
const METADATA_TIMEOUT_MS = 1_000;
/** Temporary credentials are renewed this long before they end, so that no request leaves with dead ones. */
const RENEW_BEFORE_MS = 5 * 60_000;
/** Credentials without an end may be changed on disk. */
const RECHECK_MS = 15 * 60_000;
/** A role may be attached to a machine that has already started. */
const RECHECK_NONE_MS = 60_000;

/** Variables that say where credentials are: when one is set and none are found, something is wrong. */
const SOURCES = [
  "AWS_PROFILE",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
] as const;

/**
 * The AWS credentials of this machine beyond the environment's keys: profiles, SSO, `credential_process`, web identity,
 * container and instance roles. The provider package is loaded at the first question, and its answer is kept until
 * shortly before it ends.
 *
 * @param io the environment, time, and in tests what stands in for the SDK.
 * @returns a function that gives credentials, or `undefined` where none are configured; it rejects with a
 * CredentialError when a configured source fails.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 */
export function lazyAwsCredentials(
  io: AwsCredentialsIo,
): () => Promise<AwsCredentials | undefined> {
  const { env, clock } = io;
  const loadChain = io.loadChain ?? (() => loadStandardChain(env));
  let chain: AwsChain | undefined;
  let known: { value: AwsCredentials | undefined; until: number } | undefined;
  let asking: Promise<AwsCredentials | undefined> | undefined;

  const ask = async (): Promise<AwsCredentials | undefined> => {
    const value = await inTime(clock, async () => {
      chain ??= await loadChain();
      return chain();
    }).catch((error: unknown) => explainFailure(error, env));
    known = { value, until: validUntil(value, clock.now()) };
    return value;
  };

  return async () => {
    if (known !== undefined && clock.now() < known.until) return known.value;
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}

async function loadStandardChain(env: Environment): Promise<AwsChain> {
  const sdk: { defaultProvider: typeof defaultProvider } = await import(
    "@aws-sdk/credential-provider-node"
  );
  const profile = env.AWS_PROFILE ?? "";
  const options = { timeout: METADATA_TIMEOUT_MS, maxRetries: 0 };
  // Not kept between calls: it memoizes by itself, also what has been changed on disk meanwhile.
  return () =>
    withoutVersionWarning(() =>
      sdk.defaultProvider(profile === "" ? options : { ...options, profile })(),
    );
}

const NO_VERSION_WARNING = "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED";

/**
 * Which Node versions future releases of the SDK will need is a matter for dewy's developers, but the SDK prints it on
 * standard error. It looks at the variable once in the life of a process, when it makes its first client.
 */
async function withoutVersionWarning<T>(work: () => Promise<T>): Promise<T> {
  if (process.env[NO_VERSION_WARNING] !== undefined) return work();
  process.env[NO_VERSION_WARNING] = "true";
  try {
    return await work();
  } finally {
    delete process.env[NO_VERSION_WARNING];
  }
}

async function inTime<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(CHAIN_TIMEOUT_MS, done.signal).then(() => {
    throw new Error(`nothing was found within ${CHAIN_TIMEOUT_MS / 1000} s`);
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    done.abort();
  }
}

/** "No link of the chain has any" is an answer, unless the operator named a link. */
async function explainFailure(error: unknown, env: Environment): Promise<undefined> {
  const reason = messageOf(error);
  const named = SOURCES.filter((name) => (env[name] ?? "") !== "");
  const foundNone = reason.startsWith("Could not load credentials from any providers");
  if (foundNone && named.length === 0) return undefined;
  if (foundNone && named.includes("AWS_PROFILE")) await assertProfileExists(env);
  const where = named.length === 0 ? "" : ` (${named.join(", ")} is set)`;
  throw new CredentialError(
    `Cannot get AWS credentials${where}: ${reason}; check "aws sts get-caller-identity", or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
    { cause: error },
  );
}

async function assertProfileExists(env: Environment): Promise<void> {
  const { name, files, profiles } = await readAwsProfile(env);
  if (profiles.includes(name)) return;
  throw new CredentialError(
    `Cannot use AWS_PROFILE "${name}": there is no such profile in ${files.join(" and ")} (found: ${profiles.join(", ") || "none"})`,
  );
}

function validUntil(value: AwsCredentials | undefined, now: number): number {
  if (value === undefined) return now + RECHECK_NONE_MS;
  const end = value.expiration?.getTime();
  if (end === undefined) return now + RECHECK_MS;
  // Ones that end within the margin are used, but asked for again at once.
  return Math.max(now, end - RENEW_BEFORE_MS);
}
