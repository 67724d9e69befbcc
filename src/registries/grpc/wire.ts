/**
 * The messages of `dewy.RegistryService` in protobuf's binary format, without the runtime of protobuf. A test compares
 * it with that.
 *
 * @see https://protobuf.dev/programming-guides/encoding/
 * @module
 */
import type { GrpcAnswer } from "./channel.ts";

/** Encodes texts by field number, below 16; empty ones are left out. */
export function encodeTexts(
  texts: Readonly<Record<number, string | undefined>>,
): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const [field, text = ""] of Object.entries(texts)) {
    const utf8 = new TextEncoder().encode(text);
    if (utf8.length === 0) continue;
    bytes.push((Number(field) << 3) | 2);
    let { length } = utf8;
    for (; length > 0x7f; length = Math.floor(length / 128)) bytes.push((length & 0x7f) | 0x80);
    bytes.push(length);
    for (const byte of utf8) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Decodes a `dewy.CurrentResponse`. Throws a RangeError if it is not one. */
export function decodeAnswer(bytes: Uint8Array): GrpcAnswer {
  const fields = readFields(bytes);
  const texts = (field: number): string[] => lengthDelimited(fields, field).map(decodeText);
  const timestamps = lengthDelimited(fields, 4);
  return {
    id: texts(1).at(-1) ?? "",
    tag: texts(2).at(-1) ?? "",
    artifactUrl: texts(3).at(-1) ?? "",
    fileUrls: texts(5),
    ...(timestamps.length > 0 && { createdAt: decodeTimestamp(timestamps) }),
  };
}

const MAX_FIELD = 2 ** 29 - 1;
const MAX_GROUPS = 100;

type Fields = readonly (readonly [field: number, value: bigint | Uint8Array])[];

/** Fields within groups, which only unknown fields can have, are skipped. */
function readFields(bytes: Uint8Array): Fields {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new RangeError("it ends early");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const varint = (maxBytes = 10): bigint => {
    let value = 0n;
    for (let count = 0; count < maxBytes; count += 1) {
      const byte = take(1)[0] ?? 0;
      value |= BigInt(byte & 0x7f) << BigInt(7 * count);
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new RangeError("a number in it is too long");
  };
  const fields: [number, bigint | Uint8Array][] = [];
  const groups: number[] = [];
  const add = (field: number, value: bigint | Uint8Array): void => {
    if (groups.length === 0) fields.push([field, value]);
  };
  while (at < bytes.length) {
    const tag = Number(varint(5));
    const field = Math.floor(tag / 8);
    const type = tag % 8;
    if (field === 0 || field > MAX_FIELD) throw new RangeError(`it has a field ${field}`);
    if (type === 0) add(field, varint());
    else if (type === 1 || type === 5) take(type === 1 ? 8 : 4);
    else if (type === 2) add(field, take(Number(varint(5))));
    else if (type === 3 && groups.length < MAX_GROUPS) groups.push(field);
    else if (type !== 4 || groups.pop() !== field) {
      throw new RangeError(`it has a field of the type ${type} in a wrong place`);
    }
  }
  if (groups.length > 0) throw new RangeError("it ends early");
  return fields;
}

function lengthDelimited(fields: Fields, wanted: number): Uint8Array[] {
  return fields.flatMap(([field, value]) =>
    field === wanted && typeof value !== "bigint" ? [value] : [],
  );
}

function decodeText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp */
function decodeTimestamp(parts: readonly Uint8Array[]): { seconds: bigint; nanos: number } {
  // A message that comes in several fields is merged: https://protobuf.dev/programming-guides/encoding/#last-one-wins
  const fields = parts.flatMap(readFields);
  const number = (wanted: number): bigint => {
    const found = fields.findLast(
      ([field, value]) => field === wanted && typeof value === "bigint",
    );
    return BigInt(found === undefined || typeof found[1] !== "bigint" ? 0 : found[1]);
  };
  return { seconds: number(1), nanos: Number(BigInt.asIntN(32, number(2))) };
}
