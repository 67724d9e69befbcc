import { sigstoreKey } from "./sigstore_key/driver.ts";
import type { VerifierDriver } from "./types.ts";

/** What runs everywhere. To add a kind, make a folder and add a line. */
export const VERIFIERS: readonly VerifierDriver[] = [sigstoreKey];
