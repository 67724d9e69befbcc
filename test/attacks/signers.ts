import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type FakeSigstore, fakeSigstore, ISSUER, WORKFLOW } from "../fakes/sigstore.ts";
import { tempDirectory } from "../support/temp_directory.ts";

export interface Signers {
  /** The instance of Sigstore that the machine trusts, and the key. */
  ours: FakeSigstore;
  key: KeyObject;
  publicKey: string;
  /** An instance whose certificates have expired when they sign. */
  late: FakeSigstore;
  /** What the attacker has. */
  theirs: FakeSigstore;
  otherKey: KeyObject;
}

/** What a machine wants: a key, or the workflow, of two instances. Defaults to the workflow, of one instance. */
export type Rule = "key" | "late";

export async function makeSigners(): Promise<Signers> {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuedAt = new Date(Date.now() - 86_400_000);
  const [ours, late, theirs] = await Promise.all([
    fakeSigstore(),
    fakeSigstore({ issuedAt }),
    fakeSigstore(),
  ]);
  return {
    ...{ ours, late, theirs },
    key: key.privateKey,
    publicKey: key.publicKey.export({ type: "spki", format: "pem" }).toString(),
    otherKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey,
  };
}

/** The flags of a machine that wants releases to be signed. */
export async function policy(signers: Signers, rule?: Rule): Promise<string[]> {
  const key = join(await tempDirectory(), "cosign.pub");
  await writeFile(key, signers.publicKey);
  const wanted = rule === "key" ? `sigstore-key=${key}` : `sigstore=${WORKFLOW},${ISSUER}`;
  return ["--verify", wanted, ...(await trustedRoot(signers, rule))];
}

export async function trustedRoot({ ours, late }: Signers, rule?: Rule): Promise<string[]> {
  const root = join(await tempDirectory(), "root.json");
  const instances = rule === "late" ? [ours, late] : [ours];
  const lines = instances.map((one) => JSON.stringify(one.trustedRoot));
  await writeFile(root, lines.join("\n"));
  return ["--trusted-root", root];
}
