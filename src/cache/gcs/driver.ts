import { decodePath } from "../../core/url.ts";
import { gs as registry } from "../../registries/gcs/driver.ts";
import { normalisePrefix } from "../../registries/s3/locator.ts";
import { badCacheUrl, REGISTRY_TTL, readCacheQuery } from "../locator.ts";
import type { CacheDriver } from "../types.ts";
import type { GcsCacheLocator } from "./locator.ts";

const SYNTAX = "gs://<bucket>/<prefix>";
const OPTIONS = [REGISTRY_TTL];

/** Objects in a bucket of Google Cloud Storage. */
export const gs: CacheDriver<GcsCacheLocator> = {
  scheme: "gs",
  name: "Google Cloud Storage",
  syntax: SYNTAX,
  example: "gs://my-cache-bucket/myapp?registry-ttl=30s",
  options: OPTIONS,
  environment: registry.environment,
  parse(url) {
    const { common } = readCacheQuery(url, OPTIONS);
    const bucket = decodePath(url.host, url, "--cache");
    if (bucket === "") throw badCacheUrl(url, `bucket is required: ${SYNTAX}`);
    return {
      ...common,
      bucket,
      prefix: normalisePrefix(decodePath(url.path, url, "--cache")),
    };
  },
  async open(locator, context) {
    const { openGcsCache } = await import("./store.ts");
    return openGcsCache(locator, context);
  },
};
