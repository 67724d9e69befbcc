import type { CacheLocator } from "../types.ts";

export interface FileCacheLocator extends CacheLocator {
  /** An absolute path; empty for the default: `DEWY_CACHEDIR`, else `.dewy/cache`. */
  directory: string;
}
