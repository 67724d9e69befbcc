import { ConfigError } from "../../core/error.ts";

/** A bucket, and the server that has it. */
export interface S3Bucket {
  /** The region that requests are signed for. */
  region: string;
  /** The bucket. */
  bucket: string;
  /** The address of a compatible service; empty: AWS. */
  endpoint: string;
}

/** The environment variables that name a service, the more specific one first. */
export const S3_ENDPOINT_VARIABLES: readonly string[] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

// Partitions whose hosts do not end in amazonaws.com, by how their regions begin:
// https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json
const DNS_SUFFIXES: readonly (readonly [string, string])[] = [
  ["cn-", "amazonaws.com.cn"],
  ["eusc-", "amazonaws.eu"],
  ["us-iso-", "c2s.ic.gov"],
  ["us-isob-", "sc2s.sgov.gov"],
];
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, but no dots: the
// certificate of *.s3.<region>.amazonaws.com covers one label.
const HOST_LABEL = /^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$/;
const REGION = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** What the AWS profile in use says about the address of S3. */
export interface AwsProfile {
  /** The profile's name. */
  name: string;
  /** The address of an S3-compatible service, from the profile's `services` section, else its `endpoint_url`. */
  s3Endpoint?: string;
  /** Whether `ignore_configured_endpoint_urls` is true. */
  ignoresEndpoints?: boolean;
}

/**
 * The address of a service: the URL's, else the environment's, else the profile's. The environment's and the profile's
 * are ignored if `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` says so, or, where that is not set, the profile.
 *
 * @param endpoint what the URL says; empty: nothing.
 * @param env environment variables.
 * @param profile the AWS profile in use.
 * @returns an `http(s)://` address without a slash at its end; empty: AWS.
 * @throws ConfigError that names the setting, but not its value, if it holds no such address.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
 */
export function s3Endpoint(
  endpoint: string,
  env: Readonly<Record<string, string | undefined>>,
  profile?: AwsProfile,
): string {
  if (endpoint !== "") return readEndpoint(endpoint, "endpoint");
  const setting = env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS?.toLowerCase();
  if (setting ? setting === "true" : profile?.ignoresEndpoints === true) return "";
  for (const name of S3_ENDPOINT_VARIABLES) {
    const value = env[name] ?? "";
    if (value !== "") return readEndpoint(value, name);
  }
  const configured = profile?.s3Endpoint ?? "";
  if (configured === "") return "";
  return readEndpoint(configured, `endpoint_url of the AWS profile "${profile?.name}"`);
}

function readEndpoint(text: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const usable =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === "";
  if (!usable) {
    throw new ConfigError(
      `Cannot use ${source}: it must be an http:// or https:// address without query or credentials`,
    );
  }
  return url.href.replace(/\/+$/, "");
}

/**
 * The address of a bucket: `https://<bucket>.s3.<region>.amazonaws.com` on AWS where a certificate
 * covers it, else `<endpoint>/<bucket>`.
 *
 * @param at the bucket.
 * @returns an address without a slash at its end.
 * @throws ConfigError when region or bucket cannot be part of an address.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
 */
export function bucketAddress(at: S3Bucket): string {
  if (!REGION.test(at.region)) {
    throw new ConfigError(
      `Cannot use the S3 region "${at.region}": it has characters of no region`,
    );
  }
  if (/^\.{1,2}$|[/\\]/.test(at.bucket)) {
    throw new ConfigError(`Cannot use the S3 bucket "${at.bucket}": it is no bucket name`);
  }
  if (at.endpoint !== "") return `${at.endpoint}/${encodeSegment(at.bucket)}`;
  const suffix =
    DNS_SUFFIXES.find(([start]) => at.region.startsWith(start))?.[1] ?? "amazonaws.com";
  const host = `s3.${at.region}.${suffix}`;
  return HOST_LABEL.test(at.bucket)
    ? `https://${at.bucket}.${host}`
    : `https://${host}/${encodeSegment(at.bucket)}`;
}

/**
 * The address of an object. Every character of a key can be sent, but not a segment that is `.` or
 * `..`: `fetch` resolves those, also when they are escaped, and would ask for another object.
 *
 * @param at the bucket.
 * @param key the object's key.
 * @returns the address.
 * @throws ConfigError for such a key.
 * @see https://url.spec.whatwg.org/#double-dot-path-segment
 */
export function objectAddress(at: S3Bucket, key: string): string {
  const segments = key.split("/");
  if (segments.some((segment) => segment === "." || segment === "..")) {
    throw new ConfigError(
      `Cannot ask for the S3 object "${key}": HTTP clients resolve "." and ".." in a path; store it under another key`,
    );
  }
  return `${bucketAddress(at)}/${segments.map(encodeSegment).join("/")}`;
}

/**
 * Escapes as SigV4 counts: everything but letters, digits and `-._~`.
 *
 * @param text one segment of a path, or a key or value of a query.
 * @returns the escaped text.
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function encodeSegment(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
