import { ConfigError } from "../core/error.ts";

/** Credentials for SigV4. */
export interface AwsCredentials {
  /** The public half. */
  accessKeyId: string;
  /** The secret half. */
  secretAccessKey: string;
  /** Set with temporary credentials. */
  sessionToken?: string;
  /** When temporary credentials end. */
  expiration?: Date;
}

/** Where credentials can come from. */
export interface CredentialSources {
  /** Environment variables. */
  env: Readonly<Record<string, string | undefined>>;
  /** The rest of the standard chain; `undefined` as its answer: nothing is configured. */
  awsCredentials?: () => Promise<AwsCredentials | undefined>;
}

/**
 * Finds credentials: the environment's, else the host's, else none (public buckets).
 *
 * @param sources where to look, read anew at every call.
 * @returns the credentials; `undefined`: ask anonymously.
 * @throws ConfigError when the environment has only half of a pair; what the host's sources throw.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 */
export async function findCredentials(
  sources: CredentialSources,
): Promise<AwsCredentials | undefined> {
  const accessKeyId = sources.env.AWS_ACCESS_KEY_ID ?? "";
  const secretAccessKey = sources.env.AWS_SECRET_ACCESS_KEY ?? "";
  const sessionToken = sources.env.AWS_SESSION_TOKEN ?? "";
  if (accessKeyId === "" && secretAccessKey === "") return sources.awsCredentials?.();
  for (const [name, value] of [
    ["AWS_ACCESS_KEY_ID", accessKeyId],
    ["AWS_SECRET_ACCESS_KEY", secretAccessKey],
  ] as const) {
    if (value === "") {
      throw new ConfigError(
        `${name} is not set, but its other half is: set both, or neither to use the machine's own credentials`,
      );
    }
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken === "" ? {} : { sessionToken }) };
}
