import type { Proof } from "../../core/proof.ts";
import type { TerminalStyle } from "../terminal.ts";
import { choiceMark, textTable } from "./text_table.ts";

/** The JSON of a proof: docs/operations.md describes its fields. */
export function proofJson({ kind, evidence, checksums, signer, identity, signedAt, log }: Proof) {
  return {
    kind,
    evidence,
    checksums: checksums ?? null,
    signer: signer ?? null,
    identity:
      identity === undefined ? null : { ...identity, repository: identity.repository ?? null },
    signedAt: signedAt ?? null,
    log: log ?? null,
  };
}

/** What was proved, one section a proof. */
export function proofsText(proofs: readonly Proof[], style: TerminalStyle): string {
  return proofs.map((proof) => proofText(proof, style)).join("\n");
}

function proofText(proof: Proof, style: TerminalStyle): string {
  const mark = style.isTerminal ? `${choiceMark(true, style)} ` : "";
  const rows = rowsOf(proof).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  return `${mark}${style.bold(proof.kind)}\n${textTable(rows, "  ")}`;
}

function rowsOf(proof: Proof): [name: string, value: string | undefined][] {
  const { evidence, checksums, signer, identity, signedAt, log } = proof;
  return [
    ["evidence", evidence],
    ["covers", checksums === undefined ? "the artifact" : `${checksums}, which lists the artifact`],
    ["signer", identity?.subject ?? signer],
    ["issuer", identity?.issuer],
    ["repository", identity?.repository],
    ["signed", signedAt],
    ["log", log],
  ];
}

/** One line a proof, for `check` and `explain`: `sigstore: https://github.com/…`. */
export function proofLine({ kind, evidence, identity, signer }: Proof): string {
  const who = identity?.subject ?? signer;
  return who === undefined ? `${kind}: ${evidence}` : `${kind}: ${who}, by ${evidence}`;
}
