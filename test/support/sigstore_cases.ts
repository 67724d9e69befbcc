import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** A case of the conformance suite for Sigstore's clients; see test/vectors/sigstore/README.md. */
export interface SigstoreCase {
  name: string;
  bundle: string;
  artifact: string;
  identity: string;
  issuer: string;
  key?: string | undefined;
  root: object;
  isRefused: boolean;
}

interface CasesFile {
  artifact: string;
  roots: object[];
  cases: (Pick<SigstoreCase, "name" | "bundle" | "key"> & { artifact?: string; root?: number })[];
}

const WORKFLOW =
  "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml";

export function readSigstoreCases(): readonly SigstoreCase[] {
  const url = new URL("../vectors/sigstore/cases.json.gz", import.meta.url);
  const file: CasesFile = JSON.parse(gunzipSync(readFileSync(url)).toString());
  return file.cases.map(({ name, bundle, key, artifact, root }) => ({
    name,
    bundle,
    key,
    artifact: artifact ?? file.artifact,
    identity: `${WORKFLOW}@refs/heads/main`,
    issuer: "https://token.actions.githubusercontent.com",
    root: file.roots[root ?? 0] ?? {},
    isRefused: name.endsWith("_fail"),
  }));
}

export function sigstoreCase(name: string): SigstoreCase {
  const found = readSigstoreCases().find((one) => one.name === name);
  if (found === undefined) throw new Error(`no case ${name}`);
  return found;
}
