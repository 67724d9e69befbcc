import { describe, expect, test } from "vitest";
import type { AskConfig } from "../../../src/cli/flags/ask.ts";
import { parseArgv } from "../../../src/cli/flags/parse.ts";
import { splitUrlRules } from "../../../src/cli/flags/url_rules.ts";
import { readConfig } from "../../support/read_config.ts";

const KEY = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const KEY_WITH_PLUS = KEY.replace("mlY", "m+Y");

describe("verify= in a registry's URL", () => {
  test.each([
    ["ghr://o/r", "ghr://o/r", []],
    ["ghr://o/r?verify=checksums", "ghr://o/r", ["checksums"]],
    ["ghr://o/r?verify=", "ghr://o/r", [""]],
    ["ghr://o/r?verify", "ghr://o/r", [""]],
    ["s3://eu/b?slot=blue&verify=checksums", "s3://eu/b?slot=blue", ["checksums"]],
    ["s3://eu/b?verify=checksums&slot=blue", "s3://eu/b?slot=blue", ["checksums"]],
    ["ghr://o/r?verify=github=o/r@a.yml", "ghr://o/r", ["github=o/r@a.yml"]],
    [`ghr://o/r?verify=minisign=${KEY}`, "ghr://o/r", [`minisign=${KEY}`]],
    ["file:///r?verify=ssh=/etc/my%20keys", "file:///r", ["ssh=/etc/my keys"]],
    ["file:///r?verify=minisign=/a+b/c", "file:///r", ["minisign=/a b/c"]],
    ["ghr://o/r?verified=1", "ghr://o/r?verified=1", []],
  ])("%s", (given, url, rules) => {
    expect(splitUrlRules(given)).toEqual({ url, rules });
  });

  test("may be repeated", () => {
    expect(splitUrlRules("ghr://o/r?verify=checksums&a=b&verify=ssh=%26")).toEqual({
      url: "ghr://o/r?a=b",
      rules: ["checksums", "ssh=&"],
    });
  });

  test.each([KEY_WITH_PLUS, KEY_WITH_PLUS.replace("+", "%2B")])(
    "takes a key whose plus sign is escaped, or not: %s",
    (key) => {
      expect(splitUrlRules(`ghr://o/r?verify=minisign=${key}`).rules).toEqual([
        `minisign=${KEY_WITH_PLUS}`,
      ]);
    },
  );

  test("adds to the rules of --verify", () => {
    const argv = ["check", "ghr://o/r?verify=checksums&slot=blue", "--verify", "github=o/r"];
    expect(readConfig("check", parseArgv(argv)) as AskConfig).toMatchObject({
      registry: "ghr://o/r?slot=blue",
      verify: ["github=o/r", "checksums"],
    });
  });

  test("is refused for a gateway, because machines verify", () => {
    const argv = ["registry", "--upstream", "ghr://o/r?verify=checksums", "--port", "9000"];
    expect(() => readConfig("registry", parseArgv(argv))).toThrow(
      "Cannot use verify= in --upstream: machines verify what they deploy; set --verify there",
    );
  });
});
