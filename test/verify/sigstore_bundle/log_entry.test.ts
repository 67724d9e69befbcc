import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { bundleFromJSON } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { toTrustMaterial } from "@sigstore/verify";
import { verifyTLogInclusion } from "@sigstore/verify/dist/tlog/index.js";
import { describe, expect, test } from "vitest";
import { type LogEntry, parseBundle } from "../../../src/verify/sigstore_bundle/bundle.ts";
import { verifyEntry } from "../../../src/verify/sigstore_bundle/log_entry.ts";
import { readLogs, type TransparencyLog } from "../../../src/verify/sigstore_bundle/logs.ts";
import { importPublicKey } from "../../../src/verify/sigstore_bundle/public_key.ts";
import type { Bytes } from "../../../src/verify/types.ts";
import { readSigstoreCases } from "../../support/sigstore_cases.ts";

const bytes = (data: Uint8Array): Bytes => new Uint8Array(data);
const sha256 = (...parts: Uint8Array[]): Buffer =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

describe("the inclusion proof", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const NAME = "log.example";
  const ID = bytes(sha256(Buffer.from("id")));

  async function log(): Promise<TransparencyLog> {
    const key = await importPublicKey(bytes(publicKey.export({ type: "spki", format: "der" })));
    if (key === undefined) throw new Error("unknown key");
    return { name: NAME, id: ID, checkpointId: ID.slice(0, 4), key, start: new Date(0) };
  }

  // https://www.rfc-editor.org/rfc/rfc9162#section-2.1
  const leafHash = (leaf: number): Buffer => sha256(Buffer.of(0), Buffer.of(leaf));
  const split = (size: number): number => 2 ** (Math.ceil(Math.log2(size)) - 1);
  function rootOf(leaves: readonly number[]): Buffer {
    const [first = 0] = leaves;
    if (leaves.length === 1) return leafHash(first);
    const at = split(leaves.length);
    return sha256(Buffer.of(1), rootOf(leaves.slice(0, at)), rootOf(leaves.slice(at)));
  }
  function pathOf(index: number, leaves: readonly number[]): Buffer[] {
    if (leaves.length === 1) return [];
    const at = split(leaves.length);
    const [left, right] = [leaves.slice(0, at), leaves.slice(at)];
    return index < at
      ? [...pathOf(index, left), rootOf(right)]
      : [...pathOf(index - at, right), rootOf(left)];
  }

  interface Parts {
    index: number;
    size: number;
    origin?: string;
    name?: string;
    id?: Uint8Array;
    root?: Buffer;
  }

  function entry({ index, size, origin = NAME, name = NAME, id = ID, ...rest }: Parts): LogEntry {
    const leaves = Array.from({ length: size }, (_, leaf) => leaf);
    const root = rest.root ?? rootOf(leaves);
    const note = `${origin}\n${size}\n${root.toString("base64")}\n`;
    const signature = sign(null, Buffer.from(note), privateKey);
    const line = Buffer.concat([id.subarray(0, 4), signature]).toString("base64");
    return {
      logIndex: BigInt(index),
      logId: { keyId: ID },
      kindVersion: { kind: "hashedrekord", version: "0.0.2" },
      integratedTime: 0n,
      inclusionPromise: undefined,
      inclusionProof: {
        logIndex: BigInt(index),
        rootHash: bytes(root),
        treeSize: BigInt(size),
        hashes: pathOf(index, leaves).map(bytes),
        checkpoint: { envelope: `${note}\n\u2014 ${name} ${line}\n` },
      },
      canonicalizedBody: bytes(Buffer.of(index)),
    };
  }

  type Proof = NonNullable<LogEntry["inclusionProof"]>;
  const changed = (one: LogEntry, change: (proof: Proof) => Partial<Proof>): LogEntry => {
    if (one.inclusionProof === undefined) throw new Error("no proof");
    return { ...one, inclusionProof: { ...one.inclusionProof, ...change(one.inclusionProof) } };
  };

  test("holds for every leaf of trees of every shape", async () => {
    const logs = [await log()];
    for (let size = 1; size <= 18; size += 1) {
      for (let index = 0; index < size; index += 1) {
        expect(await verifyEntry(entry({ index, size }), logs)).toMatchObject({
          index: BigInt(index),
        });
      }
    }
  });

  test("does not hold for another leaf, or with other hashes", async () => {
    const logs = [await log()];
    const refused = "the inclusion proof does not lead to the checkpoint";
    for (const [index, size] of [
      [0, 1],
      [0, 2],
      [2, 3],
      [4, 7],
      [6, 7],
      [8, 16],
      [16, 17],
    ] as const) {
      const valid = entry({ index, size });
      const other = { ...valid, canonicalizedBody: bytes(Buffer.of(index + 1)) };
      await expect(verifyEntry(other, logs)).rejects.toThrow(refused);
      const hash = bytes(sha256(Buffer.of(9)));
      for (const change of [
        changed(valid, ({ hashes }) => ({ hashes: [...hashes, hash] })),
        ...(size === 1
          ? []
          : [
              changed(valid, ({ hashes }) => ({ hashes: hashes.slice(1) })),
              changed(valid, ({ hashes }) => ({ hashes: [hash, ...hashes.slice(1)] })),
            ]),
      ]) {
        await expect(verifyEntry(change, logs)).rejects.toThrow(refused);
      }
      const beyond = BigInt(size);
      const outside = changed({ ...valid, logIndex: beyond }, () => ({ logIndex: beyond }));
      await expect(verifyEntry(outside, logs)).rejects.toThrow(refused);
    }
  });

  test.each([
    ["another origin", { origin: "evil.example" }, "the checkpoint is not one of log.example"],
    ["an origin that only starts like it", { origin: "log.example.evil" }, "is not one of"],
    ["another signer", { name: "evil.example" }, "the checkpoint is not signed by log.example"],
    ["another key", { id: Buffer.of(1, 2, 3, 4) }, "the checkpoint is not signed by log.example"],
    ["another root", { root: sha256(Buffer.of(1)) }, "does not lead to the checkpoint"],
  ])("is refused with %s", async (_, parts, reason) => {
    await expect(
      verifyEntry(entry({ index: 1, size: 3, ...parts }), [await log()]),
    ).rejects.toThrow(reason);
  });

  test("takes the origin of Rekor v1, which has the id of its tree", async () => {
    const one = entry({ index: 1, size: 3, origin: "log.example - 123" });
    expect(await verifyEntry(one, [await log()])).toMatchObject({ time: undefined });
  });

  test("is refused with an index, a size or a root beside it that it does not prove", async () => {
    const logs = [await log()];
    const valid = entry({ index: 1, size: 3 });
    await expect(verifyEntry({ ...valid, logIndex: 2n }, logs)).rejects.toThrow("index");
    for (const change of [{ treeSize: 4n }, { rootHash: bytes(sha256(Buffer.of(1))) }]) {
      await expect(
        verifyEntry(
          changed(valid, () => change),
          logs,
        ),
      ).rejects.toThrow("the inclusion proof is for another checkpoint");
    }
  });

  test.each([
    ["no signatures", "log.example\n1\nAAAA\n"],
    ["a size with a sign", `log.example\n+1\n${"A".repeat(43)}=\n\n`],
    ["a size in hex", `log.example\n0x1\n${"A".repeat(43)}=\n\n`],
    ["a short root", "log.example\n1\nAAAA\n\n"],
    ["nothing", ""],
  ])("is refused with a checkpoint that has %s", async (_, envelope) => {
    const one = changed(entry({ index: 0, size: 1 }), () => ({ checkpoint: { envelope } }));
    await expect(verifyEntry(one, [await log()])).rejects.toThrow("the checkpoint is malformed");
  });

  test("or a promise is required", async () => {
    const one = { ...entry({ index: 0, size: 1 }), inclusionProof: undefined };
    await expect(verifyEntry(one, [await log()])).rejects.toThrow("neither promise nor proof");
  });
});

