import { AwsV4Signer } from "aws4fetch";
import { CredentialError } from "../core/error.ts";
import type { SignableRequest } from "../http/client.ts";
import type { AwsCredentials } from "./aws_credentials.ts";

/** Whose signature is made, and for what. */
export interface AwsScope {
  credentials: AwsCredentials;
  service: string;
  region: string;
  /** Milliseconds since the Unix epoch. */
  now: number;
  /** Keeps the keys that are derived for each day and secret. */
  cache?: Map<string, ArrayBuffer>;
}

/**
 * Signs a request with SigV4.
 *
 * @param request the request; `headers` are those to sign besides `host`.
 * @param scope whose signature, and for what.
 * @returns the headers to add.
 * @throws CredentialError for credentials that a header cannot carry. The runtime's own error would repeat them.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export async function signAws(
  request: SignableRequest,
  { credentials, service, region, now, cache }: AwsScope,
): Promise<Readonly<Record<string, string>>> {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  assertSendable("access key", accessKeyId);
  if (sessionToken !== undefined) assertSendable("session token", sessionToken);
  const { headers } = await new AwsV4Signer({
    method: request.method,
    url: request.url.href,
    headers: { ...request.headers },
    ...(typeof request.body === "string" ? { body: request.body } : {}),
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    service,
    region,
    datetime: new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, ""),
    ...(cache === undefined ? {} : { cache }),
  }).sign();
  return Object.fromEntries([...headers].filter(([name]) => !(name in request.headers)));
}

function assertSendable(what: string, value: string): void {
  if (/^[\x21-\x7e]+$/.test(value)) return;
  throw new CredentialError(
    `Cannot use the AWS ${what}: it has spaces or characters that cannot be sent; check the profile or service that it comes from`,
  );
}
