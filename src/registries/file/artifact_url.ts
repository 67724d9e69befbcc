import { decodePath, encodePath, readQuery, type SplitUrl } from "../../core/url.ts";
import { badArtifactUrl } from "../driver.ts";

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
    throw badArtifactUrl(url, "file:///<absolute path>");
  }
  return path;
}
