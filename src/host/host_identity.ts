import { createHash } from "node:crypto";
import { hostname } from "node:os";

/** A machine as notifications show it. */
export interface HostIdentity {
  /** Its name. */
  name: string;
  /** A colour of its own, as `#RRGGBB`. */
  color: string;
}

/**
 * Says which machine this is.
 *
 * @returns its name and colour.
 */
export function hostIdentity(): HostIdentity {
  const name = hostname();
  return { name, color: hostColor(name) };
}

const COLOR_DIGITS = 6;

/**
 * Gives a machine a colour that stays the same: the first digits of the MD5 of its name, or the first
 * that follow and are not the red of failures.
 *
 * @param name the machine's name.
 * @returns `#RRGGBB`, in upper case.
 */
export function hostColor(name: string): string {
  const digits = createHash("md5").update(name).digest("hex").toUpperCase();
  for (let start = 0; start + COLOR_DIGITS <= digits.length; start += COLOR_DIGITS) {
    const color = digits.slice(start, start + COLOR_DIGITS);
    if (!isRed(color)) return `#${color}`;
  }
  return `#${digits.slice(0, COLOR_DIGITS)}`;
}

/**
 * Tells whether a colour looks like a failure.
 *
 * @param color six hex digits.
 * @returns whether red outshines green and blue by far.
 */
export function isRed(color: string): boolean {
  const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((at) =>
    Number.parseInt(color.slice(at, at + 2), 16),
  );
  return red >= 180 && green < red / 3 && blue < red / 3;
}
