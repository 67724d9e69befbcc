import { checksums } from "./checksums/driver.ts";
import { minisign } from "./minisign/driver.ts";
import { sigstoreKey } from "./sigstore_key/driver.ts";
import { ssh } from "./ssh/driver.ts";
import type { VerifierDriver } from "./types.ts";

/** What runs everywhere. To add a kind, make a folder and add a line. */
export const VERIFIERS: readonly VerifierDriver[] = [checksums, minisign, ssh, sigstoreKey];
