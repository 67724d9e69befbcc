export interface Digest {
  /** `sha256`, `md5`, `crc64nvme`, … */
  algorithm: string;
  hex: string;
}

const HEX_LENGTH: ReadonlyMap<string, number> = new Map(
  Object.entries({
    crc32: 8,
    crc32c: 8,
    crc64nvme: 16,
    md5: 32,
    sha1: 40,
    sha256: 64,
    sha384: 96,
    sha512: 128,
  }),
);
// https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
const DIGEST = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([0-9a-f]+)$/;

/** Parses `<algorithm>:<lower-case hex>`; `undefined` if it is malformed or has the wrong length for its algorithm. */
export function parseDigest(text: string): Digest | undefined {
  const [, algorithm, hex] = DIGEST.exec(text) ?? [];
  if (algorithm === undefined || hex === undefined) return undefined;
  const length = HEX_LENGTH.get(algorithm);
  return length === undefined || length === hex.length ? { algorithm, hex } : undefined;
}
