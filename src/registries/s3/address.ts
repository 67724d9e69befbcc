import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { readBaseUrl } from "../../core/url.ts";

export interface S3Bucket {
  region: string;
  bucket: string;
  /** The URL of a compatible service; empty for AWS. */
  endpoint: string;
}

/** In order of precedence. */
export const S3_ENDPOINT_VARIABLES: readonly string[] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

// Partitions whose hosts do not end in amazonaws.com, by the prefix of their regions:
// https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json
const DNS_SUFFIXES: readonly (readonly [string, string])[] = [
  ["cn-", "amazonaws.com.cn"],
  ["eusc-", "amazonaws.eu"],
  ["us-iso-", "c2s.ic.gov"],
  ["us-isob-", "sc2s.sgov.gov"],
];
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, but without dots: the certificate of
// *.s3.<region>.amazonaws.com covers one label.
const HOST_LABEL = /^[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])$/;
const REGION = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** The AWS profile in use, as far as it is about the address of S3. */
export interface AwsProfile {
  /** The profile's name. */
  name: string;
  /** The URL of an S3-compatible service, from the profile's `services` section, else its `endpoint_url`. */
  s3Endpoint?: string;
  /** Whether `ignore_configured_endpoint_urls` is true. */
  ignoresEndpoints?: boolean;
}

/**
 * The endpoint: the URL's, else the environment's, else the profile's; empty for AWS. It has no trailing slash.
 * `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` or, if that is not set, the profile decides whether the latter two are ignored.
 * See https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
 */
export function s3Endpoint(endpoint: string, env: Environment, profile?: AwsProfile): string {
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
  const url = readBaseUrl(text);
  if (url !== undefined) return url;
  throw new ConfigError(
    `Cannot use ${source}: expected an http:// or https:// URL without query or credentials`,
  );
}

/**
 * The URL of a bucket, without a trailing slash: `https://<bucket>.s3.<region>.amazonaws.com` on AWS if the certificate
 * covers it, else path style. See https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
 */
export function bucketAddress(at: S3Bucket): string {
  if (!REGION.test(at.region)) {
    throw new ConfigError(`Invalid S3 region "${at.region}"`);
  }
  if (/^\.{1,2}$|[/\\]/.test(at.bucket)) {
    throw new ConfigError(`Invalid S3 bucket name "${at.bucket}"`);
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
 * The URL of an object. A key may have any character, but not a segment `.` or `..`: `fetch` resolves those even if they
 * are escaped, and would request another object. See https://url.spec.whatwg.org/#double-dot-path-segment
 */
export function objectAddress(at: S3Bucket, key: string): string {
  const segments = key.split("/");
  if (segments.some((segment) => segment === "." || segment === "..")) {
    throw new ConfigError(
      `Cannot request the S3 object "${key}": HTTP clients resolve "." and ".." in a path; store it under another key`,
    );
  }
  return `${bucketAddress(at)}/${segments.map(encodeSegment).join("/")}`;
}

/** Escapes as SigV4 requires: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
export function encodeSegment(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
