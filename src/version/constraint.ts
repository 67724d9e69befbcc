/**
 * Version constraints in the notation of https://github.com/npm/node-semver#ranges, compiled to comparisons of numbers.
 * The package itself has a dozen modules, which would load at every start. A property test compares both.
 *
 * @module
 */
import { ConfigError } from "../core/error.ts";
import { compileCalver } from "./calver.ts";
import { comparePreRelease, type TagScan } from "./semver.ts";

export type ConstraintTest = (scan: TagScan, tag: string) => boolean;

interface Comparison {
  operator: ">" | ">=" | "<" | "<=" | "=";
  core: readonly [number, number, number];
  preRelease: string;
}

/** A version whose last parts may be missing or `x`, such as `1.2` or `1.2.x`. */
interface Partial {
  core: readonly [number, number, number];
  /** How many numbers precede the first missing one or `x`. */
  known: number;
  preRelease: string;
  /** Whether a number follows an `x`, as in `1.x.3`. */
  isMixed: boolean;
}

/**
 * Compiles a range such as `^1.2`, `~1.0` or `>=1 <2`.
 *
 * With a CalVer format, the first three segments stand for major, minor and patch (0 if absent): `^2024.6` means
 * "2024, from June on", and months may be written `06`. Further segments, and then the pre-release, are not compared.
 */
export function compileConstraint(
  text: string,
  { calver, preRelease }: { preRelease: boolean; calver: string },
): ConstraintTest {
  const segments = calver === "" ? 3 : compileCalver(calver).specifiers.length;
  // Zero-padded months are valid in CalVer but not in semver.
  const spelled = calver === "" ? text : text.replaceAll(/(?<![0-9A-Za-z-])0+(?=[0-9])/g, "");
  const alternatives = spelled.split("||").map((part) => parseAll(part.trim(), preRelease));
  if (!alternatives.every((all) => all !== undefined)) {
    throw new ConfigError(
      `Invalid constraint "${text}": not a semver range; examples: ^1.2, ~1.0, ">=1 <2"`,
    );
  }
  return (scan, tag) => {
    const suffix = segments > 3 ? "" : tag.slice(scan.preStart, scan.preEnd);
    return alternatives.some((all) => all.every((one) => holds(one, scan.segments, suffix)));
  };
}

const NUMBER = "0|[1-9]\\d{0,15}";
const IDENTIFIER = "(?:\\d*[A-Za-z-][0-9A-Za-z-]*|0|[1-9]\\d*)";
const PARTIAL = new RegExp(
  `^[v=]*(${NUMBER}|[xX*])(?:\\.(${NUMBER}|[xX*])(?:\\.(${NUMBER}|[xX*])(?:-(${IDENTIFIER}(?:\\.${IDENTIFIER})*))?)?)?$`,
);

/** Parses comparators that must all hold; `undefined` if one is invalid. */
function parseAll(text: string, includePreRelease: boolean): Comparison[] | undefined {
  const [, from, to] = /^(\S+)\s+-\s+(\S+)$/.exec(text) ?? [];
  const isHyphen = from !== undefined && to !== undefined;
  const comparators = isHyphen ? [["from", from] as const, ["to", to] as const] : split(text);
  const comparisons: Comparison[] = [];
  for (const [operator, version] of comparators) {
    const partial = parsePartial(version.replace(/\+[\w.-]+$/, ""));
    if (partial === undefined) return undefined;
    if (partial.isMixed && !isHyphen && !/[~^]/.test(operator)) return undefined;
    comparisons.push(...comparisonsOf(operator, partial, includePreRelease));
  }
  return comparisons.every(({ core }) => core.every(Number.isSafeInteger))
    ? comparisons
    : undefined;
}

function split(text: string): (readonly [operator: string, version: string])[] {
  if (text === "") return [["", "*"]];
  const parts = text.replaceAll(/(~>|[~^=]|[<>]=?)\s+/g, "$1").split(/\s+/);
  return parts.map((part) => {
    const [, operator = "", version = ""] = /^(~>?|\^|[<>]=?|=)?(.*)$/.exec(part) ?? [];
    return [operator, version];
  });
}

function parsePartial(text: string): Partial | undefined {
  const match = PARTIAL.exec(text);
  if (match === null || text.length > 256) return undefined;
  const numbers = match.slice(1, 4).map((part = "x") => Number(part));
  const first = numbers.findIndex(Number.isNaN);
  const known = first < 0 ? 3 : first;
  const [major = 0, minor = 0, patch = 0] = numbers.slice(0, known);
  return {
    core: [major, minor, patch],
    known,
    preRelease: (known === 3 && match[4]) || "",
    isMixed: numbers.slice(known).some((part) => !Number.isNaN(part)),
  };
}

function comparisonsOf(
  operator: string,
  { core, known, preRelease }: Partial,
  includePreRelease: boolean,
): Comparison[] {
  // `-0` is the lowest pre-release.
  const lowest = includePreRelease ? "0" : "";
  const from = { operator: ">=", core, preRelease: known < 3 ? lowest : preRelease } as const;
  const below = (at: number): Comparison => ({
    operator: "<",
    core: raised(core, at),
    preRelease: "0",
  });
  if (known === 0) {
    const isNothing = operator === "<" || operator === ">";
    return isNothing ? [{ operator: "<", core: [0, 0, 0], preRelease: "0" }] : [];
  }
  switch (operator) {
    case "^": {
      const leading = core.findIndex((part) => part > 0);
      return [from, below(leading < 0 ? known - 1 : Math.min(leading, known - 1))];
    }
    case "~":
    case "~>":
      return [from, below(Math.min(1, known - 1))];
    case ">=":
      return [from];
    case ">":
      if (known === 3) return [{ operator, core, preRelease }];
      return [{ operator: ">=", core: raised(core, known - 1), preRelease: lowest }];
    case "<":
      return [{ operator, core, preRelease: known < 3 ? "0" : preRelease }];
    case "<=":
      return [known < 3 ? below(known - 1) : { operator, core, preRelease }];
    case "from":
      return [{ ...from, preRelease: preRelease || lowest }];
    case "to":
      if (known < 3 || (includePreRelease && preRelease === "")) return [below(known - 1)];
      return [{ operator: "<=", core, preRelease }];
    default:
      return known < 3 ? [from, below(known - 1)] : [{ operator: "=", core, preRelease }];
  }
}

/** The lowest version in which the part at an index is higher. */
function raised(core: Comparison["core"], at: number): Comparison["core"] {
  const [major, minor, patch] = core;
  if (at === 0) return [major + 1, 0, 0];
  return at === 1 ? [major, minor + 1, 0] : [major, minor, patch + 1];
}

function holds(comparison: Comparison, segments: readonly number[], preRelease: string): boolean {
  const order =
    compareCore(segments, comparison.core) || comparePreRelease(preRelease, comparison.preRelease);
  switch (comparison.operator) {
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    default:
      return order === 0;
  }
}

function compareCore(segments: readonly number[], core: Comparison["core"]): number {
  for (let nth = 0; nth < 3; nth++) {
    const difference = (segments[nth] ?? 0) - (core[nth] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
