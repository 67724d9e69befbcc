import { file } from "./file/driver.ts";
import { gs } from "./gcs/driver.ts";
import { s3 } from "./s3/driver.ts";
import type { CacheTable } from "./types.ts";

/** The caches by scheme. Help, the reference, redaction and errors are derived from this table. */
export const caches: CacheTable = { file, s3, gs };
