import { createHash } from "node:crypto";
import { hostname } from "node:os";

/** For notifications. */
export function hostIdentity(): { name: string; color: string } {
  const name = hostname();
  return { name, color: hostColor(name) };
}

const COLOR_DIGITS = 6;

/** The first six digits of the MD5 that are not the red of failures. */
export function hostColor(name: string): string {
  const digits = createHash("md5").update(name).digest("hex").toUpperCase();
  for (let start = 0; start + COLOR_DIGITS <= digits.length; start += COLOR_DIGITS) {
    const color = digits.slice(start, start + COLOR_DIGITS);
    if (!isRed(color)) return `#${color}`;
  }
  return `#${digits.slice(0, COLOR_DIGITS)}`;
}

export function isRed(color: string): boolean {
  const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((at) =>
    Number.parseInt(color.slice(at, at + 2), 16),
  );
  return red >= 180 && green < red / 3 && blue < red / 3;
}
