import { loadPackages } from "../load_packages.ts";

/** An optional peer dependency, in the version that dewy is tested with. */
export const PACKAGES = { openpgp: "6.3.2" } as const;

export type OpenPgp = typeof import("openpgp");

export function loadOpenPgp(): Promise<OpenPgp> {
  const moduleUrl = import.meta.url;
  return loadPackages(
    { evidence: "OpenPGP signatures", versions: PACKAGES, moduleUrl },
    () => import("openpgp"),
  );
}
