import type { CacheLocator } from "../types.ts";

export interface GcsCacheLocator extends CacheLocator {
  bucket: string;
  /** Empty, or ends in `/`. */
  prefix: string;
}
