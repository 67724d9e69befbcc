/**
 * The library with a policy: only releases that it lets pass. It runs on web standards only, and loads the hashes that
 * it needs at the first use.
 *
 * @module
 */
export type { Proof, SignerIdentity, VerifyKind } from "../../core/proof.ts";
export type { CreateHash, HashName } from "../../verify/types.ts";
export { latest, type VerifiedResolution } from "./latest.ts";
export { openArtifact } from "./open_artifact.ts";
export { UnsupportedError, type VerifyOptions } from "./policy.ts";
