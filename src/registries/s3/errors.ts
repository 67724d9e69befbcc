import {
  ConfigError,
  CredentialError,
  type DewyError,
  IntegrityError,
  NotFoundError,
} from "../../core/error.ts";
import { describeFailure, failureError, type HttpFailure } from "../../http/errors.ts";
import type { S3Bucket } from "./address.ts";
import { parseS3Error } from "./xml.ts";

// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
const UNKNOWN_KEY =
  "the service does not know the access key; check AWS_ACCESS_KEY_ID and the endpoint";
const ADVICE: Readonly<Record<string, string>> = {
  InvalidAccessKeyId: UNKNOWN_KEY,
  // versitygw
  XAdminUserNotFound: UNKNOWN_KEY,
  SignatureDoesNotMatch:
    "the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY",
  RequestTimeTooSkewed: "this machine's clock is wrong; set it",
  ExpiredToken: "the session has expired; get new credentials",
  InvalidToken: "the session token does not belong to the key; check AWS_SESSION_TOKEN",
  TokenRefreshRequired: "the session has expired; get new credentials",
  AccessDenied:
    "dewy needs s3:ListBucket, s3:GetObject, to write s3:PutObject, in a cache s3:DeleteObject",
};
const WRITE_ADVICE = "writing takes the permission s3:PutObject";
const ANONYMOUS =
  "the request was sent without credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role";
const WRONG_REGION = new Set([
  "PermanentRedirect",
  "TemporaryRedirect",
  "AuthorizationHeaderMalformed",
  "IllegalLocationConstraintException",
]);
const REGION = /^[a-z0-9-]{1,40}$/;

/** Makes a function for `HttpRequest.toError`. */
export function s3Error(
  at: S3Bucket,
  isAnonymous: () => boolean,
): (failure: HttpFailure) => DewyError {
  return (failure) => {
    const { code, region } = parseS3Error(failure.body);
    const what = describeFailure(failure);
    const elsewhere = rightRegion(at, failure, code, region);
    if (elsewhere !== undefined) {
      return new ConfigError(
        `${what}; the bucket "${at.bucket}" is in ${elsewhere}, not ${at.region}: write s3://${elsewhere}/${at.bucket}/…`,
      );
    }
    if (isAnonymous() && wantsCredentials(failure.status, code)) {
      return new CredentialError(`${what}; ${ANONYMOUS}`);
    }
    const isRecord = failure.method === "PUT";
    const isDenied = code === "AccessDenied" || (failure.status === 403 && code === "");
    if (isRecord && isDenied) return new CredentialError(`${what}; ${WRITE_ADVICE}`);
    const advice = Object.hasOwn(ADVICE, code) ? ADVICE[code] : undefined;
    if (advice !== undefined) return new CredentialError(`${what}; ${advice}`);
    if (code === "NoSuchBucket") {
      return new NotFoundError(
        `${what}; there is no bucket "${at.bucket}" at ${at.endpoint || `AWS in ${at.region}`}`,
      );
    }
    if (failure.status === 412) {
      return new IntegrityError(`${what}; the object was replaced in the meantime; start again`);
    }
    if (failure.status === 416) {
      return new IntegrityError(`${what}; the object has fewer bytes than requested`);
    }
    return failureError(failure);
  };
}

/** OpenStack Swift answers 412 without an S3 code, since it treats only signed requests as S3. */
function wantsCredentials(status: number, code: string): boolean {
  return status === 401 || status === 403 || (status === 412 && code === "");
}

/** The bucket's actual region, from the body or, without one (HEAD), from a header. */
function rightRegion(
  at: S3Bucket,
  failure: HttpFailure,
  code: string,
  region: string,
): string | undefined {
  const stated = region || (failure.headers.get("x-amz-bucket-region") ?? "");
  const mayBe = WRONG_REGION.has(code) || [301, 307, 400].includes(failure.status);
  return mayBe && REGION.test(stated) && stated !== at.region ? stated : undefined;
}
