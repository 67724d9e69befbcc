import { decodePath, encodePath, readQuery, type SplitUrl } from "../../core/url.ts";
import { badArtifactUrl } from "../driver.ts";

/** An object in Google Cloud Storage. */
export interface GsArtifact {
  type: "gs";
  bucket: string;
  object: string;
}

/** @returns `gs://bucket/object`. */
export function formatGsArtifactUrl(a: Omit<GsArtifact, "type">): string {
  return `gs://${encodePath(a.bucket, false)}/${encodePath(a.object, true)}`;
}

/**
 * Reads `gs://bucket/object`.
 *
 * @param url the URL, taken apart.
 * @returns its parts.
 * @throws ConfigError when a part is missing.
 */
export function parseGsArtifactUrl(url: SplitUrl): GsArtifact {
  readQuery(url, [], "the artifact URL");
  const bucket = decodePath(url.host, url, "the artifact URL");
  const object = decodePath(url.path.slice(1), url, "the artifact URL");
  if (bucket === "" || object === "") throw badArtifactUrl(url, "gs://<bucket>/<object>");
  return { type: "gs", bucket, object };
}
