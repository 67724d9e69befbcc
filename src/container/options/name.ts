/**
 * How dewy names and labels what it makes in a container engine.
 *
 * @module
 */

/** The labels of dewy's containers. All begin with {@link LABEL_PREFIX}. */
export const LABELS = {
  /** `true`: dewy made it. */
  managed: "dewy.managed",
  /** The app. */
  app: "dewy.app",
  /** The tag, as the registry spells it. */
  version: "dewy.version",
  /** The number among the replicas of a release, from 0 on. */
  replica: "dewy.replica",
  /** When it was made, RFC 3339. */
  deployedAt: "dewy.deployed_at",
  /** The name of the release directory. */
  release: "dewy.release",
  /** The working directory of the dewy that made it. */
  directory: "dewy.directory",
  /** The only port that its image exposes; absent: it exposes several, or none. */
  exposed: "dewy.exposed",
  /** A hash of what it was started with, the image apart. */
  config: "dewy.config",
} as const;

/** Labels that begin like this are dewy's own. */
export const LABEL_PREFIX = "dewy.";

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
const MAX_TAG_LENGTH = 128;

/**
 * The name of a container.
 *
 * @param base the app.
 * @param unixSeconds when it is made.
 * @param replica its number among the replicas of its release.
 * @returns `<base>-<unix time>-<replica>`.
 */
export function containerName(base: string, unixSeconds: number, replica: number): string {
  return `${base}-${unixSeconds}-${replica}`;
}

/**
 * The local repository that holds the names of an app's images. Of the host `localhost`, so that nobody takes it for one
 * of Docker Hub; Podman would put that in front by itself.
 *
 * @param app the app.
 * @returns `localhost/dewy/<app>`.
 */
export function imageRepository(app: string): string {
  return `localhost/dewy/${app}`;
}

/**
 * The local name that keeps the image of a release from being removed.
 *
 * @param app the app.
 * @param tag the tag of the release.
 * @returns `localhost/dewy/<app>:<tag>`, with `_` for what a tag must not have.
 */
export function imageName(app: string, tag: string): string {
  const safe = tag.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^[.-]/, "_");
  return `${imageRepository(app)}:${safe.slice(0, MAX_TAG_LENGTH)}`;
}
