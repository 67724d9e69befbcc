import type { Context } from "../core/context.ts";
import { ConfigError } from "../core/error.ts";

/** Credentials for SigV4. */
export interface AwsCredentials {
  /** Identifies the key pair; not a secret. */
  accessKeyId: string;
  /** The secret of the key pair. */
  secretAccessKey: string;
  /** Set with temporary credentials. */
  sessionToken?: string;
  /** When temporary credentials expire. */
  expiration?: Date;
}

export interface AwsContext extends Pick<Context, "env"> {
  /** The rest of the standard chain; absent on the edge. */
  awsCredentials?: (() => Promise<AwsCredentials | undefined>) | undefined;
}

/**
 * Finds credentials in the environment, else in the host's chain. Without any, access is anonymous (public buckets).
 *
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 */
export async function findCredentials(context: AwsContext): Promise<AwsCredentials | undefined> {
  const accessKeyId = context.env.AWS_ACCESS_KEY_ID ?? "";
  const secretAccessKey = context.env.AWS_SECRET_ACCESS_KEY ?? "";
  const sessionToken = context.env.AWS_SESSION_TOKEN ?? "";
  if (accessKeyId === "" && secretAccessKey === "") return context.awsCredentials?.();
  for (const [name, value] of [
    ["AWS_ACCESS_KEY_ID", accessKeyId],
    ["AWS_SECRET_ACCESS_KEY", secretAccessKey],
  ] as const) {
    if (value === "") {
      throw new ConfigError(
        `${name} is not set, but the other key of the pair is: set both, or neither to use the machine's own credentials`,
      );
    }
  }
  return { accessKeyId, secretAccessKey, sessionToken: sessionToken || undefined };
}
