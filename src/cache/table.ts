import type { CacheTable } from "./types.ts";

/** The caches of `--cache`, by the part of the URL before `://`. */
export const caches: CacheTable = {};
