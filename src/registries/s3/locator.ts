import { ConfigError } from "../../core/error.ts";
import {
  decodePath,
  encodePath,
  type OptionSpec,
  option,
  readQuery,
  redactUrl,
  type SplitUrl,
} from "../../core/url.ts";
import {
  badArtifactUrl,
  badRegistryUrl,
  FILE_OPTIONS,
  type LocatorBase,
  readRegistryQuery,
} from "../driver.ts";

export const S3_SYNTAX = "s3://<region>/<bucket>/<path-prefix>";
export const S3_OPTIONS: readonly OptionSpec[] = [
  ...FILE_OPTIONS,
  option("region", "The region, if it is not the host of the URL"),
  option("endpoint", "The URL of an S3-compatible service, which is used with path style", "url"),
];

/** A prefix in a bucket of S3 or of a compatible service. */
export interface S3Locator extends LocatorBase {
  /** The kind of registry. */
  type: "s3";
  /** The region that requests are signed for. */
  region: string;
  /** The bucket. */
  bucket: string;
  /** The part before the version directories: empty, or ends in `/`. */
  prefix: string;
  /** The URL of a compatible service; empty for AWS or the environment's. */
  endpoint: string;
}

/** Recognizes the URL of a bucket on AWS, in path style or virtual-hosted style. */
export function s3FromWebAddress({ hostname, pathname }: URL): string | undefined {
  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
  const parts = /^(?:(.+)\.)?s3[.-]([a-z]+(?:-[a-z]+)+-\d)\.amazonaws\.com$/.exec(hostname);
  if (parts === null) return undefined;
  const [, bucket, region] = parts;
  const path = bucket === undefined ? pathname : `/${bucket}${pathname}`;
  return path === "/" ? undefined : `s3://${region}${path.replace(/\/$/, "")}`;
}

export function parseS3Url(url: SplitUrl): S3Locator {
  const { common, query } = readRegistryQuery("s3", url, S3_OPTIONS);
  const region = query.text("region") || decodePath(url.host, url, "--registry");
  const [bucket = "", ...rest] = url.path.slice(1).split("/");
  if (region === "") throw badRegistryUrl(url, "region is required", S3_SYNTAX);
  if (bucket === "") throw badRegistryUrl(url, "bucket is required", S3_SYNTAX);
  return {
    ...common,
    region,
    bucket: decodePath(bucket, url, "--registry"),
    prefix: normalisePrefix(decodePath(rest.join("/"), url, "--registry")),
    endpoint: checkEndpoint(query.text("endpoint"), url),
  };
}

/** Removes one leading slash and adds a trailing one. */
export function normalisePrefix(prefix: string): string {
  const relative = prefix.replace(/^\//, "");
  return relative === "" || relative.endsWith("/") ? relative : `${relative}/`;
}

function checkEndpoint(endpoint: string, url: SplitUrl): string {
  if (endpoint === "") return "";
  if (!/^https?:\/\/[^/?#@]+(\/[^?#]*)?$/i.test(endpoint)) {
    throw new ConfigError(
      `Cannot use --registry "${redactUrl(url.text)}": endpoint must be an http:// or https:// URL without query or credentials`,
    );
  }
  return endpoint;
}

export interface S3Artifact {
  type: "s3";
  region: string;
  bucket: string;
  key: string;
  endpoint: string;
}

/** @returns `s3://region/bucket/key`, with `?endpoint=` where one is set. */
export function formatS3ArtifactUrl(a: Omit<S3Artifact, "type">): string {
  const query = a.endpoint === "" ? "" : `?endpoint=${encodePath(a.endpoint, true)}`;
  return `s3://${encodePath(a.region, false)}/${encodePath(a.bucket, false)}/${encodePath(a.key, true)}${query}`;
}

/** Reads `s3://region/bucket/key[?endpoint=…]`. Throws a ConfigError if a part is missing or superfluous. */
export function parseS3ArtifactUrl(url: SplitUrl): S3Artifact {
  const query = readQuery(
    url,
    [
      option("endpoint", "The address of an S3-compatible service", "url"),
      option("region", "The region"),
    ],
    "the artifact URL",
  );
  const [bucket = "", ...rest] = url.path.slice(1).split("/");
  const region = query.text("region") || decodePath(url.host, url, "the artifact URL");
  const key = decodePath(rest.join("/"), url, "the artifact URL");
  if (region === "" || bucket === "" || key === "") {
    throw badArtifactUrl(url, "s3://<region>/<bucket>/<key>");
  }
  return {
    type: "s3",
    region,
    bucket: decodePath(bucket, url, "the artifact URL"),
    key,
    endpoint: query.text("endpoint"),
  };
}
