import type { VerifyKind } from "../core/proof.ts";

/** A rule as given: `minisign=RWQ…` */
export interface VerifyRule {
  kind: VerifyKind;
  value: string;
}

export type VerifyPolicy =
  | { mode: "auto" | "none" }
  | { mode: "rules"; rules: readonly VerifyRule[] };
