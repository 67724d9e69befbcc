import type { Platform } from "../../core/types.ts";
import type { ImagePlatform } from "./schema.ts";

/** Variants that a machine of an architecture can run, best first, where it does not say its own. */
const DEFAULT_VARIANT: Readonly<Record<string, string>> = { arm: "v7", arm64: "v8", amd64: "v1" };

/**
 * Says how well an image fits a machine.
 *
 * @param image what the image is for.
 * @param machine the machine, in Go's spelling. On macOS, containers run in a virtual Linux.
 * @returns the greater the better; `undefined`: it does not run there.
 * @see https://github.com/containerd/platforms/blob/main/compare.go
 */
export function platformFit(image: ImagePlatform, machine: Platform): number | undefined {
  const os = machine.os === "darwin" ? "linux" : machine.os;
  if (image.os !== os || image.architecture !== machine.arch) return undefined;
  const usual = DEFAULT_VARIANT[machine.arch];
  const [wanted, offered] = [machine.variant, image.variant].map((variant) =>
    variant === undefined || variant === "" ? usual : variant.toLowerCase(),
  );
  if (wanted === offered) return Number.POSITIVE_INFINITY;
  const [most, needed] = [level(wanted), level(offered)];
  // A newer machine runs what was built for an older one.
  return most !== undefined && needed !== undefined && needed < most ? needed : undefined;
}

/** `v7` → 7 */
function level(variant: string | undefined): number | undefined {
  const [, digits] = /^v(\d{1,2})(?:\.\d+)?$/.exec(variant ?? "") ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * An image's platform in one word: `linux/arm/v7`.
 *
 * @param image the platform.
 * @returns the text.
 */
export function platformName({ os, architecture, variant }: ImagePlatform): string {
  return [os || "unknown", architecture || "unknown", variant]
    .filter((part) => part !== "")
    .join("/");
}
