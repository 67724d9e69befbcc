import { base64ToBytes, bytesToBase64, bytesToHex, sha256 } from "../../core/encoding.ts";
import { concat, isSameBytes } from "../bytes.ts";
import type { Bytes } from "../types.ts";
import { type Bundle, BundleError, type LogEntry } from "./bundle.ts";
import { verifyBody } from "./log_body.ts";
import { type TransparencyLog, wasValidAt } from "./logs.ts";
import type { TrustedRoot } from "./trusted_root.ts";

/** The trusted root is that of another instance. */
export const UNKNOWN_LOG = "its log is not in the trusted root";

export interface LoggedEntry {
  log: TransparencyLog;
  index: bigint;
  /** When the log integrated the entry, if it has signed that. Rekor v2 does not. */
  time?: Date | undefined;
}

/**
 * Verifies that trusted logs have the entries of a bundle, and that these are about its signature by this certificate or
 * key. At least one entry is required, if the trusted root names logs at all.
 *
 * @throws {BundleError}
 */
export async function verifyEntries(
  { entries, content }: Bundle,
  verifier: Bytes,
  { json, logs }: TrustedRoot,
): Promise<readonly LoggedEntry[]> {
  if (entries.length === 0 && (json.tlogs ?? []).length > 0) {
    throw new BundleError("it has no entry of a transparency log");
  }
  const logged: LoggedEntry[] = [];
  for (const entry of entries) {
    logged.push(await verifyEntry(entry, logs));
    await verifyBody(entry, content, verifier);
  }
  return logged;
}

/**
 * Verifies that a trusted log has an entry: by the log's signed promise, and by its inclusion proof.
 *
 * @throws {BundleError}
 */
export async function verifyEntry(
  entry: LogEntry,
  logs: readonly TransparencyLog[],
): Promise<LoggedEntry> {
  const log = logs.find(({ id }) => isSameBytes(id, entry.logId.keyId));
  if (log === undefined) throw new BundleError(UNKNOWN_LOG);
  const time = entry.inclusionPromise && new Date(Number(entry.integratedTime) * 1_000);
  if (time !== undefined) await verifyPromise(entry, log, time);
  if (entry.inclusionProof !== undefined) await verifyProof(entry, log);
  else if (time === undefined) throw new BundleError("the log entry has neither promise nor proof");
  // Only the promise has the index in the whole log. Rekor v2 has one tree.
  const index = time === undefined ? entry.inclusionProof?.logIndex : entry.logIndex;
  if (index !== entry.logIndex) throw new BundleError("the log does not prove the entry's index");
  return { log, index: entry.logIndex, time };
}

/** The signed entry timestamp: a signature over canonical JSON. https://docs.sigstore.dev/logging/overview/ */
async function verifyPromise(entry: LogEntry, log: TransparencyLog, time: Date): Promise<void> {
  if (!wasValidAt(log, time)) {
    throw new BundleError(`the key of ${log.name} was not valid at ${time.toISOString()}`);
  }
  const body = bytesToBase64(entry.canonicalizedBody);
  const payload = `{"body":"${body}","integratedTime":${entry.integratedTime},"logID":"${bytesToHex(entry.logId.keyId)}","logIndex":${entry.logIndex}}`;
  const signature = entry.inclusionPromise?.signedEntryTimestamp ?? new Uint8Array();
  if (!(await log.key.verify(utf8(payload), signature))) {
    throw new BundleError("the log's signed entry timestamp does not match the entry");
  }
}

async function verifyProof(
  { inclusionProof, canonicalizedBody }: LogEntry,
  log: TransparencyLog,
): Promise<void> {
  if (inclusionProof?.checkpoint === undefined) throw new BundleError("the checkpoint is missing");
  const checkpoint = parseCheckpoint(inclusionProof.checkpoint.envelope);
  await verifyCheckpoint(checkpoint, log);
  const leaf = await hashOf(LEAF, canonicalizedBody);
  const { logIndex, hashes, rootHash, treeSize } = inclusionProof;
  const root = await rootOf(leaf, logIndex, checkpoint.size, hashes);
  if (root === undefined || !isSameBytes(root, checkpoint.root)) {
    throw new BundleError("the inclusion proof does not lead to the checkpoint");
  }
  if (treeSize !== checkpoint.size || !isSameBytes(rootHash, root)) {
    throw new BundleError("the inclusion proof is for another checkpoint");
  }
}

/** https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md */
interface Checkpoint {
  note: string;
  origin: string;
  size: bigint;
  root: Bytes;
  signatures: readonly { name: string; id: Bytes; signature: Bytes }[];
}

function parseCheckpoint(envelope: string): Checkpoint {
  const split = envelope.indexOf("\n\n");
  const [origin = "", size = "", root = ""] = envelope.slice(0, split).split("\n");
  const rootHash = base64ToBytes(root);
  if (split < 0 || !/^(0|[1-9]\d{0,17})$/.test(size) || rootHash?.byteLength !== 32) {
    throw new BundleError("the checkpoint is malformed");
  }
  const signatures = [...envelope.slice(split + 2).matchAll(/^\u2014 (\S+) (\S+)$/gm)].flatMap(
    ([, name = "", text = ""]) => {
      const bytes = base64ToBytes(text);
      if (bytes === undefined) return [];
      return [{ name, id: bytes.slice(0, 4), signature: bytes.slice(4) }];
    },
  );
  return {
    note: envelope.slice(0, split + 1),
    origin,
    size: BigInt(size),
    root: rootHash,
    signatures,
  };
}

/** Signatures of witnesses, and by unknown keys, are skipped. */
async function verifyCheckpoint(
  { note, origin, signatures }: Checkpoint,
  { name, checkpointId, key }: TransparencyLog,
): Promise<void> {
  // Rekor v1 appends the id of its tree to the origin.
  if (origin !== name && !origin.startsWith(`${name} - `)) {
    throw new BundleError(`the checkpoint is not one of ${name}`);
  }
  for (const signed of signatures) {
    if (signed.name !== name || !isSameBytes(signed.id, checkpointId)) continue;
    if (await key.verify(utf8(note), signed.signature)) return;
  }
  throw new BundleError(`the checkpoint is not signed by ${name}`);
}

const LEAF = 0;
const NODE = 1;

/** https://www.rfc-editor.org/rfc/rfc9162#section-2.1.3.2 */
async function rootOf(
  leaf: Bytes,
  index: bigint,
  size: bigint,
  hashes: readonly Bytes[],
): Promise<Bytes | undefined> {
  if (index >= size) return undefined;
  let [at, last, root] = [index, size - 1n, leaf];
  for (const hash of hashes) {
    if (last === 0n) return undefined;
    if (at % 2n === 1n || at === last) {
      root = await hashOf(NODE, hash, root);
      while (at % 2n === 0n && at !== 0n) [at, last] = [at / 2n, last / 2n];
    } else {
      root = await hashOf(NODE, root, hash);
    }
    [at, last] = [at / 2n, last / 2n];
  }
  return last === 0n ? root : undefined;
}

function hashOf(prefix: number, ...parts: readonly Bytes[]): Promise<Bytes> {
  return sha256(concat(Uint8Array.of(prefix), ...parts));
}

const utf8 = (text: string): Bytes => new TextEncoder().encode(text);
