import type { CommonConfig } from "../cli/flags/common.ts";
import type { ImageEvidence } from "../core/proof.ts";
import type { Artifact, Registry } from "../core/types.ts";
import type { LocatorBase } from "../registries/driver.ts";
import { loadRegistry, type Options, prepare } from "../registries/load.ts";
import type { OciLocator } from "../registries/oci/locator.ts";
import { withPollDeadline } from "../registries/timeout.ts";
import type { CommandContext } from "./context.ts";

type Config = Pick<CommonConfig, "registry" | "slot" | "calver">;

/** `--slot` and `--calver` override the options of the registry's URL. */
export function optionsOf({ slot, calver }: Config, { io, registries }: CommandContext): Options {
  return { ...io, registries, slot, calver };
}

export function loadConfigured(config: Config, context: CommandContext) {
  return loadRegistry(config.registry, optionsOf(config, context));
}

/** Opens the registry of a command line, with a limit on how long a question may take. */
export async function openConfigured(
  config: Config & { verify?: readonly string[] },
  context: CommandContext,
): Promise<Registry> {
  const { registry, locator } = await loadConfigured(config, context);
  const opened = withPollDeadline(registry, context.clock);
  if (config.verify?.includes("index") !== true) return opened;
  const { attachListing } = await import("../deploy/listing.ts");
  return attachListing(opened, locator.calver);
}

/** Returns a function that opens the registry at its first question, with the same limit. */
export async function loadOpener(config: Config): Promise<(context: CommandContext) => Registry> {
  const { openRegistry } = await import("../registries/open.ts");
  return (context) => {
    // The limit of a poll applies; a download may start later than the library's default allows.
    const options = { ...optionsOf(config, context), timeoutMs: Number.POSITIVE_INFINITY };
    return withPollDeadline(openRegistry(config.registry, options), context.clock);
  };
}

/** Finds the signatures of an image, as resolved. */
export type EvidenceOf = (image: Pick<Artifact, "digest" | "revision">) => ImageEvidence;

/** Loads what reads the signatures of images; `undefined` if the registry is not an OCI registry. */
export async function loadImageEvidence(
  config: Config,
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
