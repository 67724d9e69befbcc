import { base64ToBytes, bytesToBase64 } from "../core/encoding.ts";
import type { Bytes } from "./types.ts";

/** Decodes base64 in its only canonical form, so that a signature cannot be spelled in two ways. */
export function decodeCanonical(text: string): Bytes | undefined {
  const bytes = base64ToBytes(text);
  return bytes !== undefined && bytesToBase64(bytes) === text ? bytes : undefined;
}
