import { describe, expect, test } from "vitest";
import { parseArgv } from "../../../src/cli/flags/parse.ts";
import { readRolloutCheck } from "../../../src/cli/flags/rollout_check.ts";

const FLEET = ["--fleet", "web"];
const URL = ["--prometheus-url", "https://prometheus.test"];
const QUERY = ["--prometheus-query", "min(up)"];

function read(...flags: string[]) {
  return readRolloutCheck(parseArgv(["server", "--registry", "ghr://o/r", ...flags]));
}

describe("the flags of a rollout's check", () => {
  test("are unset by default", () => {
    expect(read()).toBeUndefined();
    expect(read(...FLEET, "--rollout-check=")).toBeUndefined();
  });

  test("name a command, or Prometheus", () => {
    expect(read(...FLEET, "--rollout-check", "./prometheus --now")).toEqual({
      kind: "command",
      command: "./prometheus --now",
    });
    expect(read(...FLEET, "--rollout-check", "prometheus", ...URL, ...QUERY)).toEqual({
      kind: "prometheus",
      url: "https://prometheus.test",
      query: "min(up)",
    });
  });

  test.each([
    [["--rollout-check", "true"], "--rollout-check needs --fleet"],
    [[...FLEET, "--rollout-check", "prometheus", ...URL], "needs --prometheus-query"],
    [[...FLEET, "--rollout-check", "prometheus", ...QUERY], "needs --prometheus-url"],
    [[...FLEET, "--rollout-check", "true", ...URL], "--prometheus-url needs --rollout-check"],
    [[...FLEET, ...QUERY], "--prometheus-query needs --rollout-check prometheus"],
  ])("are refused where one would have no effect: %j", (flags, message) => {
    expect(() => read(...flags)).toThrow(message);
  });
});
