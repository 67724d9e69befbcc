import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { parseDigest } from "../../core/digest.ts";
import { IntegrityError } from "../../core/error.ts";

interface RunningDigest {
  update(data: Uint8Array): void;
  /** Returns lower-case hex. Call it once, at the end. */
  hex(): Promise<string>;
}

export interface FileDigests {
  update(data: Uint8Array): void;
  /** Call it once, at the end. */
  finish(): Promise<FileHashes>;
}

/** Lower-case hex. */
export interface FileHashes {
  sha256: string;
  /** By the algorithm that the registry stated; `undefined` if it stated none. */
  stated: string | undefined;
}

const NODE_ALGORITHMS = new Set(["sha1", "sha384", "sha512", "md5"]);

function nodeDigest(algorithm: string): RunningDigest {
  const hash = createHash(algorithm);
  return {
    update: (data) => void hash.update(data),
    hex: async () => hash.digest("hex"),
  };
}

function crc32Digest(): RunningDigest {
  let value = 0;
  return {
    update: (data) => {
      value = crc32(data, value);
    },
    hex: async () => value.toString(16).padStart(8, "0"),
  };
}

async function awsDigest(algorithm: "crc32c" | "crc64nvme"): Promise<RunningDigest> {
  const { Crc32c, Crc64Nvme } = await import("@aws-sdk/checksums/crc");
  const checksum = algorithm === "crc32c" ? new Crc32c() : new Crc64Nvme();
  return {
    update: (data) => checksum.update(data),
    hex: async () => Buffer.from(await checksum.digest()).toString("hex"),
  };
}

/** Throws an IntegrityError for an unknown algorithm: bytes that cannot be checked are not used. */
export async function openDigests(name: string, digest: string | undefined): Promise<FileDigests> {
  const sha256 = nodeDigest("sha256");
  const other = digest === undefined ? undefined : await openStated(name, digest);
  return {
    update: (data) => {
      sha256.update(data);
      other?.update(data);
    },
    finish: async () => {
      const hex = await sha256.hex();
      const stated = digest === undefined ? undefined : ((await other?.hex()) ?? hex);
      return { sha256: hex, stated };
    },
  };
}

async function openStated(name: string, text: string): Promise<RunningDigest | undefined> {
  const { algorithm = "" } = parseDigest(text) ?? {};
  if (algorithm === "sha256") return undefined;
  if (NODE_ALGORITHMS.has(algorithm)) return nodeDigest(algorithm);
  if (algorithm === "crc32") return crc32Digest();
  if (algorithm === "crc32c" || algorithm === "crc64nvme") return await awsDigest(algorithm);
  throw new IntegrityError(
    `Cannot check "${name}": the registry states the digest "${text}", which has an unknown algorithm; ` +
      "known are sha256, sha384, sha512, sha1, md5, crc32, crc32c and crc64nvme",
    { retryable: false },
  );
}
