/**
 * Sigstore's packages are optional peer dependencies, loaded by the first verification that needs them.
 *
 * @module
 */
import crypto from "node:crypto";
import { loadPackages } from "../load_packages.ts";

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

export async function loadTuf(): Promise<typeof import("@sigstore/tuf")> {
  const tuf = await load(() => import("@sigstore/tuf"));
  if ("Deno" in globalThis) chooseDigests();
  return tuf;
}

let hasChosen = false;

/**
 * Node verifies with SHA-256 by an EC key if no digest is given, as TUF's packages do; Deno throws instead, and they then
 * report that nobody has signed.
 */
function chooseDigests(): void {
  if (hasChosen) return;
  hasChosen = true;
  const { verify } = crypto;
  crypto.verify = ((digest: unknown, data: unknown, key: MaybeKey, ...rest: unknown[]) => {
    const isByDigest = /^(ec|rsa)$/.test((key.key ?? key).asymmetricKeyType ?? "");
    const chosen = digest ?? (isByDigest ? "sha256" : digest);
    return Reflect.apply(verify, crypto, [chosen, data, key, ...rest]);
  }) as typeof verify;
}

/** A KeyObject, or options with one; anything else is passed on. */
interface MaybeKey {
  asymmetricKeyType?: string;
  key?: { asymmetricKeyType?: string };
}

function load<T>(packages: () => Promise<T>): Promise<T> {
  const moduleUrl = import.meta.url;
  return loadPackages({ evidence: "Sigstore bundles", versions: PACKAGES, moduleUrl }, packages);
}
