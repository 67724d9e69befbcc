import { decodePath } from "../../core/url.ts";
import { s3 as registry } from "../../registries/s3/driver.ts";
import { normalisePrefix, S3_OPTIONS } from "../../registries/s3/locator.ts";
import { badCacheUrl, REGISTRY_TTL, readCacheQuery } from "../locator.ts";
import type { CacheDriver } from "../types.ts";
import type { S3CacheLocator } from "./locator.ts";

const SYNTAX = "s3://<region>/<bucket>/<prefix>";
const OPTIONS = [REGISTRY_TTL, ...S3_OPTIONS.filter(({ name }) => name === "endpoint")];

/** Objects in a bucket of S3, or of a compatible service. */
export const s3: CacheDriver<S3CacheLocator> = {
  scheme: "s3",
  name: "AWS S3",
  syntax: SYNTAX,
  example: "s3://ap-northeast-1/my-cache/myapp?registry-ttl=30s",
  options: OPTIONS,
  environment: registry.environment,
  parse(url) {
    const { query, common } = readCacheQuery(url, OPTIONS);
    const region = decodePath(url.host, url, "--cache");
    const [bucket = "", ...rest] = url.path.slice(1).split("/");
    if (region === "") throw badCacheUrl(url, `region is required: ${SYNTAX}`);
    if (bucket === "") throw badCacheUrl(url, `bucket is required: ${SYNTAX}`);
    const endpoint = query.text("endpoint");
    if (endpoint !== "" && !/^https?:\/\/[^/?#@]+(\/[^?#]*)?$/i.test(endpoint)) {
      throw badCacheUrl(
        url,
        "endpoint must be an http:// or https:// URL without query or credentials",
      );
    }
    return {
      ...common,
      region,
      bucket: decodePath(bucket, url, "--cache"),
      prefix: normalisePrefix(decodePath(rest.join("/"), url, "--cache")),
      endpoint,
    };
  },
  async open(locator, context) {
    const { openS3Cache } = await import("./store.ts");
    return openS3Cache(locator, context);
  },
};
