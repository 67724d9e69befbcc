import { AwsV4Signer } from "aws4fetch";
import type { Clock } from "../core/clock.ts";
import type { SignableRequest } from "./http.ts";
import { bytesToHex, sha256 } from "./s3_bytes.ts";
import type { AwsCredentials } from "./s3_credentials.ts";

/** A function that computes the headers that prove who asks. */
export type S3Sign = (request: SignableRequest) => Promise<Readonly<Record<string, string>>>;

/**
 * Signs requests with SigV4, each attempt with its own time.
 *
 * @param region the region of the signature's scope.
 * @param credentials asked for at every attempt, so that renewed ones are used; `undefined`: anonymous.
 * @param clock time.
 * @returns a function for `HttpRequest.sign`.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function s3Signer(
  region: string,
  credentials: () => Promise<AwsCredentials | undefined>,
  clock: Clock,
): S3Sign {
  const keys = new Map<string, ArrayBuffer>();
  return async (request) => {
    const known = await credentials();
    if (known === undefined) return {};
    // A key is derived for each day and secret; more than a few mean that they were renewed.
    if (keys.size > 8) keys.clear();
    const { headers } = await new AwsV4Signer({
      method: request.method,
      url: request.url.href,
      // Runtimes and proxies may change others on the way: with a Range, `fetch` adds to Accept-Encoding.
      headers: {
        ...amzHeaders(request.headers),
        "x-amz-content-sha256": bytesToHex(await sha256(request.body ?? "")),
      },
      accessKeyId: known.accessKeyId,
      secretAccessKey: known.secretAccessKey,
      ...(known.sessionToken === undefined ? {} : { sessionToken: known.sessionToken }),
      service: "s3",
      region,
      datetime: amzDate(clock.now()),
      cache: keys,
    }).sign();
    return Object.fromEntries([...headers].filter(([name]) => !(name in request.headers)));
  };
}

/** The headers that must be signed, besides `host`. */
function amzHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("x-amz-")));
}

/** `YYYYMMDDTHHMMSSZ`, as `x-amz-date` wants it. */
function amzDate(ms: number): string {
  return new Date(ms).toISOString().replace(/[:-]|\.\d{3}/g, "");
}
