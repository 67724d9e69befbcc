import type { Platform } from "../core/types.ts";
import { normalizePlatform } from "./platform.ts";

const PART = /^[a-z0-9_]{1,20}$/;

/** Parses `linux-amd64`, `linux-arm-v7` or `linux-amd64-musl`, also with slashes; `undefined` if it is not a platform. */
export function parsePlatformSegment(text: string): Platform | undefined {
  const [os = "", arch = "", ...more] = text.toLowerCase().split(/[/-]/);
  const libc = (["musl", "glibc"] as const).find((one) => one === more.at(-1));
  if (libc !== undefined) more.pop();
  const [variant, ...rest] = more;
  const parts = [os, arch, ...more];
  if (rest.length > 0 || !parts.every((part) => PART.test(part))) return undefined;
  return normalizePlatform({ os, arch, ...(variant && { variant }), ...(libc && { libc }) });
}

/** Formats a platform as one segment of a URL: `linux-arm-v7`. */
export function formatPlatformSegment({ os, arch, variant, libc }: Platform): string {
  return [os, arch, variant, libc].filter((part) => part !== undefined).join("-");
}
