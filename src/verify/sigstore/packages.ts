/**
 * Sigstore's packages are optional peer dependencies, loaded by the first verification that needs them.
 *
 * @module
 */
import { VerificationError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { installCommand, isMissingPackage } from "../../core/optional_packages.ts";

/** The versions that dewy is tested with: the last that run on Node 20. */
export const PACKAGES = {
  "@sigstore/bundle": "4.0.0",
  "@sigstore/protobuf-specs": "0.5.2",
  "@sigstore/tuf": "4.0.2",
  "@sigstore/verify": "3.1.1",
} as const;

export interface SigstorePackages {
  bundle: typeof import("@sigstore/bundle");
  specs: typeof import("@sigstore/protobuf-specs");
  verify: typeof import("@sigstore/verify");
}

export function loadSigstore(): Promise<SigstorePackages> {
  return load(async () => {
    const [bundle, specs, verify] = await Promise.all([
      import("@sigstore/bundle"),
      import("@sigstore/protobuf-specs"),
      import("@sigstore/verify"),
    ]);
    return { bundle, specs, verify };
  });
}

export function loadTuf(): Promise<typeof import("@sigstore/tuf")> {
  return load(() => import("@sigstore/tuf"));
}

async function load<T>(packages: () => Promise<T>): Promise<T> {
  try {
    return await packages();
  } catch (cause) {
    if (!isMissingPackage(cause)) {
      const message = `Cannot load Sigstore's packages: ${messageOf(cause)}`;
      throw new VerificationError(message, { cause, fault: "host" });
    }
    throw new VerificationError(
      `Cannot verify with sigstore: Sigstore's packages are not installed; install them next to dewy: ${installCommand(PACKAGES, import.meta.url)}`,
      { cause, fault: "operator" },
    );
  }
}
