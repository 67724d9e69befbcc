import { describe, expect, test } from "vitest";
import { parseArgv } from "../../../src/cli/flags/parse.ts";
import { readFleet } from "../../../src/cli/flags/rollout.ts";

const CACHE = ["--cache", "s3://eu-west-1/bucket"];

function read(...flags: string[]) {
  return readFleet(parseArgv(["assets", "--registry", "ghr://o/r", ...flags]));
}

describe("--fleet", () => {
  test("has the documented defaults", () => {
    expect(read(...CACHE, "--fleet", "web")).toEqual({
      name: "web",
      host: undefined,
      waves: [{ hosts: 1 }, { percent: 10 }, { percent: 100 }],
      bakeMs: 600_000,
      maxFailures: 0,
      memberTtlMs: 600_000,
      rollBackOnHalt: false,
      check: undefined,
    });
  });

  test("is optional", () => expect(read()).toBeUndefined());

  test("may name the host and the waves", () => {
    const flags = ["--fleet-host", "web-1.example", "--rollout", "2, 5,33.3%"];
    expect(read(...CACHE, "--fleet", "web", ...flags)).toMatchObject({
      host: "web-1.example",
      waves: [{ hosts: 2 }, { hosts: 5 }, { percent: 33.3 }],
    });
  });

  test.each([
    [["--fleet", "web"], /^--fleet needs --cache/],
    [["--fleet", "web", "--cache", "file:///srv/cache"], /^--fleet needs --cache with a bucket/],
    [["--rollout-bake", "1m"], /^--rollout-bake needs --fleet$/],
    [["--rollback-on-halt"], /^--rollback-on-halt needs --fleet$/],
    [[...CACHE, "--fleet", "web", "--once"], /^--fleet cannot be used with --once/],
    [[...CACHE, "--fleet", "a/b"], /^Invalid value for --fleet "a\/b"/],
    [[...CACHE, "--fleet", "web", "--fleet-host", ".."], /^Invalid value for --fleet-host/],
    [[...CACHE, "--fleet", "web", "--member-ttl", "5s"], /at least 10s/],
    [[...CACHE, "--fleet", "web", "--rollout", "1,0%"], /"0%" is neither a number/],
    [[...CACHE, "--fleet", "web", "--rollout", "1,,5"], /"" is neither a number/],
    [[...CACHE, "--fleet", "web", "--rollout", "101%"], /"101%" is neither a number/],
    [[...CACHE, "--fleet", "web", "--rollout", "5,10%,5"], /each wave must have more hosts/],
    [[...CACHE, "--fleet", "web", "--rollout", "50%,3,20%"], /each wave must have more hosts/],
  ])("%j is refused", (flags, message) => {
    expect(() => read(...flags)).toThrow(message);
  });

  test("goes with --once in a dry run, which asks no fleet", () => {
    expect(read(...CACHE, "--fleet", "web", "--once", "--dry-run")).toMatchObject({ name: "web" });
  });
});
