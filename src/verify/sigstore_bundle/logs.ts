import * as v from "valibot";
import type { Bytes } from "../types.ts";
import { BundleError, BYTES, optional } from "./bundle.ts";
import { importPublicKey, type PublicKey } from "./public_key.ts";

/** A transparency log that a trusted root names. */
export interface TransparencyLog {
  /** The address without its scheme, with which the log signs its checkpoints: `rekor.sigstore.dev`. */
  name: string;
  id: Bytes;
  /** The first bytes of a checkpoint's signature. */
  checkpointId: Bytes;
  key: PublicKey;
  start: Date;
  end?: Date | undefined;
}

const TIME = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.transform((text) => new Date(text)),
);
const ID = v.object({ keyId: BYTES });

const ROOT = v.object({
  mediaType: v.pipe(v.string(), v.startsWith("application/vnd.dev.sigstore.trustedroot")),
  tlogs: v.nullish(
    v.array(
      v.object({
        baseUrl: v.string(),
        logId: ID,
        checkpointKeyId: optional(ID),
        publicKey: v.object({
          rawBytes: BYTES,
          validFor: optional(v.object({ start: optional(TIME), end: optional(TIME) })),
        }),
      }),
    ),
    [],
  ),
});

/**
 * Reads the logs of a trusted root. A log whose key has no start of validity, or a key of an unknown kind, is left out.
 *
 * @see https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
 * @throws {BundleError} If the root is malformed.
 */
export async function readLogs(root: unknown): Promise<readonly TransparencyLog[]> {
  const parsed = v.safeParse(ROOT, root, { abortEarly: true });
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new BundleError(`the trusted root is malformed at ${v.getDotPath(issue) ?? "its root"}`);
  }
  const logs: TransparencyLog[] = [];
  for (const { baseUrl, logId, checkpointKeyId, publicKey } of parsed.output.tlogs) {
    const key = await importPublicKey(publicKey.rawBytes);
    const { start, end } = publicKey.validFor ?? {};
    if (key === undefined || start === undefined) continue;
    logs.push({
      name: baseUrl.replace(/^[a-z]+:\/\//, "").replace(/\/+$/, ""),
      id: logId.keyId,
      checkpointId: (checkpointKeyId ?? logId).keyId.slice(0, 4),
      key,
      start,
      end,
    });
  }
  return logs;
}

/** Both ends are part of the range. */
export function wasValidAt({ start, end }: TransparencyLog, time: Date): boolean {
  return start <= time && (end === undefined || time <= end);
}
