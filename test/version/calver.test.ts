import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/core/error.ts";
import { compileCalver, parseCalver } from "../../src/version/calver.ts";
import { emptyScan, MAX_TAG_LENGTH } from "../../src/version/semver.ts";
import { compareParsed, compareVersions } from "../../src/version/version.ts";
import { REFUSED, testVectors } from "../support/vectors.ts";

describe("vectors", () => {
  testVectors("calver-format", ({ in: input, out }) => {
    try {
      const { specifiers } = compileCalver(String(input.format));
      const asked = (out ?? {}) as object;
      return { valid: true, ...("segments" in asked ? { segments: specifiers } : {}) };
    } catch (error) {
      if (error instanceof ConfigError) return REFUSED;
      throw error;
    }
  });
  testVectors(
    "calver-parse",
    ({ in: input }) => parseCalver(String(input.version), String(input.format)) ?? null,
    ["parse"],
  );
  testVectors(
    "calver-parse",
    ({ in: input }) => {
      const part = (side: unknown) => side as { segments: number[]; preRelease: string };
      return compareParsed(part(input.a), part(input.b));
    },
    ["compare"],
  );
});

describe("compileCalver", () => {
  test("says which specifiers there are", () => {
    expect(() => compileCalver("yyyy.mm")).toThrow(ConfigError);
    expect(() => compileCalver("yyyy.mm")).toThrow(
      'calver format "yyyy.mm" contains no valid specifiers (expected YYYY, YY, 0Y, MM, 0M, WW, 0W, DD, 0D, or MICRO)',
    );
    expect(() => compileCalver("")).toThrow(ConfigError);
    expect(() => compileCalver("YYYY".repeat(40))).toThrow("longer than 128");
  });

  test("compiles a format once", () => {
    expect(compileCalver("YYYY.0M.0D")).toBe(compileCalver("YYYY.0M.0D"));
  });

  test("keeps a format compiled while another one is used", () => {
    const first = compileCalver("YYYY.0M.0D");
    compileCalver("YY.MM");
    expect(compileCalver("YYYY.0M.0D")).toBe(first);
  });

  test("shows only the beginning of a format that is too long", () => {
    expect(() => compileCalver("YYYYMMDD-".repeat(100))).toThrow(
      'calver format "YYYYMMDD-YYYYMMDD-YY…" is longer than 128 characters',
    );
  });
});

describe("parseCalver", () => {
  test.each([
    ["YYYY.0M.MICRO", "2024.6.0", "an unpadded month"],
    ["YYYY.0M.MICRO", "2024.00.0", "month 0"],
    ["YYYY.0M.MICRO", "24.06.0", "a short year"],
    ["YYYY.0M.MICRO", "2024.06", "a missing segment"],
    ["YYYY.0M.MICRO", "2024.06.0.1", "a further segment"],
    ["YYYY.0M.MICRO", " 2024.06.0", "a blank"],
    ["YYYY.0M.MICRO", "2024x06x0", "another separator"],
    ["YYYY.0M.MICRO", "2024.06.0-rc.01", "a padded number in the pre-release"],
    ["YYYY.0M.MICRO", "2024.06.0+a+b", "two pieces of build metadata"],
    ["YYYY.0M.MICRO", "2024.06.9007199254740992", "a number beyond 2^53-1"],
    ["YY.MM", "06.6", "a padded short year"],
    ["0Y.MM", "6.6", "an unpadded year"],
    ["0Y.MM", "006.6", "a year padded to three digits"],
    ["YYYY.MM.DD", "2024.6.32", "day 32"],
    ["YYYY.MM.0D", "2024.6.1", "an unpadded day"],
    ["YYYY.0W", "2024.1", "an unpadded week"],
    ["YYYY.WW", "2024.06", "a padded week"],
    ["YYYY.MICRO", "2024.a", "a letter instead of a number"],
    ["YYYY.MM", "２024.6", "digits beyond ASCII"],
  ])("by %s does not take %s: %s", (format, tag) => {
    expect(parseCalver(tag, format)).toBeUndefined();
  });

  test.each([
    ["YY.MM", "6.6", [6, 6]],
    ["YY.MM", "106.12", [106, 12]],
    ["0Y.0M", "06.06", [6, 6]],
    ["YY0M0D", "240115", [24, 1, 15]],
    ["YYYY0M0D", "20240115", [2024, 1, 15]],
    ["YYYY.WW", "2024.53", [2024, 53]],
    ["release-YYYY.MM", "release-2024.6", [2024, 6]],
    ["YYYY-0M-0D-MICRO", "2024-06-01-12", [2024, 6, 1, 12]],
    ["(YYYY)*", "(2024)*", [2024]],
    ["YYYY.MM", "0024.6", [24, 6]],
    ["YY.MM", "0.6", [0, 6]],
    ["YYYY.MICRO", "2024.007", [2024, 7]],
  ])("by %s reads %s", (format, tag, segments) => {
    expect(parseCalver(tag, format)).toMatchObject({ v: "", segments, original: tag });
    expect(parseCalver(`v${tag}+blue`, format)).toMatchObject({
      v: "v",
      segments,
      buildMetadata: "blue",
    });
  });

  test("rejects a tag longer than the semver package accepts", () => {
    const longest = `2024.6-${"a".repeat(MAX_TAG_LENGTH - 7)}`;
    expect(parseCalver(longest, "YYYY.MM")?.preRelease).toHaveLength(MAX_TAG_LENGTH - 7);
    expect(parseCalver(`${longest}a`, "YYYY.MM")).toBeUndefined();
  });

  test("tells the v of a format from the v before it", () => {
    expect(parseCalver("v2024.6", "vYYYY.MM")).toMatchObject({ v: "", segments: [2024, 6] });
    expect(parseCalver("vv2024.6", "vYYYY.MM")).toMatchObject({ v: "v", segments: [2024, 6] });
    expect(parseCalver("2024.6", "vYYYY.MM")).toBeUndefined();
  });

  test("gives back the date that was written", () => {
    const date = fc.tuple(
      fc.integer({ min: 1000, max: 9999 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 31 }),
      fc.maxSafeNat(),
    );
    fc.assert(
      fc.property(date, date, ([y, m, d, n], other) => {
        const pad = (value: number): string => String(value).padStart(2, "0");
        const write = ([y, m, d, n]: readonly number[]): string => `${y}.${pad(m ?? 0)}.${d}.${n}`;
        const calver = "YYYY.0M.DD.MICRO";
        expect(parseCalver(write([y, m, d, n]), calver)?.segments).toEqual([y, m, d, n]);
        const order = compareVersions(write([y, m, d, n]), write(other), { calver });
        expect(order).toBe(
          compareParsed(
            { segments: [y, m, d, n], preRelease: "" },
            { segments: other, preRelease: "" },
          ),
        );
      }),
    );
  });

  test("looks at an ambiguous format only so often", () => {
    for (const specifier of ["YY", "MICRO", "DD"]) {
      const format = specifier.repeat(Math.floor(128 / specifier.length));
      const { scan, specifiers } = compileCalver(format);
      const tag = `${"1".repeat(255)}!`;
      let reads = 0;
      const counted = new Proxy(new String(tag), {
        get(target, key) {
          if (key === "charCodeAt") reads++;
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
      expect(scan(counted as unknown as string, emptyScan(specifiers.length))).toBe(false);
      // At most every specifier at every place in every width, digit by digit; there are far more ways
      // than that to cut the digits up.
      expect(reads).toBeLessThan(specifiers.length * 256 * (16 + 16 * 16));
    }
  });
});
