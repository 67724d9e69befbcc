import { describe, expect, test } from "vitest";
import { driverEnvironment, readVariable } from "../../src/core/environment.ts";

describe("readVariable", () => {
  test.each([undefined, "", " \n"])("a value of %j is unset", (value) => {
    expect(readVariable({ A: value }, { name: "A" })).toBeUndefined();
  });

  test.each([
    ["token", "abc\r\n", "abc"],
    ["line", " my password ü \n", "my password ü"],
    ["text", "-----BEGIN\nabc\n-----END\n", "-----BEGIN\nabc\n-----END"],
  ] as const)("whitespace around a %s does not belong to it: %j", (value, given, read) => {
    expect(readVariable({ A: given }, { name: "A", value })).toBe(read);
  });

  test.each([
    ["token", "secret-1\nsecret-2", "it has spaces or non-ASCII characters"],
    ["token", "secret-1 secret-2", "it has spaces or non-ASCII characters"],
    ["token", "secret…", "it has spaces or non-ASCII characters"],
    ["line", "secret-1\nsecret-2", "it has a line break or another control character"],
    ["line", "secret-1\u0000", "it has a line break or another control character"],
  ] as const)("a %s of %j is refused by name, and not shown", (value, given, why) => {
    const read = (): unknown => readVariable({ A: given }, { name: "A", value });
    expect(read).toThrow(`Cannot use A: ${why}`);
    expect(read).not.toThrow("secret");
  });
});

describe("driverEnvironment", () => {
  const specs = [{ name: "GOOD" }, { name: "BROKEN", value: "token" as const }];

  test("a variable that cannot be used is an error where it is read, and nowhere else", () => {
    const env = driverEnvironment({ GOOD: "a\n", BROKEN: "a\nb", OTHER: "c\nd" }, specs);
    expect([env.GOOD, env.OTHER, env.MISSING]).toEqual(["a", "c\nd", undefined]);
    expect(() => env.BROKEN).toThrow("Cannot use BROKEN");
    expect(JSON.stringify(env)).not.toContain("a");
  });
});
