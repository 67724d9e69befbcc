/**
 * Version constraints: ranges of the `semver` package, compiled to comparisons of numbers.
 *
 * @see https://github.com/npm/node-semver#ranges
 * @module
 */
import Range from "semver/classes/range.js";
import { ConfigError } from "../core/error.ts";
import { compileCalver } from "./calver.ts";
import { comparePreRelease } from "./semver.ts";

/**
 * A range of versions, which {@link loadConstraint} makes for {@link latestTag}. `preRelease` means that pre-releases are
 * compared like other versions; without a CalVer format, `calver` is empty.
 */
export type Constraint = (rules: {
  preRelease: boolean;
  calver: string;
}) => (segments: readonly number[], preRelease: string) => boolean;

export type ConstraintTest = ReturnType<Constraint>;

/** The used part of the package's `Range`; declared here because Deno lacks its types. */
interface ParsedRange {
  set: readonly (readonly {
    value: string;
    operator: string;
    semver: {
      major: number;
      minor: number;
      patch: number;
      prerelease: readonly (string | number)[];
    };
  }[])[];
}

interface Comparison {
  operator: string;
  core: readonly [number, number, number];
  preRelease: string;
}

/**
 * Compiles a range such as `^1.2`, `~1.0` or `>=1 <2`.
 *
 * With a CalVer format, the first three segments stand for major, minor and patch (0 if absent): `^2024.6` means
 * "2024, from June on", and months may be written `06`. Further segments, and then the pre-release, are not compared.
 */
export function compileConstraint(
  text: string,
  options: Parameters<Constraint>[0],
): ConstraintTest {
  const { calver, preRelease } = options;
  const segments = calver === "" ? 3 : compileCalver(calver).specifiers.length;
  const range = readRange(text, calver !== "", preRelease);
  const alternatives = range.set.map((comparators) =>
    comparators
      .filter((comparator) => comparator.value !== "")
      .map(
        ({ operator, semver }): Comparison => ({
          operator,
          core: [semver.major, semver.minor, semver.patch],
          preRelease: semver.prerelease.join("."),
        }),
      ),
  );
  return (numbers, suffix) => {
    const compared = segments > 3 ? "" : suffix;
    return alternatives.some((all) => all.every((one) => holds(one, numbers, compared)));
  };
}

function readRange(text: string, isCalver: boolean, includePrerelease: boolean): ParsedRange {
  // Zero-padded months are valid in CalVer but not in semver.
  const spelled = isCalver ? text.replaceAll(/(?<![0-9A-Za-z-])0+(?=[0-9])/g, "") : text;
  try {
    return new Range(spelled, { includePrerelease });
  } catch (cause) {
    throw new ConfigError(
      `Invalid constraint "${text}": not a semver range; examples: ^1.2, ~1.0, ">=1 <2"`,
      { cause },
    );
  }
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
