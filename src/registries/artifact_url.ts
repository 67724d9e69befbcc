/**
 * The addresses of artifacts, built and parsed in one place so that names from outside are escaped the
 * same way on both sides.
 *
 * @module
 */
import { ConfigError } from "../core/error.ts";
import { decodePath, encodePath, readQuery, redactUrl, type SplitUrl } from "../core/url.ts";

/** A file of a GitHub release. */
export interface GhrArtifact {
  type: "ghr";
  owner: string;
  repo: string;
  tag: string;
  artifact: string;
}

/** An object in S3. */
export interface S3Artifact {
  type: "s3";
  region: string;
  bucket: string;
  key: string;
  endpoint: string;
}

/** An object in Google Cloud Storage. */
export interface GsArtifact {
  type: "gs";
  bucket: string;
  object: string;
}

/** An image in a registry. */
export interface ImgArtifact {
  type: "oci";
  imageRef: string;
}

function bad(url: SplitUrl, syntax: string): ConfigError {
  return new ConfigError(
    `Cannot read the artifact URL "${redactUrl(url.text)}": expected ${syntax}`,
  );
}

/** @returns `ghr://owner/repo/tag/<tag>/<artifact>`. */
export function formatGhrArtifactUrl(a: Omit<GhrArtifact, "type">): string {
  const part = (text: string): string => encodePath(text, false);
  return `ghr://${part(a.owner)}/${part(a.repo)}/tag/${part(a.tag)}/${part(a.artifact)}`;
}

/**
 * Reads `ghr://owner/repo/tag/<tag>/<artifact>`.
 *
 * @param url the URL, taken apart.
 * @returns its parts.
 * @throws ConfigError when a part is missing or too many.
 */
export function parseGhrArtifactUrl(url: SplitUrl): GhrArtifact {
  const syntax = "ghr://<owner>/<repo>/tag/<tag>/<artifact>";
  readQuery(url, [], "the artifact URL");
  const parts = [url.host, ...url.path.slice(1).split("/")].map((part) =>
    decodePath(part, url, "the artifact URL"),
  );
  const [owner = "", repo = "", word, tag = "", artifact = ""] = parts;
  if (parts.length !== 5 || word !== "tag" || parts.some((part) => part === "")) {
    throw bad(url, syntax);
  }
  return { type: "ghr", owner, repo, tag, artifact };
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
    throw bad(url, "s3://<region>/<bucket>/<key>");
  }
  return {
    type: "s3",
    region,
    bucket: decodePath(bucket, url, "the artifact URL"),
    key,
    endpoint: query.text("endpoint"),
  };
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
  if (bucket === "" || object === "") throw bad(url, "gs://<bucket>/<object>");
  return { type: "gs", bucket, object };
}

/** @returns `img://host/repository:tag`. */
export function formatImgArtifactUrl(a: {
  registry: string;
  repository: string;
  tag: string;
}): string {
  return `img://${a.registry}/${encodePath(a.repository, true)}:${encodePath(a.tag, false)}`;
}

/**
 * Reads `img://host/repository:tag`; a query means nothing.
 *
 * @param url the URL, taken apart.
 * @returns the image's name as a container runtime takes it.
 * @throws ConfigError when host or repository is missing.
 */
export function parseImgArtifactUrl(url: SplitUrl): ImgArtifact {
  const host = decodePath(url.host, url, "the artifact URL");
  const image = decodePath(url.path.slice(1), url, "the artifact URL");
  if (host === "" || image === "") throw bad(url, "img://<host>/<repository>:<tag>");
  return { type: "oci", imageRef: `${host}/${image}` };
}

/** @returns `file:///<absolute path>`. */
export function formatFileArtifactUrl(path: string): string {
  return `file://${encodePath(path, true)}`;
}

/**
 * Reads `file:///<absolute path>`.
 *
 * @param url the URL, taken apart.
 * @returns the path.
 * @throws ConfigError when it names a host or no path.
 */
export function parseFileArtifactUrl(url: SplitUrl): string {
  readQuery(url, [], "the artifact URL");
  const path = decodePath(url.path, url, "the artifact URL");
  if ((url.host !== "" && url.host !== "localhost") || path === "") {
    throw bad(url, "file:///<absolute path>");
  }
  return path;
}
