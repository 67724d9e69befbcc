import { base64ToBytes, bytesToBase64, bytesToHex } from "../core/encoding.ts";
import type { Bytes } from "./types.ts";

/** Decodes base64 in its only canonical form, so that a signature cannot be spelled in two ways. */
export function decodeCanonical(text: string): Bytes | undefined {
  const bytes = base64ToBytes(text);
  return bytes !== undefined && bytesToBase64(bytes) === text ? bytes : undefined;
}

export function concat(...parts: readonly Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

export function isSameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return bytesToHex(one) === bytesToHex(other);
}
