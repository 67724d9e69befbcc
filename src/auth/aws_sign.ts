import { AwsV4Signer } from "aws4fetch";
import { CredentialError } from "../core/error.ts";
import type { SignableRequest } from "../http/client.ts";
import type { AwsCredentials } from "./aws_credentials.ts";

export interface AwsScope {
  credentials: AwsCredentials;
  service: string;
  region: string;
  /** Milliseconds since the Unix epoch. */
  now: number;
  /** Keeps the keys derived for each day and secret. */
  cache?: Map<string, ArrayBuffer>;
}

/**
 * Signs a request with SigV4: `host` and the given headers. Returns the headers to add.
 *
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
    body: typeof request.body === "string" ? request.body : undefined,
    accessKeyId,
    secretAccessKey,
    sessionToken,
    service,
    region,
    datetime: new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, ""),
    cache,
  }).sign();
  return Object.fromEntries([...headers].filter(([name]) => !(name in request.headers)));
}

/**
 * Signs an address for a GET, so that any client can use it for a while.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
export async function presignAws(
  address: string,
  seconds: number,
  { credentials, service, region, now }: AwsScope,
): Promise<string> {
  const url = new URL(address);
  url.searchParams.set("X-Amz-Expires", String(seconds));
  const datetime = new Date(now).toISOString().replace(/[:-]|\.\d{3}/g, "");
  const options = { ...credentials, service, region, datetime, signQuery: true };
  return (await new AwsV4Signer({ ...options, method: "GET", url: url.href }).sign()).url.href;
}

/** The runtime's own error would repeat the value. */
function assertSendable(what: string, value: string): void {
  if (/^[\x21-\x7e]+$/.test(value)) return;
  throw new CredentialError(
    `Cannot use the AWS ${what}: it has spaces or characters that a header cannot carry; check the profile or service that it comes from`,
  );
}
