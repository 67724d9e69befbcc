import { decodePath, encodePath, type OptionSpec, readQuery, type SplitUrl } from "../core/url.ts";
import {
  badArtifactUrl,
  badRegistryUrl,
  FILE_OPTIONS,
  type LocatorBase,
  readRegistryQuery,
} from "./driver.ts";

/** The form of a directory registry URL. */
export const FILE_SYNTAX = "file:///<directory>";
/** The options of a directory registry URL. */
export const FILE_URL_OPTIONS: readonly OptionSpec[] = FILE_OPTIONS;

/** A directory of this machine in the layout of an S3 registry. */
export interface FileLocator extends LocatorBase {
  /** The kind of registry. */
  type: "file";
  /** The absolute path of the directory that holds the version directories. */
  dir: string;
}

/** Reads `file:///dir`. */
export function parseFileUrl(url: SplitUrl): FileLocator {
  const { common } = readRegistryQuery("file", url, FILE_URL_OPTIONS);
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
