import { declarePrintable, redactUrl as redact } from "../core/url.ts";
import type { RegistryTable } from "./driver.ts";
import type { FileLocator } from "./file_locator.ts";
import { gs } from "./gcs/driver.ts";
import type { GsLocator } from "./gcs/locator.ts";
import { ghr } from "./github/driver.ts";
import type { GhrLocator } from "./github/locator.ts";
import { grpc } from "./grpc/driver.ts";
import type { GrpcLocator } from "./grpc/locator.ts";
import { https } from "./https/driver.ts";
import type { HttpsLocator } from "./https/locator.ts";
import { img } from "./oci/driver.ts";
import type { OciLocator } from "./oci/locator.ts";
import { s3 } from "./s3/driver.ts";
import type { S3Locator } from "./s3/locator.ts";

/** A parsed registry URL; its `type` is the kind of registry. */
export type RegistryLocator =
  | GhrLocator
  | S3Locator
  | GsLocator
  | OciLocator
  | GrpcLocator
  | HttpsLocator
  | FileLocator;

/** The registries that need nothing but web standards. A host adds its own: `hostRegistries` of `dewy/host`. */
export const registries: RegistryTable = { ghr, s3, gs, img, grpc, https };

/**
 * Prepares a URL for a log, an error or a notification. User name and password are cut out, and the values of all query
 * keys become `…`, except those that a registry of the table declares as harmless.
 *
 * @param url Any text. It need not be a valid URL.
 * @param table The registries. Defaults to {@link registries}.
 * @returns The text to print.
 *
 * @example
 * ```ts
 * import { redactUrl } from "dewy";
 *
 * const shown = redactUrl("https://me:pw@example.com/a?page=2&token=abc");
 * if (shown !== "https://example.com/a?page=2&token=…") throw new Error(shown);
 * ```
 */
export function redactUrl(url: string | URL, table: RegistryTable = registries): string {
  declarePrintable(table);
  return redact(url);
}
