import fc from "fast-check";
import semver from "semver";
import { describe, expect, test } from "vitest";
import { comparePreRelease, MAX_TAG_LENGTH, parseSemver } from "../../src/version/semver.ts";
import { testVectors } from "../support/vectors.ts";
import { anyTag, preRelease, semverTag } from "./arbitraries.ts";

describe("vectors", () => {
  testVectors(
    "semver-parse",
    ({ in: input }) => {
      const version = parseSemver(String(input.version));
      return version !== undefined && (version.preRelease === "" || input.allowPreRelease === true);
    },
    ["match"],
  );

  testVectors(
    "semver-parse",
    (vector) => {
      const version = parseSemver(String(vector.in.version));
      if (version === undefined) return null;
      const [major, minor, patch] = version.segments;
      const all: Record<string, unknown> = {
        v: version.v,
        major,
        minor,
        patch,
        preRelease: version.preRelease,
        buildMetadata: version.buildMetadata,
        string: version.original,
      };
      const asked = Object.keys((vector.out as object | null) ?? all);
      return Object.fromEntries(asked.map((key) => [key, all[key]]));
    },
    ["parse"],
  );

  testVectors(
    "semver-compare",
    ({ in: input }) => comparePreRelease(String(input.a), String(input.b)),
    ["preRelease"],
  );
});

describe("parseSemver", () => {
  test.each([
    " v1.2.3",
    "v1.2.3 ",
    " v1.2.3 ",
    "\tv1.2.3",
    "v1.2.3\n",
    "\ufeff1.2.3",
    "1.2.3\u00a0",
    "=1.2.3",
    "=v1.2.3",
    "= 1.2.3",
    "vv1.2.3",
    "V1.2.3",
    "v 1.2.3",
    "1.2",
    "1",
    "v1",
    "1.2.3.4",
    "",
    "v",
    "latest",
    "1.2.x",
    "*",
    "1.2.3-",
    "1.2.3+",
    "1.2.3-+b",
    "1.2.3-a..b",
    "1.2.3-a.",
    "1.2.3+a+b",
    "1.2.3+a..b",
    "01.2.3",
    "1.02.3",
    "1.2.03",
    "00.0.0",
    "1.2.3-01",
    "1.2.3-rc.01",
    "1.2.3-a_b",
    "-1.2.3",
    "+1.2.3",
    "1.2.3 4",
    "1.2.3-é",
    "１.2.3",
    "1.2.3/../x",
    "1.2.3\0",
    "1e3.0.0",
    "0x1.0.0",
    "9007199254740992.0.0",
    "0.0.99999999999999999999",
  ])("rejects %j", (tag) => {
    expect(parseSemver(tag)).toBeUndefined();
  });

  test.each([
    ["v1.2.3-rc.1+build.01", "v", [1, 2, 3], "rc.1", "build.01"],
    ["0.0.0", "", [0, 0, 0], "", ""],
    ["1.2.3---RC-SNAPSHOT.12.9.1--.12+788", "", [1, 2, 3], "--RC-SNAPSHOT.12.9.1--.12", "788"],
    ["1.0.0-0A.is.legal", "", [1, 0, 0], "0A.is.legal", ""],
    ["1.0.0+0.build.1-rc.10000aaa-kk-0.1", "", [1, 0, 0], "", "0.build.1-rc.10000aaa-kk-0.1"],
    ["9007199254740991.0.0", "", [9007199254740991, 0, 0], "", ""],
    ["1.0.0-99999999999999999999", "", [1, 0, 0], "99999999999999999999", ""],
  ])("reads %j", (original, v, segments, pre, buildMetadata) => {
    const expected = { original, v, segments, preRelease: pre, buildMetadata };
    expect(parseSemver(original)).toEqual(expected);
  });

  test("rejects a tag longer than the semver package accepts", () => {
    const longest = `1.2.3-${"a".repeat(MAX_TAG_LENGTH - 6)}`;
    expect(parseSemver(longest)?.preRelease).toHaveLength(MAX_TAG_LENGTH - 6);
    expect(parseSemver(`${longest}a`)).toBeUndefined();
  });
});

describe("the semver package is the oracle", () => {
  // Deliberate difference: the package trims, so whitespace around a version is tested separately.
  const oracle = (tag: string): boolean => tag.trim() === tag && semver.parse(tag) !== null;

  test("for whether a tag is a version", () => {
    fc.assert(
      fc.property(anyTag(), (tag) => {
        expect(parseSemver(tag) !== undefined).toBe(oracle(tag));
      }),
      { numRuns: 5000 },
    );
  });

  test("for the parts of a version", () => {
    fc.assert(
      fc.property(semverTag(), (tag) => {
        const expected = semver.parse(tag);
        expect(parseSemver(tag)).toMatchObject({
          segments: [expected?.major, expected?.minor, expected?.patch],
          preRelease: expected?.prerelease.join("."),
          buildMetadata: expected?.build.join("."),
        });
      }),
    );
  });

  test("and whitespace around a version is rejected", () => {
    const blank = fc.constantFrom(" ", "\t", "\n", "\r\n", "\u00a0", "\ufeff", "\u3000");
    fc.assert(
      fc.property(semverTag(), blank, fc.boolean(), (tag, space, isBefore) => {
        const text = isBefore ? space + tag : tag + space;
        expect(parseSemver(text)).toBeUndefined();
      }),
    );
  });

  // Deliberate difference: identifiers beyond 2^53-1 are compared exactly, not as floating point numbers.
  test("of the order of pre-releases", () => {
    fc.assert(
      fc.property(preRelease(), preRelease(), (a, b) => {
        const expected = semver.compare(
          a === "" ? "1.0.0" : `1.0.0-${a}`,
          b === "" ? "1.0.0" : `1.0.0-${b}`,
        );
        expect(comparePreRelease(a, b)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test("but numbers of any length are compared exactly", () => {
    expect(comparePreRelease("90071992547409930", "90071992547409931")).toBe(-1);
    expect(comparePreRelease("1".repeat(40), "9".repeat(39))).toBe(1);
  });
});
