import { decodePath, encodePath, readQuery, type SplitUrl } from "../../core/url.ts";
import { badArtifactUrl } from "../driver.ts";

/** An object in S3. */
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

/**
 * Reads `s3://region/bucket/key[?endpoint=…]`.
 *
 * @param url the URL, taken apart.
 * @returns its parts.
 * @throws ConfigError when a part is missing.
 */
export function parseS3ArtifactUrl(url: SplitUrl): S3Artifact {
  const query = readQuery(
    url,
    [
      { name: "endpoint", type: "url", description: "The address of an S3-compatible service" },
      { name: "region", type: "string", description: "The region" },
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
