import { decodePath, encodePath, readQuery, type SplitUrl } from "../core/url.ts";
import {
  badArtifactUrl,
  badRegistryUrl,
  FILE_OPTIONS,
  type LocatorBase,
  readRegistryQuery,
} from "./driver.ts";

export const FILE_SYNTAX = "file:///<directory>";

/** A directory of this machine in the layout of an S3 registry. */
export interface FileLocator extends LocatorBase {
  /** The kind of registry. */
  type: "file";
  /** The absolute path of the directory that holds the version directories. */
  dir: string;
}

export function parseFileUrl(url: SplitUrl): FileLocator {
  const { common } = readRegistryQuery("file", url, FILE_OPTIONS);
  if (url.host !== "" && url.host !== "localhost") {
    throw badRegistryUrl(url, `"${url.host}" would be a host; write three slashes`, FILE_SYNTAX);
  }
  const dir = decodePath(url.path, url, "--registry");
  if (dir === "" || dir === "/") throw badRegistryUrl(url, "directory is required", FILE_SYNTAX);
  return { ...common, dir };
}

/** @returns `file:///<absolute path>`. */
export function formatFileArtifactUrl(path: string): string {
  return `file://${encodePath(path, true)}`;
}

/** Reads `file:///<absolute path>`. Throws a ConfigError for a host or without a path. */
export function parseFileArtifactUrl(url: SplitUrl): string {
  readQuery(url, [], "the artifact URL");
  const path = decodePath(url.path, url, "the artifact URL");
  if ((url.host !== "" && url.host !== "localhost") || path === "") {
    throw badArtifactUrl(url, "file:///<absolute path>");
  }
  return path;
}
