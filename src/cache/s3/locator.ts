import type { CacheLocator } from "../types.ts";

export interface S3CacheLocator extends CacheLocator {
  region: string;
  bucket: string;
  /** Empty, or ends in `/`. */
  prefix: string;
  endpoint: string;
}
