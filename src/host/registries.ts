import type { RegistryTable } from "../registries/driver.ts";
import { file } from "../registries/file/driver.ts";
import { registries } from "../registries/table.ts";

/**
 * The registries of a host: those of the library, and `file://`. Extend it to add a driver of your own.
 *
 * @example
 * ```ts
 * import { hostRegistries } from "dewy/host";
 *
 * if (!("file" in hostRegistries && "ghr" in hostRegistries)) throw new Error("a registry is missing");
 * ```
 */
export const hostRegistries: RegistryTable = { ...registries, file };
