/**
 * THE table of a host: the library's registries, and those that need this machine's files.
 *
 * @module
 */

import type { RegistryTable } from "../registries/driver.ts";
import { file } from "../registries/file/driver.ts";
import { registries } from "../registries/table.ts";

/**
 * The registries of a host, to be passed to `openRegistry`, `latest` and `explain`.
 *
 * @example
 * ```ts
 * import { hostRegistries } from "dewy/host";
 *
 * if (!("file" in hostRegistries && "ghr" in hostRegistries)) throw new Error("a registry is missing");
 * ```
 */
export const hostRegistries: RegistryTable = { ...registries, file };
