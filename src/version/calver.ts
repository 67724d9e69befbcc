/**
 * CalVer: tags parsed by a format such as `YYYY.0M.MICRO`.
 *
 * @see https://calver.org/
 * @module
 */
import { ConfigError } from "../core/error.ts";
import type { Version } from "../core/types.ts";
import { emptyScan, MAX_TAG_LENGTH, scanSuffix, type TagScan, type TagScanner } from "./semver.ts";

export interface CalverFormat {
  format: string;
  specifiers: readonly string[];
  scan: TagScanner;
}

interface Specifier {
  name: string;
  widths: readonly number[];
  /** Whether a number of several digits may begin with 0. */
  padded: boolean;
  min: number;
  max: number;
}

// 2^53-1 has 16 digits; longest first.
const MAX_DIGITS = 16;
const UP_TO_16: readonly number[] = Array.from(
  { length: MAX_DIGITS },
  (_, nth) => MAX_DIGITS - nth,
);

// Order matters: the first matching specifier is taken. Unseparated digits are ambiguous (YYYYMMDD), so shorter
// months and days are tried first; years have two digits.
const SPECIFIERS: readonly Specifier[] = [
  { name: "YYYY", widths: [4], padded: true, min: 0, max: 9999 },
  { name: "YY", widths: [2, 3, 1], padded: false, min: 0, max: 999 },
  { name: "0Y", widths: [2, 3], padded: true, min: 0, max: 999 },
  { name: "MM", widths: [1, 2], padded: false, min: 1, max: 12 },
  { name: "0M", widths: [2], padded: true, min: 1, max: 12 },
  { name: "WW", widths: [1, 2], padded: false, min: 1, max: 53 },
  { name: "0W", widths: [2], padded: true, min: 1, max: 53 },
  { name: "DD", widths: [1, 2], padded: false, min: 1, max: 31 },
  { name: "0D", widths: [2], padded: true, min: 1, max: 31 },
  { name: "MICRO", widths: UP_TO_16, padded: true, min: 0, max: Number.MAX_SAFE_INTEGER },
];

type Token = { literal: string } | { specifier: Specifier; segment: number };

const compiled = new Map<string, CalverFormat>();
const MAX_CACHED = 64;
const MAX_FORMAT_LENGTH = 128;

export function compileCalver(format: string): CalverFormat {
  const known = compiled.get(format);
  if (known !== undefined) return known;
  const tokens = tokenise(format);
  const specifiers = tokens.flatMap((token) =>
    "specifier" in token ? [token.specifier.name] : [],
  );
  if (specifiers.length === 0) {
    throw new ConfigError(
      `invalid calver format: calver format "${format}" contains no valid specifiers ` +
        "(expected YYYY, YY, 0Y, MM, 0M, WW, 0W, DD, 0D, or MICRO)",
    );
  }
  const result = { format, specifiers, scan: scanner(tokens) };
  if (compiled.size >= MAX_CACHED) compiled.clear();
  compiled.set(format, result);
  return result;
}

function tokenise(format: string): Token[] {
  if (format.length > MAX_FORMAT_LENGTH) {
    throw new ConfigError(
      `invalid calver format: calver format "${format.slice(0, 20)}…" is longer than ${MAX_FORMAT_LENGTH} characters`,
    );
  }
  const tokens: Token[] = [];
  let segment = 0;
  let literal = "";
  for (let at = 0; at < format.length; ) {
    const specifier = SPECIFIERS.find(({ name }) => format.startsWith(name, at));
    if (specifier === undefined) {
      literal += format.charAt(at++);
      continue;
    }
    if (literal !== "") tokens.push({ literal });
    literal = "";
    tokens.push({ specifier, segment: segment++ });
    at += specifier.name.length;
  }
  if (literal !== "") tokens.push({ literal });
  return tokens;
}

/** Backtracks like a regular expression, but caches dead ends: work is bounded by tokens × length for any format. */
function scanner(tokens: readonly Token[]): TagScanner {
  return (tag, out) => {
    if (tag.length > MAX_TAG_LENGTH) return false;
    let deadEnds: Set<number> | undefined;
    const matchFrom = (index: number, at: number): boolean => {
      const token = tokens[index];
      if (token === undefined) return scanSuffix(tag, at, out);
      if ("literal" in token) {
        return tag.startsWith(token.literal, at) && matchFrom(index + 1, at + token.literal.length);
      }
      const key = index * (MAX_TAG_LENGTH + 1) + at;
      if (deadEnds?.has(key)) return false;
      const { specifier, segment } = token;
      const run = digitsAt(tag, at);
      for (const width of specifier.widths) {
        if (width > run) continue;
        const value = readSpecifier(tag, at, width, specifier);
        if (value < 0) continue;
        if (matchFrom(index + 1, at + width)) {
          out.segments[segment] = value;
          return true;
        }
      }
      deadEnds ??= new Set();
      deadEnds.add(key);
      return false;
    };
    return (tag.startsWith("v") && matchFrom(0, 1)) || matchFrom(0, 0);
  };
}

function digitsAt(tag: string, from: number): number {
  const end = Math.min(tag.length, from + MAX_DIGITS);
  let at = from;
  while (at < end && isDigit(tag.charCodeAt(at))) at++;
  return at - from;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function readSpecifier(tag: string, at: number, width: number, specifier: Specifier): number {
  const leadingZero = width > 1 && tag.charCodeAt(at) === 48;
  if (leadingZero && (!specifier.padded || (width === 3 && specifier.name === "0Y"))) return -1;
  let value = 0;
  for (let nth = at; nth < at + width; nth++) value = value * 10 + (tag.charCodeAt(nth) - 48);
  return value >= specifier.min && value <= specifier.max ? value : -1;
}

/** Parses a tag by a format, with an optional lower-case `v` and SemVer's suffixes. */
export function parseCalver(tag: string, format: string): Version | undefined {
  const { scan, specifiers } = compileCalver(format);
  const out: TagScan = emptyScan(specifiers.length);
  if (!scan(tag, out)) return undefined;
  const isPrefixed = tag.startsWith("v") && scan(tag.slice(1), emptyScan(specifiers.length));
  return {
    original: tag,
    v: isPrefixed ? "v" : "",
    segments: out.segments,
    preRelease: tag.slice(out.preStart, out.preEnd),
    buildMetadata: tag.slice(out.buildStart),
  };
}
