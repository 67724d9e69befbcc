import { ConfigError } from "../../core/error.ts";
import { decodePath, splitUrl } from "../../core/url.ts";

export const LABELS = {
  managed: "dewy.managed",
  app: "dewy.app",
  version: "dewy.version",
  replica: "dewy.replica",
  deployedAt: "dewy.deployed_at",
  /** The name of the release directory. */
  release: "dewy.release",
  /** The working directory. */
  directory: "dewy.directory",
  /** The port that the image exposes, if it exposes exactly one. */
  exposed: "dewy.exposed",
  /** A hash of the options that the container was started with, without the image. */
  config: "dewy.config",
} as const;

export const LABEL_PREFIX = "dewy.";

/** The characters that container names, image names and paths all allow. */
const APP_NAME = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
/** Docker makes a container's name its host name, and some programs fail on longer host names. */
const MAX_APP_NAME_LENGTH = 63;
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
const MAX_TAG_LENGTH = 128;

export function checkAppName(name: string, flag: string): string {
  if (APP_NAME.test(name) && name.length <= MAX_APP_NAME_LENGTH) return name;
  const lower = name.toLowerCase();
  const hint = APP_NAME.test(lower) && lower !== name ? `; did you mean ${lower}?` : "";
  throw new ConfigError(
    `Invalid value for ${flag} "${name}": expected lower-case letters and digits, with "-", "_" or "." between them, at most ${MAX_APP_NAME_LENGTH}${hint}`,
  );
}

/** Returns the last segment of the registry's path. */
export function appNameOf(registry: string): string {
  const url = splitUrl(registry, "--registry");
  const parts = [url.host, ...decodePath(url.path, url, "--registry").split("/")];
  const last = parts.filter((part) => part !== "").at(-1) ?? "";
  return last.replace(/[:@].*$/s, "");
}

export function managedLabels(app: string): Readonly<Record<string, string>> {
  return { [LABELS.managed]: "true", [LABELS.app]: app };
}

/** The host keeps the repository apart from Docker Hub; Podman would add it anyway. */
export function imageRepository(app: string): string {
  return `localhost/dewy/${app}`;
}

/** Returns the local name that keeps a release's image from being pruned by the engine. */
export function imageName(app: string, tag: string): string {
  const safe = tag.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^[.-]/, "_");
  return `${imageRepository(app)}:${safe.slice(0, MAX_TAG_LENGTH)}`;
}
