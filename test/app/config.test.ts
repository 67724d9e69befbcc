import { describe, expect, test } from "vitest";
import { type AskConfig, type AssetsConfig, readConfig } from "../../src/app/config.ts";
import { parseArgv } from "../../src/app/parse_argv.ts";
import vectors from "../vectors/cli.json" with { type: "json" };

function assets(...argv: string[]): AssetsConfig {
  return readConfig(
    "assets",
    parseArgv(["assets", "--registry", "ghr://o/r", ...argv]),
  ) as AssetsConfig;
}

function check(...argv: string[]): AskConfig {
  return readConfig("check", parseArgv(["check", ...argv])) as AskConfig;
}

describe("readConfig: the recorded command lines", () => {
  // Where the issue or the document says otherwise; run.test.ts states what holds instead.
  const NOT_FOLLOWED = new Set([
    "server command with port", // a later version's command
    "interval 0", // an error that names the flag
    "negative interval as a separate word", // an error, not the default
    "-d does not exist", // it does, as in the document's example
    "-n is --name, not --notifier", // a flag of container, which is yet to come
    "log format not validated", // an error that names the flag
    "calver goes into the registry URL", // stays a separate value that wins over the URL
    "bad calver", // found when the registry is opened
  ]);
  const cases = vectors.filter(
    (v) => v.op === "run" && typeof v.out === "object" && v.out.exit === 0 && "config" in v.out,
  );
  test.each(cases.filter((v) => !NOT_FOLLOWED.has(v.name) && (v.out as Out).config))(
    "$name",
    (vector) => {
      const want = (vector.out as Out).config ?? {};
      const got = readConfig("assets", parseArgv(vector.in.argv)) as AssetsConfig;
      expect({
        interval: got.intervalMs / 1000,
        logLevel: (got.logLevel ?? "error").toUpperCase(),
        logFormat: got.logFormat ?? "text",
        registry: got.registry,
        slot: got.slot ?? "",
        calver: got.calver ?? "",
        notifier: got.notifier ?? "",
        beforeDeployHook: got.beforeDeployHook ?? "",
        afterDeployHook: got.afterDeployHook ?? "",
      }).toMatchObject(want);
    },
  );
  interface Out {
    exit: number;
    config?: Record<string, unknown> | null;
  }
});

describe("readConfig of assets", () => {
  test("fills in the documented defaults", () => {
    expect(assets()).toEqual({
      command: "assets",
      registry: "ghr://o/r",
      slot: undefined,
      calver: undefined,
      logLevel: undefined,
      logFormat: undefined,
      caFile: undefined,
      directory: ".",
      intervalMs: 10_000,
      once: false,
      beforeDeployHook: undefined,
      afterDeployHook: undefined,
      hookTimeoutMs: 600_000,
      notifier: undefined,
      maxArtifactSize: 2 * 1024 ** 3,
      maxExpandedSize: 8 * 1024 ** 3,
      retryBad: false,
    });
  });
  test.each([
    ["10", 10_000],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1", 1000],
    ["1.5s", 1500],
    ["1h30m", 5_400_000],
  ])("an interval of %s is %i ms", (text, ms) => {
    expect(assets("--interval", text).intervalMs).toBe(ms);
  });
  test.each(["0", "0s", "999ms", "abc", "5x", "1e3", " 5"])("refuses an interval of %j", (text) => {
    expect(() => assets("--interval", text)).toThrow("--interval");
  });
  test("refuses a negative interval", () => {
    expect(() => assets("--interval=-5")).toThrow(/--interval "-5"/);
  });
  test("empty values are unset", () => {
    const config = assets(
      "--slot",
      "",
      "--calver=",
      "--notifier",
      "",
      "--interval",
      "",
      "--ca-file=",
    );
    expect(config).toEqual(assets());
  });
  test("sizes may have units", () => {
    expect(assets("--max-artifact-size", "512MiB").maxArtifactSize).toBe(512 * 1024 ** 2);
    expect(() => assets("--max-artifact-size", "0")).toThrow("--max-artifact-size");
    expect(() => assets("--max-expanded-size", "much")).toThrow("--max-expanded-size");
  });
  test.each([
    ["--log-level", "loud"],
    ["--log-format", "xml"],
  ])("refuses %s %s", (flag, value) => {
    expect(() => assets(flag, value)).toThrow(`Cannot use ${flag} "${value}"`);
  });
  test("levels may be written in capitals", () => {
    expect(assets("-l", "DEBUG").logLevel).toBe("debug");
  });
  test("takes no words and starts no program", () => {
    expect(() => assets("extra")).toThrow('unexpected "extra"');
    expect(() => assets("--", "/app")).toThrow('unexpected "/app"');
  });
  test.each([[["assets"]], [["assets", "--registry", ""]], [["assets", "--registry="]]])(
    "needs a registry: %j",
    (argv) => {
      expect(() => readConfig("assets", parseArgv(argv))).toThrow("--registry is not set");
    },
  );
  test("a registry that is no URL is refused at once", () => {
    expect(() => readConfig("assets", parseArgv(["assets", "--registry", "o/r"]))).toThrow(
      'Cannot read --registry "o/r"',
    );
  });
});

describe("readConfig of check", () => {
  test("the registry is a word or a flag, not both", () => {
    expect(check("ghr://o/r").registry).toBe("ghr://o/r");
    expect(check("--registry", "ghr://o/r").registry).toBe("ghr://o/r");
    expect(() => check("ghr://o/r", "--registry", "ghr://o/r")).toThrow('unexpected "ghr://o/r"');
    expect(() => check("ghr://o/r", "ghr://o/s")).toThrow('unexpected "ghr://o/s"');
    expect(() => check()).toThrow("--registry is not set");
  });
  test("another machine can be asked for", () => {
    expect(check("ghr://o/r", "--platform", "linux/arm/v7").platform).toEqual({
      os: "linux",
      arch: "arm",
      variant: "v7",
    });
    expect(() => check("ghr://o/r", "--platform", "linux")).toThrow('--platform "linux"');
  });
});
