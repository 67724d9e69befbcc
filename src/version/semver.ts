/**
 * SemVer 2.0.0: the `semver` package reads and says what a version is; the scanner beside it gives the
 * same answer without an object per tag, so that a list of a hundred thousand costs milliseconds.
 *
 * @see https://semver.org/spec/v2.0.0.html
 * @module
 */
import parse from "semver/functions/parse.js";
import type { Version } from "../core/types.ts";

/** What a scanner found in one tag. It is reused from tag to tag; all positions are indexes into the tag. */
export interface TagScan {
  /** The numbers, most significant first. */
  segments: number[];
  /** Where the pre-release begins, after its `-`. */
  preStart: number;
  /** Where the pre-release ends; equal to {@link TagScan.preStart} when there is none. */
  preEnd: number;
  /** Where the build metadata begins, after its `+`; the tag's length when there is none. */
  buildStart: number;
}

/** Reads a tag into `out`; false when the tag is no version, and `out` then means nothing. */
export type TagScanner = (tag: string, out: TagScan) => boolean;

/** The longest tag that can be a version; that of the `semver` package. */
export const MAX_TAG_LENGTH = 256;

const PLUS = 43;
const DASH = 45;
const DOT = 46;
const ZERO = 48;
const NINE = 57;
const LOWER_V = 118;

/** @returns an empty scan of so many segments. */
export function emptyScan(segments: number): TagScan {
  return { segments: new Array<number>(segments).fill(0), preStart: 0, preEnd: 0, buildStart: 0 };
}

/**
 * Reads a SemVer 2.0.0 tag with an optional lower-case `v`.
 *
 * @param tag the tag as listed.
 * @returns its parts; `undefined` when it is no version (blanks, leading zeros, numbers beyond 2^53-1).
 */
export function parseSemver(tag: string): Version | undefined {
  // `semver` trims before it reads; a tag with blanks around it is another tag.
  if (tag.trim() !== tag) return undefined;
  const version = parse(tag);
  if (version === null) return undefined;
  return {
    original: tag,
    v: tag.startsWith("v") ? "v" : "",
    segments: [version.major, version.minor, version.patch],
    preRelease: version.prerelease.join("."),
    buildMetadata: version.build.join("."),
  };
}

/**
 * The same judgement as {@link parseSemver}, without an allocation.
 *
 * @param tag the tag as listed.
 * @param out receives the parts.
 * @returns whether the tag is a version.
 */
export function scanSemver(tag: string, out: TagScan): boolean {
  const length = tag.length;
  if (length > MAX_TAG_LENGTH) return false;
  let segment = 0;
  let value = 0;
  let digits = 0;
  let at = codeAt(tag, 0) === LOWER_V ? 1 : 0;
  for (; at < length; at++) {
    const code = tag.charCodeAt(at);
    if (code >= ZERO && code <= NINE) {
      // A second digit after a leading zero.
      if (value === 0 && digits > 0) return false;
      value = value * 10 + (code - ZERO);
      digits++;
    } else {
      if (code !== DOT || segment === 2) break;
      if (digits === 0 || value > Number.MAX_SAFE_INTEGER) return false;
      out.segments[segment++] = value;
      value = 0;
      digits = 0;
    }
  }
  if (segment !== 2 || digits === 0 || value > Number.MAX_SAFE_INTEGER) return false;
  out.segments[2] = value;
  if (at < length) return scanSuffix(tag, at, out);
  out.preStart = out.preEnd = out.buildStart = length;
  return true;
}

/**
 * Reads what may follow the numbers: `-pre-release` and `+build`.
 *
 * @param tag the tag.
 * @param at where the numbers end.
 * @param out receives the positions.
 * @returns whether nothing else follows.
 */
export function scanSuffix(tag: string, at: number, out: TagScan): boolean {
  const length = tag.length;
  let end = at;
  out.preStart = out.preEnd = out.buildStart = length;
  if (codeAt(tag, end) === DASH) {
    out.preStart = end + 1;
    end = scanIdentifiers(tag, end + 1, true);
    if (end < 0) return false;
    out.preEnd = end;
  }
  if (codeAt(tag, end) === PLUS) {
    out.buildStart = end + 1;
    end = scanIdentifiers(tag, end + 1, false);
  }
  return end === length;
}

/** @returns where the dot-separated identifiers end; -1 when one is empty or a number with a leading zero. */
function scanIdentifiers(tag: string, start: number, isPreRelease: boolean): number {
  let at = start;
  for (;;) {
    const first = at;
    let numeric = true;
    for (; at < tag.length; at++) {
      const code = tag.charCodeAt(at);
      if (code >= ZERO && code <= NINE) continue;
      if (!isLetterOrDash(code)) break;
      numeric = false;
    }
    if (at === first) return -1;
    if (isPreRelease && numeric && at - first > 1 && tag.charCodeAt(first) === ZERO) return -1;
    if (codeAt(tag, at) !== DOT) return at;
    at++;
  }
}

// An index out of bounds costs V8 its optimised code.
function codeAt(tag: string, at: number): number {
  return at < tag.length ? tag.charCodeAt(at) : -1;
}

function isLetterOrDash(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === DASH;
}

/**
 * Compares two pre-releases by https://semver.org/spec/v2.0.0.html#spec-item-11. Numbers of any length
 * are compared exactly.
 *
 * @param a a pre-release without its `-`; empty: none, which is the greatest.
 * @param b the other.
 * @returns the order of the two.
 */
export function comparePreRelease(a: string, b: string): -1 | 0 | 1 {
  if (a === b) return 0;
  if (a === "" || b === "") return a === "" ? 1 : -1;
  let atA = 0;
  let atB = 0;
  for (;;) {
    const endA = identifierEnd(a, atA);
    const endB = identifierEnd(b, atB);
    const order = compareIdentifiers(a.slice(atA, endA), b.slice(atB, endB));
    if (order !== 0) return order;
    if (endA === a.length || endB === b.length)
      return endA < a.length ? 1 : endB < b.length ? -1 : 0;
    atA = endA + 1;
    atB = endB + 1;
  }
}

function identifierEnd(text: string, from: number): number {
  const dot = text.indexOf(".", from);
  return dot < 0 ? text.length : dot;
}

function compareIdentifiers(a: string, b: string): -1 | 0 | 1 {
  if (a === b) return 0;
  const numericA = isNumeric(a);
  const numericB = isNumeric(b);
  if (numericA !== numericB) return numericA ? -1 : 1;
  // Without leading zeros, the longer of two numbers is the greater one.
  if (numericA && a.length !== b.length) return a.length < b.length ? -1 : 1;
  return a < b ? -1 : 1;
}

function isNumeric(identifier: string): boolean {
  for (let at = 0; at < identifier.length; at++) {
    const code = identifier.charCodeAt(at);
    if (code < ZERO || code > NINE) return false;
  }
  return true;
}
