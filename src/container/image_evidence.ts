import type { CommandContext } from "../agent/context.ts";
import { optionsOf } from "../agent/open_configured.ts";
import type { CommonConfig } from "../cli/flags/common.ts";
import type { ImageEvidence } from "../core/proof.ts";
import type { Artifact } from "../core/types.ts";
import type { LocatorBase } from "../registries/driver.ts";
import { prepare } from "../registries/load.ts";
import type { OciLocator } from "../registries/oci/locator.ts";

/** Finds the signatures of an image, as resolved. */
export type EvidenceOf = (image: Pick<Artifact, "digest" | "revision">) => ImageEvidence;

/** Loads what reads the signatures of images; `undefined` if the registry is not an OCI registry. */
export async function loadImageEvidence(
  config: Pick<CommonConfig, "registry" | "slot" | "calver">,
  context: CommandContext,
): Promise<EvidenceOf | undefined> {
  const { locator, context: io } = prepare(config.registry, optionsOf(config, context));
  if (!isOci(locator)) return undefined;
  const { openImageEvidence } = await import("../registries/oci/evidence.ts");
  return openImageEvidence(locator, io);
}

function isOci(locator: LocatorBase): locator is OciLocator {
  return locator.type === "oci";
}
