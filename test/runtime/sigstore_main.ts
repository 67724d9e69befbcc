// Runs the cases of SIGSTORE_CASES, asks TUF_MIRROR for its trusted root, and verifies SIGNED_WITH_KEY. Prints what
// each case came to. Run by test/runtime/sigstore.test.ts.
import { readFileSync } from "node:fs";
import { systemClock } from "../../src/core/clock.ts";
import { sigstore } from "../../src/verify/sigstore/driver.ts";
import { refreshedRoot } from "../../src/verify/sigstore/roots.ts";
import type { VerifyContext } from "../../src/verify/types.ts";
import type { SigstoreCase } from "../support/sigstore_cases.ts";
import { sigstoreKeyCase } from "./sigstore_key_case.ts";

const { SIGSTORE_CASES = "", TUF_MIRROR = "", TUF_ROOT = "", SIGNED_WITH_KEY = "" } = process.env;
const signal = AbortSignal.timeout(50_000);
const context: VerifyContext = { fetch, clock: systemClock, emit: console.error };

const cases: (SigstoreCase & { sha256: string })[] = JSON.parse(
  readFileSync(SIGSTORE_CASES, "utf8"),
);
const outcomes: Record<string, boolean> = {};
for (const { name, bundle, sha256, identity, issuer, root } of cases) {
  const verifier = sigstore.open(`${identity},${issuer}`, {
    ...context,
    sigstoreRoots: async () => [root],
  });
  const subject = {
    tag: "v1.0.0",
    name: "a.txt",
    sha256,
    files: [{ name: "a.txt.sigstore.json", url: "" }],
    read: async () => new TextEncoder().encode(bundle),
  };
  outcomes[name] = await verifier.verify(subject, signal).then(
    () => true,
    () => false,
  );
}
const mirror = { name: "test", mirror: TUF_MIRROR, tufRoot: TUF_ROOT };
const roots = await refreshedRoot(mirror, context)(signal);
const key = await sigstoreKeyCase(JSON.parse(SIGNED_WITH_KEY));
console.log(JSON.stringify({ outcomes, roots, key }));
