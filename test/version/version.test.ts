import fc from "fast-check";
import semver from "semver";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/core/error.ts";
import { type Constraint, compileConstraint } from "../../src/version/constraint.ts";
import { latestTag } from "../../src/version/latest_tag.ts";
import { loadConstraint } from "../../src/version/load_constraint.ts";
import { compareVersions, NewestTag, parseVersion, versionOf } from "../../src/version/version.ts";
import { REFUSED, testVectors } from "../support/vectors.ts";
import { anyTag, semverTag } from "./arbitraries.ts";

describe("vectors", () => {
  const attempt = (run: () => unknown): unknown => {
    try {
      return run();
    } catch (error) {
      if (error instanceof ConfigError) return REFUSED;
      throw error;
    }
  };

  testVectors(
    "semver-compare",
    ({ in: input }) => attempt(() => compareVersions(String(input.a), String(input.b))),
    ["pair"],
  );
  testVectors(
    "semver-compare",
    ({ in: input }) => (input.shuffled as string[]).toSorted((a, b) => compareVersions(a, b)),
    ["ascending"],
  );

  for (const file of ["semver-latest", "calver-latest"]) {
    testVectors(
      file,
      (vector) =>
        attempt(() => {
          const { versions, allowPreRelease, slot, format } = vector.in;
          const tag = latestTag(versions as string[], {
            preRelease: allowPreRelease === true,
            slot: String(slot),
            calver: String(format ?? ""),
          });
          const all: Record<string, unknown> = { version: tag, name: tag };
          if (tag === undefined) return REFUSED;
          return Object.fromEntries(
            Object.keys(vector.out as object).map((key) => [key, all[key]]),
          );
        }),
      ["latest"],
    );
  }
  testVectors(
    "semver-latest",
    ({ in: input }) =>
      latestTag(input.tags as string[], { preRelease: input.preRelease === true }) ?? REFUSED,
    ["ociLatestTag"],
  );
  testVectors(
    "semver-latest",
    ({ in: input }) =>
      latestTag([`1.0.0${input.actual === "" ? "" : `+${String(input.actual)}`}`], {
        slot: String(input.expected),
      }) !== undefined,
    ["slotMatch"],
  );
  testVectors(
    "semver-latest",
    ({ in: input }) =>
      parseVersion(String(input.tag), { calver: String(input.calver) })?.buildMetadata ??
      (input.tag === "latest" ? "" : undefined),
    ["extractSlot"],
  );
  testVectors(
    "semver-latest",
    ({ in: input }) => {
      const latest = latestTag(input.tags as string[], { slot: String(input.slot) });
      return {
        deploy: latest !== undefined,
        latest,
        slot: parseVersion(latest ?? "")?.buildMetadata,
      };
    },
    ["deployDecision"],
  );
});

