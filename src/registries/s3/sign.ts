import type { AwsCredentials } from "../../auth/aws_credentials.ts";
import { signAws } from "../../auth/aws_sign.ts";
import type { Clock } from "../../core/clock.ts";
import { bytesToHex, sha256 } from "../../core/encoding.ts";
import type { SignableRequest } from "../../http/client.ts";

export type S3Sign = (request: SignableRequest) => Promise<Readonly<Record<string, string>>>;

/**
 * Makes a function for `HttpRequest.sign` that signs with SigV4. It gets credentials and time for every attempt; without
 * credentials, requests are not signed.
 *
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
    // A key is derived for each day and secret; many keys mean that the credentials were renewed.
    if (keys.size > 8) keys.clear();
    // Runtimes and proxies may change other headers: with a Range, `fetch` adds to Accept-Encoding.
    const headers = {
      ...amzHeaders(request.headers),
      "x-amz-content-sha256": bytesToHex(await sha256(request.body ?? "")),
    };
    const now = clock.now();
    const added = await signAws(
      { ...request, headers, body: undefined },
      { credentials: known, service: "s3", region, now, cache: keys },
    );
    return { "x-amz-content-sha256": headers["x-amz-content-sha256"], ...added };
  };
}

/** The headers that must be signed in addition to `host`. */
function amzHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("x-amz-")));
}
