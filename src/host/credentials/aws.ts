import { existsSync } from "node:fs";
import process from "node:process";
import type { Context } from "../../core/context.ts";
import type { Environment } from "../../core/environment.ts";
import { CredentialError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { messageOf } from "../../core/message_of.ts";
import { installCommand, isMissingPackage } from "../../core/optional_packages.ts";
import { withDeadline } from "../../core/timeout.ts";
import type { AwsCredentials } from "../../registries/driver.ts";
import { readAwsProfile } from "./aws_profile.ts";

interface AwsCredentialsContext extends Pick<Context, "env" | "clock" | "emit"> {
  /** For tests. */
  loadChain?: () => Promise<AwsChain>;
}

/** An optional peer dependency of 16 MB, in the version that dewy is tested with. */
export const PACKAGES = { "@aws-sdk/credential-provider-node": "3.972.97" } as const;

type AwsChain = () => Promise<AwsCredentials | undefined>;

/** For all providers together: a command, a token exchange, two metadata calls. */
const CHAIN_TIMEOUT_MS = 20_000;
/** Short, because most machines have no metadata service. */
const METADATA_TIMEOUT_MS = 1_000;
const RENEW_BEFORE_MS = 5 * 60_000;
/** Credentials without an expiry may change on disk. */
const RECHECK_MS = 15 * 60_000;
/** A role may be attached to a running machine. */
const RECHECK_NONE_MS = 60_000;

/** If one is set but no credentials are found, something is wrong. */
const SOURCES = [
  "AWS_PROFILE",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
] as const;

/** https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html */
export function lazyAwsCredentials(
  context: AwsCredentialsContext,
): () => Promise<AwsCredentials | undefined> {
  const { env, clock, emit, loadChain = () => loadStandardChain(env) } = context;
  let chain: AwsChain | undefined;
  let cached: { value: AwsCredentials | undefined; until: number } | undefined;
  let pending: Promise<AwsCredentials | undefined> | undefined;

  const load = async (): Promise<AwsCredentials | undefined> => {
    const value = await withDeadline(clock, CHAIN_TIMEOUT_MS, undefined, async () => {
      chain ??= await loadChain().catch((error) => withoutPackage(error, env, emit));
      return chain();
    }).catch((error: unknown) => explainFailure(error, env));
    cached = { value, until: validUntil(value, clock.now()) };
    return value;
  };

  return async () => {
    if (cached !== undefined && clock.now() < cached.until) return cached.value;
    pending ??= load().finally(() => {
      pending = undefined;
    });
    return pending;
  };
}

async function loadStandardChain(env: Environment): Promise<AwsChain> {
  const { defaultProvider } = await import("@aws-sdk/credential-provider-node");
  const profile = env.AWS_PROFILE || undefined;
  const options = { timeout: METADATA_TIMEOUT_MS, maxRetries: 0, profile };
  // A new provider for each call: it memoizes, even if files have changed since.
  return () => withoutVersionWarning(() => defaultProvider(options)());
}

/** Without the package, access is anonymous, unless the operator has configured a source. */
async function withoutPackage(
  error: unknown,
  env: Environment,
  emit: EventSink,
): Promise<AwsChain> {
  if (!isMissingPackage(error)) throw error;
  const install = installCommand(PACKAGES, import.meta.url);
  const { files } = await readAwsProfile(env);
  const configured = [...namedSources(env), ...files.filter((path) => existsSync(path))];
  if (configured.length > 0) {
    throw new CredentialError(
      `Cannot get AWS credentials from ${configured.join(", ")}: the package for profiles and roles is not installed; install it next to dewy: ${install}, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
      { cause: error },
    );
  }
  const message = "Role of this machine not used, because a package is not installed";
  emit({ type: "warning", message, fields: { install } });
  return async () => undefined;
}

const NO_VERSION_WARNING = "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED";

/** The SDK prints which Node versions its future releases will need; it reads the variable once. */
async function withoutVersionWarning<T>(work: () => Promise<T>): Promise<T> {
  if (process.env[NO_VERSION_WARNING] !== undefined) return work();
  process.env[NO_VERSION_WARNING] = "true";
  try {
    return await work();
  } finally {
    delete process.env[NO_VERSION_WARNING];
  }
}

/** An empty chain is not an error, unless the operator has named a source. */
async function explainFailure(error: unknown, env: Environment): Promise<undefined> {
  if (error instanceof CredentialError) throw error;
  const reason = messageOf(error);
  const named = namedSources(env);
  const foundNone = reason.startsWith("Could not load credentials from any providers");
  if (foundNone && named.length === 0) return undefined;
  if (foundNone && named.includes("AWS_PROFILE")) await assertProfileExists(env);
  const where = named.length === 0 ? "" : ` (${named.join(", ")} is set)`;
  throw new CredentialError(
    `Cannot get AWS credentials${where}: ${reason}; check "aws sts get-caller-identity", or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`,
    { cause: error },
  );
}

function namedSources(env: Environment): readonly string[] {
  return SOURCES.filter((name) => (env[name] ?? "") !== "");
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
  // Credentials that expire within the margin are used, but renewed at the next call.
  return Math.max(now, end - RENEW_BEFORE_MS);
}
