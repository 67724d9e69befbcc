import { github } from "./github/driver.ts";
import { index } from "./index_file/driver.ts";
import { openpgp } from "./openpgp/driver.ts";
import { sigstore } from "./sigstore/driver.ts";
import { VERIFIERS } from "./table.ts";
import type { VerifierDriver } from "./types.ts";

/** Everything that a host can verify: packages that are installed beside dewy, and files. */
export const HOST_VERIFIERS: readonly VerifierDriver[] = [
  ...VERIFIERS,
  index,
  openpgp,
  sigstore,
  github,
];
