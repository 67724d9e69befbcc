/**
 * THE table of registries. `--help`, the README, the "supported" errors and the contract tests are
 * derived from it.
 *
 * @module
 */
import type { RegistryDriver, RegistryScheme } from "./driver.ts";
import type { FileLocator } from "./file_locator.ts";
import { gs } from "./gcs/driver.ts";
import type { GsLocator } from "./gcs/locator.ts";
import { ghr } from "./github/driver.ts";
import type { GhrLocator } from "./github/locator.ts";
import { grpc } from "./grpc/driver.ts";
import type { GrpcLocator } from "./grpc/locator.ts";
import { img } from "./oci/driver.ts";
import type { OciLocator } from "./oci/locator.ts";
import { s3 } from "./s3/driver.ts";
import type { S3Locator } from "./s3/locator.ts";

/** A registry URL, read and checked; tell the kinds apart by `type`. */
export type RegistryLocator =
  | GhrLocator
  | S3Locator
  | GsLocator
  | OciLocator
  | GrpcLocator
  | FileLocator;

/** Drivers and reserved schemes by the part of the URL before `://`. */
export type RegistryTable = Readonly<Record<string, RegistryScheme | RegistryDriver>>;

/** The registries that need nothing but web standards. A host adds its own: `hostRegistries` of `dewy/host`. */
export const registries: RegistryTable = { ghr, s3, gs, img, grpc };
