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
  const createdAt = lengthDelimited(fields, 4).map(decodeTimestamp).at(-1);
  return {
    id: texts(1).at(-1) ?? "",
    tag: texts(2).at(-1) ?? "",
    artifactUrl: texts(3).at(-1) ?? "",
    fileUrls: texts(5),
    ...(createdAt && { createdAt }),
  };
}

type Fields = readonly (readonly [field: number, value: bigint | Uint8Array])[];

function readFields(bytes: Uint8Array): Fields {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (length > bytes.length - at) throw new RangeError("it ends early");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = take(1)[0] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new RangeError("a number in it is too long");
  };
  const fields: [number, bigint | Uint8Array][] = [];
  while (at < bytes.length) {
    const tag = Number(BigInt.asUintN(32, varint()));
    const field = tag >>> 3;
    const type = tag & 7;
    if (field === 0) throw new RangeError("it has a field 0");
    if (type === 0) fields.push([field, varint()]);
    else if (type === 2) fields.push([field, take(Number(BigInt.asUintN(32, varint())))]);
    else if (type === 1 || type === 5) take(type === 1 ? 8 : 4);
    else throw new RangeError(`it has a field of the type ${type}`);
  }
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
function decodeTimestamp(bytes: Uint8Array): { seconds: bigint; nanos: number } {
  const fields = readFields(bytes);
  const number = (wanted: number): bigint => {
    const found = fields.findLast(
      ([field, value]) => field === wanted && typeof value === "bigint",
    );
    return BigInt(found === undefined || typeof found[1] !== "bigint" ? 0 : found[1]);
  };
  return { seconds: number(1), nanos: Number(BigInt.asIntN(32, number(2))) };
}