describe("compareVersions", () => {
  test("names a tag that does not parse", () => {
    expect(() => compareVersions("v1.0.0", "latest")).toThrow(ConfigError);
    expect(() => compareVersions("v1.0.0", "latest")).toThrow(
      'Cannot compare "latest": not a version of SemVer 2.0.0',
    );
    expect(() => compareVersions("1.2", "1.2.0")).toThrow('"1.2"');
    expect(() => compareVersions("2024.06.0", "v1.2.3", { calver: "YYYY.0M.MICRO" })).toThrow(
      "YYYY.0M.MICRO",
    );
  });

  test("agrees with the semver package", () => {
    fc.assert(
      fc.property(semverTag(), semverTag(), (a, b) => {
        expect(compareVersions(a, b)).toBe(semver.compare(a, b));
      }),
      { numRuns: 2000 },
    );
  });

  test("is antisymmetric, and reflexive across v and build metadata", () => {
    fc.assert(
      fc.property(semverTag(), semverTag(), (a, b) => {
        expect(compareVersions(a, b) + compareVersions(b, a)).toBe(0);
        expect(compareVersions(a, `${a.replace(/^v/, "").split("+")[0]}+other`)).toBe(0);
      }),
    );
  });

  test("is transitive", () => {
    fc.assert(
      fc.property(semverTag(), semverTag(), semverTag(), (...tags) => {
        const [a, b, c] = tags.sort((x, y) => compareVersions(x, y));
        expect(compareVersions(a, b)).toBeLessThanOrEqual(0);
        expect(compareVersions(b, c)).toBeLessThanOrEqual(0);
        expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });
});

function range(text: string): Constraint {
  return (options) => compileConstraint(text, options);
}

describe("latestTag", () => {
  test("agrees with sorting by the semver package, whatever the rules", () => {
    const rules = fc.record({
      preRelease: fc.boolean(),
      slot: fc.constantFrom("", "blue", "green"),
      constraint: fc.constantFrom(
        "",
        "^1.2",
        "~1.0",
        ">=1 <2",
        "<3.0.0",
        ">2.1.0-rc.1",
        "1.x || 5",
        "3 - 6.2",
        "*",
      ),
    });
    fc.assert(
      fc.property(
        fc.array(anyTag(), { maxLength: 30 }),
        rules,
        fc.nat({ max: 3 }),
        (tags, rule, excluded) => {
          const exclude = tags.slice(0, excluded);
          expect(latestTag(tags, { ...rule, constraint: range(rule.constraint), exclude })).toBe(
            naiveLatest(tags, { ...rule, exclude }),
          );
        },
      ),
      { numRuns: 3000 },
    );
  });

  function naiveLatest(
    tags: readonly string[],
    rule: { preRelease: boolean; slot: string; constraint: string; exclude: readonly string[] },
  ): string | undefined {
    return tags
      .filter((tag) => {
        const version = tag.trim() === tag ? semver.parse(tag) : null;
        if (version === null || rule.exclude.includes(tag)) return false;
        if (rule.slot !== "" && version.build.join(".") !== rule.slot) return false;
        if (!rule.preRelease && version.prerelease.length > 0) return false;
        return semver.satisfies(version, rule.constraint, { includePrerelease: rule.preRelease });
      })
      .reduce<string | undefined>(
        (best, tag) => (best === undefined || semver.gt(tag, best) ? tag : best),
        undefined,
      );
  }

  test("chooses the newest version within the slot, not the slot of the newest version", () => {
    const tags = ["v2.0.0+green", "v1.0.0+blue", "v1.1.0+blue", "v3.0.0"];
    expect(latestTag(tags, { slot: "blue" })).toBe("v1.1.0+blue");
    expect(latestTag(tags, { slot: "red" })).toBeUndefined();
  });

  test("matches a slot as a whole and by case", () => {
    expect(
      latestTag(["1.0.0+blue.5", "1.0.0+Blue", "1.0.0-blue"], { slot: "blue", preRelease: true }),
    ).toBeUndefined();
    expect(latestTag(["1.0.0+blue.5"], { slot: "blue.5" })).toBe("1.0.0+blue.5");
  });

  test("leaves out excluded tags by their exact spelling", () => {
    const tags = ["v2.0.0", "v1.9.0", "2.0.0"];
    expect(latestTag(tags, { exclude: ["v2.0.0"] })).toBe("2.0.0");
    expect(latestTag(tags, { exclude: new Set(["v2.0.0", "2.0.0"]) })).toBe("v1.9.0");
    expect(
      latestTag(tags, {
        exclude: (function* () {
          yield "v2.0.0";
          yield "2.0.0";
        })(),
      }),
    ).toBe("v1.9.0");
  });

  test("takes empty texts for unset", () => {
    expect(latestTag(["v1.0.0"], { calver: "", slot: "", exclude: [] })).toBe("v1.0.0");
  });

  test("chooses 0.0.0 if it is the only version", () => {
    expect(latestTag(["0.0.0"])).toBe("0.0.0");
  });

  test("is not influenced by a listed tag with more numbers than a version has", () => {
    expect(latestTag(["1.0.0", "1.0.0.0.5", "1.0.0+later"])).toBe("1.0.0");
  });

  test("takes any iterable of tags, and none", () => {
    expect(latestTag(new Set(["v1.0.0", "v1.1.0"]))).toBe("v1.1.0");
    expect(latestTag([])).toBeUndefined();
  });

  test("names a constraint or a format that cannot be used, even when there are no tags", () => {
    expect(() => latestTag([], { constraint: range("latest") })).toThrow(ConfigError);
    expect(() => latestTag([], { constraint: range("latest") })).toThrow('"latest"');
    expect(() => latestTag([], { calver: "foo" })).toThrow(
      'calver format "foo" contains no valid specifiers (expected YYYY, YY, 0Y, MM, 0M, WW, 0W, DD, 0D, or MICRO)',
    );
  });

  test.each([
    [">1.1.0", ["1.2.0"]],
    [">=1.1.0", ["1.2.0", "1.1.0"]],
    ["<1.1.0", ["1.0.0"]],
    ["<=1.1.0", ["1.1.0", "1.0.0"]],
    ["=1.1.0", ["1.1.0"]],
    ["1.1.0", ["1.1.0"]],
  ])("the constraint %s admits %j of 1.2.0, 1.1.0 and 1.0.0", (constraint, admitted) => {
    const tags = ["1.2.0", "1.1.0", "1.0.0"];
    expect(
      tags.filter((tag) => latestTag([tag], { constraint: range(constraint) }) !== undefined),
    ).toEqual(admitted);
  });

  test("compares the numbers in the pre-release of a constraint as numbers", () => {
    const options = { constraint: range(">=1.0.0-rc.2"), preRelease: true };
    expect(latestTag(["1.0.0-rc.1", "1.0.0-rc.10"], options)).toBe("1.0.0-rc.10");
    expect(latestTag(["1.0.0-rc.1"], options)).toBeUndefined();
  });

  test("rejects zero-padded numbers in a constraint on SemVer", () => {
    expect(() => latestTag([], { constraint: range("^1.02") })).toThrow(
      'Invalid constraint "^1.02"',
    );
  });

  test("takes a range that was loaded", async () => {
    const constraint = await loadConstraint("^1.1");
    expect(latestTag(["1.0.0", "1.2.0", "2.0.0"], { constraint })).toBe("1.2.0");
  });

  test("keeps the cause of an invalid constraint", () => {
    expect(() => latestTag([], { constraint: range("latest") })).toThrow(
      expect.objectContaining({ cause: expect.any(TypeError) }),
    );
  });

  test("counts the pre-releases of a range's own lower bound as inside of it", () => {
    expect(latestTag(["v1.2.0-rc.1"], { constraint: range("~1.2"), preRelease: true })).toBe(
      "v1.2.0-rc.1",
    );
    expect(
      latestTag(["v1.2.0-rc.1"], { constraint: range("^1.2.0"), preRelease: true }),
    ).toBeUndefined();
  });

  test("does not let a pre-release of the next major through ^ when pre-releases count", () => {
    const tags = ["v1.9.0", "v2.0.0-rc.1", "v1.10.0-beta.1"];
    expect(latestTag(tags, { constraint: range("^1.2"), preRelease: true })).toBe("v1.10.0-beta.1");
    expect(latestTag(tags, { constraint: range("^1.2") })).toBe("v1.9.0");
    expect(latestTag(tags, { constraint: range(">=1 <2"), preRelease: true })).toBe(
      "v1.10.0-beta.1",
    );
  });
});

describe("constraints on CalVer", () => {
  const calver = "YYYY.0M.MICRO";
  const tags = ["2024.06.0", "2024.06.7", "2024.11.2", "2025.01.0", "2025.02.0-rc.1"];

  test.each([
    ["^2024", "2024.11.2"],
    ["~2024.6", "2024.06.7"],
    ["~2024.06", "2024.06.7"],
    ["~2024.006", "2024.06.7"],
    ["<2024.06.7", "2024.06.0"],
    [">=2024.06.01 <2024.11", "2024.06.7"],
    ["2024.06.x || 2023", "2024.06.7"],
    [">=2026", undefined],
  ])("%s compares the segments", (constraint, expected) => {
    expect(latestTag(tags, { calver, constraint: range(constraint) })).toBe(expected);
  });

  test("count pre-releases only when asked", () => {
    expect(latestTag(tags, { calver, constraint: range(">=2025"), preRelease: true })).toBe(
      "2025.02.0-rc.1",
    );
    expect(latestTag(tags, { calver, constraint: range(">=2025") })).toBe("2025.01.0");
  });

  test("of fewer segments fill up with zero, of more leave the rest and the pre-release out", () => {
    expect(
      latestTag(["2024.5", "2024.6"], { calver: "YYYY.MM", constraint: range("<=2024.5.0") }),
    ).toBe("2024.5");
    const four = ["2024.06.15.3-rc.1", "2024.06.16.0"];
    expect(
      latestTag(four, {
        calver: "YYYY.0M.0D.MICRO",
        constraint: range("=2024.6.15"),
        preRelease: true,
      }),
    ).toBe(four[0]);
  });
});

describe("versionOf", () => {
  test.each([
    ["v1.2.0_blue", "", "v1.2.0+blue"],
    ["v1.2.0-rc.1_blue", "", "v1.2.0-rc.1+blue"],
    ["2024.06_blue", "YYYY.0M", "2024.06+blue"],
  ])("reads the image tag %s (format %j) as %s", (tag, calver, version) => {
    expect(versionOf(tag, calver)).toBe(version);
  });

  test.each([
    ["v1.2.0", "", "a version already"],
    ["latest", "", "not a version"],
    ["1.0.01", "", "not a version, and without an underscore"],
    ["stable_blue", "", "not a version before the underscore"],
    ["_blue", "", "nothing before the underscore"],
    ["v1.2.0_", "", "nothing after the underscore"],
    ["v1.2.0_a_b", "", "two underscores"],
    ["v1.2.0+a_b", "", "build metadata before the underscore"],
    ["v1.2.0_blue", "YYYY.0M", "not a version of the format"],
    ["2024_06", "YYYY_MICRO", "a version of a format with an underscore"],
    ["2024_06_1", "YYYY_0M_MICRO", "a version of a format with two underscores"],
    ["2024_06", "YYYY+0M", "a plus that belongs to the format"],
  ])("leaves the tag %s (format %j) as it is: %s", (tag, calver) => {
    expect(versionOf(tag, calver)).toBe(tag);
  });
});

describe("NewestTag", () => {
  test.each([
    [["1.0.0", "1.0.0+a"], true],
    [["1.0.0", "1.0.0+a", "0.9.0"], true],
    [["1.0.0", "1.0.0+a", "1.1.0"], false],
    [["1.0.0-rc.1", "1.0.0", "1.0.0-rc.1"], false],
  ])("of %j knows whether another tag has the newest version", (tags, isTied) => {
    const newest = new NewestTag();
    for (const tag of tags) newest.offer(tag);
    expect(newest.isTied).toBe(isTied);
  });

  test("returns a verdict for each tag", () => {
    const satisfies = compileConstraint("^1", { calver: "", preRelease: false });
    const newest = new NewestTag({ slot: "blue", exclude: ["1.3.0+blue"] }, satisfies);
    const verdicts = [
      "latest",
      "1.1.0",
      "1.2.0-rc.1+blue",
      "2.0.0+blue",
      "1.3.0+blue",
      "1.0.0+blue",
      "1.0.0+blue",
      "1.1.0+blue",
      "1.0.1+blue",
    ].map((tag) => newest.offer(tag));
    expect(verdicts).toEqual([
      "no-version",
      "slot",
      "pre-release",
      "constraint",
      "excluded",
      "newest",
      "older",
      "newest",
      "older",
    ]);
    expect(newest.tag).toBe("1.1.0+blue");
  });

  test("counts what the registry calls a pre-release as one", () => {
    const stable = new NewestTag();
    expect(stable.offer("1.0.0", true)).toBe("pre-release");
    const all = new NewestTag({ preRelease: true });
    expect(all.offer("1.0.0", true)).toBe("newest");
  });
});
