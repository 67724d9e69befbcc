import { variable } from "../../core/environment.ts";
import { decodePath } from "../../core/url.ts";
import { badCacheUrl, REGISTRY_TTL, readCacheQuery } from "../locator.ts";
import type { CacheDriver } from "../types.ts";
import type { FileCacheLocator } from "./locator.ts";

const SYNTAX = "file:///<directory>";
const OPTIONS = [REGISTRY_TTL];

/** Files in a directory of this machine. */
export const file: CacheDriver<FileCacheLocator> = {
  scheme: "file",
  name: "Directory",
  syntax: SYNTAX,
  example: "file:///var/cache/dewy",
  options: OPTIONS,
  environment: [
    variable(
      "DEWY_CACHEDIR",
      "The directory of a file:// cache without a path; default: .dewy/cache",
    ),
  ],
  parse(url) {
    const { common } = readCacheQuery(url, OPTIONS);
    if (url.host !== "" && url.host !== "localhost") {
      throw badCacheUrl(url, `"${url.host}" would be a host; write three slashes: ${SYNTAX}`);
    }
    const directory = decodePath(url.path, url, "--cache");
    if (directory === "/") throw badCacheUrl(url, `directory is required: ${SYNTAX}`);
    return { ...common, directory };
  },
  async open(locator, context) {
    const { openFileCache } = await import("./store.ts");
    return openFileCache(locator, context);
  },
};
