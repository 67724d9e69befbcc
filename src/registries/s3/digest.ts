import { base64ToBytes, bytesToHex } from "../../core/encoding.ts";

// The strongest first, with lengths in bytes.
const CHECKSUMS: readonly (readonly [string, number])[] = [
  ["sha256", 32],
  ["crc64nvme", 8],
  ["crc32c", 4],
  ["crc32", 4],
  ["sha1", 20],
];

/**
 * The digest in the headers of an object, as `<algorithm>:<lower-case hex>`: a checksum over the whole object, else the
 * MD5 of a simple ETag. Checksums of checksums (multipart uploads) cannot be compared with a stream of bytes.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
 */
export function statedDigest(headers: Headers): string | undefined {
  return statedChecksum(headers) ?? simpleEtag(headers);
}

function statedChecksum(headers: Headers): string | undefined {
  if (headers.get("x-amz-checksum-type")?.toUpperCase() === "COMPOSITE") return undefined;
  for (const [algorithm, length] of CHECKSUMS) {
    // A composite checksum without a type ends in "-<parts>", which is not base64.
    const bytes = base64ToBytes(headers.get(`x-amz-checksum-${algorithm}`) ?? "");
    if (bytes?.length === length) return `${algorithm}:${bytesToHex(bytes)}`;
  }
  return undefined;
}

function simpleEtag(headers: Headers): string | undefined {
  const encryption = headers.get("x-amz-server-side-encryption") ?? "";
  const customerKey = headers.has("x-amz-server-side-encryption-customer-algorithm");
  if (encryption.startsWith("aws:kms") || customerKey) return undefined;
  const [, md5] = /^"?([0-9a-f]{32})"?$/.exec(headers.get("etag") ?? "") ?? [];
  return md5 === undefined ? undefined : `md5:${md5}`;
}