test("nothing is accepted that the library refuses, whatever is changed in an entry", async () => {
  const accepted: string[] = [];
  for (const { name, bundle, root } of readSigstoreCases()) {
    // The library does not know that a proof of version 0.1 may have no checkpoint.
    if (name === "bundle-with-root-cert_fail") continue;
    const logs = await readLogs(root);
    const { tlogs } = toTrustMaterial(TrustedRoot.fromJSON(root));
    for (const text of [bundle, ...changes(bundle)]) {
      if (!(await isAccepted(text, logs))) continue;
      accepted.push(name);
      for (const entry of bundleFromJSON(JSON.parse(text)).verificationMaterial.tlogEntries) {
        expect(() => verifyTLogInclusion(entry, tlogs)).not.toThrow();
      }
    }
  }
  expect(accepted.length).toBeGreaterThan(15);
});

/** The bundle with one changed letter in each of some places of its log entries. */
function changes(bundle: string): string[] {
  const start = bundle.indexOf('"tlogEntries"');
  const end = bundle.indexOf('"canonicalizedBody"');
  return Array.from({ length: 4 }, () => {
    const at = start + Math.floor(Math.random() * Math.max(1, end - start));
    return bundle.slice(0, at) + (bundle[at] === "1" ? "2" : "1") + bundle.slice(at + 1);
  });
}

async function isAccepted(text: string, logs: readonly TransparencyLog[]): Promise<boolean> {
  try {
    const { entries } = parseBundle(JSON.parse(text));
    for (const one of entries) await verifyEntry(one, logs);
    return true;
  } catch {
    return false;
  }
}
