import { decodePath, encodePath, readQuery, type SplitUrl } from "../../core/url.ts";
import {
  badArtifactUrl,
  badRegistryUrl,
  FILE_OPTIONS,
  type LocatorBase,
  readRegistryQuery,
} from "../driver.ts";

export const GS_SYNTAX = "gs://<bucket>/<path-prefix>";

/** A prefix in a bucket of Google Cloud Storage. */
export interface GsLocator extends LocatorBase {
  /** The kind of registry. */
  type: "gs";
  /** The bucket. */
  bucket: string;
  /** The part before the version directories: empty, or ends in `/`. */
  prefix: string;
}

const GS_PAGES: readonly RegExp[] = [
  /^storage\.(?:googleapis|cloud\.google)\.com\/(.+)$/,
  /^console\.cloud\.google\.com\/storage\/browser\/(.+)$/,
];

/** Recognizes the URL of a bucket, in the API or in Google's console. */
export function gsFromWebAddress({ hostname, pathname }: URL): string | undefined {
  const found = GS_PAGES.map((page) => page.exec(hostname + pathname)?.[1]).find(Boolean);
  return found === undefined ? undefined : `gs://${found}`;
}

/** Parses `gs://bucket/prefix`. Unlike for S3, every slash after the first is part of the prefix. */
export function parseGsUrl(url: SplitUrl): GsLocator {
  const { common } = readRegistryQuery("gs", url, FILE_OPTIONS);
  const bucket = decodePath(url.host, url, "--registry");
  if (bucket === "") throw badRegistryUrl(url, "bucket is required", GS_SYNTAX);
  const path = decodePath(url.path.slice(1), url, "--registry");
  const prefix = path === "" || path.endsWith("/") ? path : `${path}/`;
  return { ...common, bucket, prefix };
}

export interface GsArtifact {
  type: "gs";
  bucket: string;
  object: string;
}

/** @returns `gs://bucket/object`. */
export function formatGsArtifactUrl(a: Omit<GsArtifact, "type">): string {
  return `gs://${encodePath(a.bucket, false)}/${encodePath(a.object, true)}`;
}

/** Reads `gs://bucket/object`. Throws a ConfigError if a part is missing or superfluous. */
export function parseGsArtifactUrl(url: SplitUrl): GsArtifact {
  readQuery(url, [], "the artifact URL");
  const bucket = decodePath(url.host, url, "the artifact URL");
  const object = decodePath(url.path.slice(1), url, "the artifact URL");
  if (bucket === "" || object === "") throw badArtifactUrl(url, "gs://<bucket>/<object>");
  return { type: "gs", bucket, object };
}
