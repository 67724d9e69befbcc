/**
 * Version constraints: ranges as the `semver` package reads them, compiled to comparisons of numbers. A property test
 * compares the two.
 *
 * @see https://github.com/npm/node-semver#ranges
 * @module
 */
import { ConfigError } from "../core/error.ts";
import { compileCalver } from "./calver.ts";
import { comparePreRelease, type TagScan } from "./semver.ts";

export type ConstraintTest = (scan: TagScan, tag: string) => boolean;

type Core = readonly [number, number, number];

interface Comparison {
  operator: string;
  core: Core;
  preRelease: string;
}

/**
 * Compiles a range such as `^1.2`, `~1.0` or `>=1 <2`.
 *
 * With a CalVer format, the first three segments stand for major, minor and patch (0 if absent): `^2024.6` means
 * "2024, from June on", and months may be written `06`. Further segments, and then the pre-release, are not compared.
 */
export function compileConstraint(text: string, calver: string): ConstraintTest {
  const segments = calver === "" ? 3 : compileCalver(calver).specifiers.length;
  const alternatives = readRange(text, calver !== "");
  return (scan, tag) => {
    const suffix = segments > 3 ? "" : tag.slice(scan.preStart, scan.preEnd);
    return alternatives.some((all) => all.every((one) => holds(one, scan.segments, suffix)));
  };
}

/** The constraint of a policy, compiled; `undefined` if it has none. */
export function constraintOf(policy: {
  constraint: string;
  calver: string;
}): ConstraintTest | undefined {
  return policy.constraint === "" ? undefined : compileConstraint(policy.constraint, policy.calver);
}

const NUMBER = String.raw`(0|[1-9]\d*|[xX*])`;
const IDENTIFIER = String.raw`(?:\d*[A-Za-z-][0-9A-Za-z-]*|0|[1-9]\d*)`;
const PARTIAL = String.raw`${NUMBER}(?:\.${NUMBER}(?:\.${NUMBER}(?:-(${IDENTIFIER}(?:\.${IDENTIFIER})*))?)?)?`;
const COMPARATOR = new RegExp(`^(>=|<=|[<>=]|(?:\\^|~>?)=?|)v?${PARTIAL}$`);
const HYPHEN = new RegExp(`^v?${PARTIAL} - v?${PARTIAL}$`);

/** The alternatives of a range, each with the comparisons that must all hold. */
function readRange(text: string, isCalver: boolean): Comparison[][] {
  // Zero-padded months are valid in CalVer but not in semver.
  const spelled = isCalver ? text.replaceAll(/(?<![0-9A-Za-z-])0+(?=[0-9])/g, "") : text;
  return spelled
    .replaceAll(/\s+/g, " ")
    .replaceAll(/\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*/g, "")
    .split("||")
    .map((range) => {
      const alternative = readAlternative(range.trim());
      if (alternative !== undefined) return alternative;
      throw new ConfigError(
        `Invalid constraint "${text}": not a semver range; examples: ^1.2, ~1.0, ">=1 <2"`,
      );
    });
}

/** Returns `undefined` if it is not a range. */
function readAlternative(range: string): Comparison[] | undefined {
  const hyphen = HYPHEN.exec(range);
  const comparisons =
    hyphen === null
      ? range
          .replaceAll(/([<>=~^]) (?=[v0-9xX*])/g, "$1")
          .split(" ")
          .map((part) => (part === "" ? [] : readComparator(part)))
      : [expand("from", hyphen.slice(1, 5), true), expand("to", hyphen.slice(5, 9), true)];
  return comparisons.includes(undefined)
    ? undefined
    : comparisons.flatMap((comparison) => comparison ?? []);
}

function readComparator(text: string): Comparison[] | undefined {
  const found = COMPARATOR.exec(text);
  if (found === null) return undefined;
  const [, operator = "", ...parts] = found;
  const isLoose = /[~^]/.test(operator);
  return expand(isLoose ? operator.replace("=", "") : operator, parts, isLoose);
}

/**
 * The comparisons that one part of a range stands for. A pre-release of a bound that was completed counts as inside:
 * `1.2` begins with 1.2.0-0. Pre-releases are compared only where they are wanted.
 *
 * @param isLoose Whether a number may follow an `x`, which it then does not restrict.
 */
function expand(
  operator: string,
  [major, minor, patch, preRelease = ""]: readonly (string | undefined)[],
  isLoose: boolean,
): Comparison[] | undefined {
  const isAny = [major, minor, patch].map((part) => part === undefined || /[xX*]/.test(part));
  const given = isAny.includes(true) ? isAny.indexOf(true) : 3;
  const numbers = [major, minor, patch].map((part, nth) => (nth < given ? Number(part) : 0));
  if (!numbers.every(Number.isSafeInteger)) return undefined;
  if (!isLoose && isAny.some((any, nth) => !any && nth > given)) return undefined;
  const core = numbers as unknown as Core;
  if (given === 0) return /^[<>]$/.test(operator) ? [below([0, 0, 0])] : [];
  const low: Comparison = { operator: ">=", core, preRelease: given < 3 ? "0" : preRelease };
  const after = (nth: number): Comparison => below(next(core, nth));
  switch (operator) {
    case "~":
    case "~>":
      return [low, after(Math.min(given - 1, 1))];
    case "^":
      return [low, after(Math.min(given - 1, numbers.findIndex((number) => number > 0) >>> 0))];
    case ">=":
      return [low];
    case "from":
      return [{ ...low, preRelease: low.preRelease || "0" }];
    case "to":
      return [low.preRelease && given === 3 ? { ...low, operator: "<=" } : after(given - 1)];
    case "<":
      return [{ ...low, operator }];
    case ">":
      return [given < 3 ? { ...after(given - 1), operator: ">=" } : { ...low, operator }];
    case "<=":
      return [given < 3 ? after(given - 1) : { ...low, operator }];
    default:
      return given < 3 ? [low, after(given - 1)] : [{ ...low, operator: "=" }];
  }
}

const below = (core: Core): Comparison => ({ operator: "<", core, preRelease: "0" });

/** The lowest version that differs in the part at `nth`, or in one before it. */
function next(core: Core, nth: number): Core {
  return core.map((part, at) => (at < nth ? part : at === nth ? part + 1 : 0)) as unknown as Core;
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
