import type { Platform } from "../core/types.ts";

/**
 * Writes a platform for people: `linux/arm/v7 (musl)`.
 *
 * @param platform the machine.
 * @returns the text.
 */
export function platformText({ os, arch, variant, libc }: Platform): string {
  const name = [os, arch, ...(variant === undefined ? [] : [variant])].join("/");
  return libc === undefined ? name : `${name} (${libc})`;
}
