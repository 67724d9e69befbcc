import type { CacheDriver, CacheLocator } from "../../src/cache/types.ts";
import { secretVariable, variable } from "../../src/core/environment.ts";
import { option, redactUrl } from "../../src/core/url.ts";
import { memoryCache } from "../fakes/memory_cache.ts";

/** A made-up cache with a secret of its own. */
export const locker: CacheDriver<CacheLocator> = {
  scheme: "locker",
  name: "Locker",
  syntax: "locker://<hall>",
  example: "locker://north?row=3",
  options: [option("row", "The row"), { ...option("key", "The key"), secret: true }],
  environment: [
    secretVariable("LOCKER_CODE", "The code of the lock"),
    variable("LOCKER_HALL", "The hall"),
  ],
  parse: ({ text }) => ({ name: redactUrl(text), registryTtlMs: 0 }),
  open: ({ name }) => Object.assign(memoryCache(), { name }),
};
