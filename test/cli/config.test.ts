import { describe, expect, test } from "vitest";
import type { AskConfig } from "../../src/cli/flags/ask.ts";
import type { AssetsConfig } from "../../src/cli/flags/assets.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { formatListenSpec } from "../../src/host/sockets/listen_spec.ts";
import type { ServerConfig } from "../../src/server/config.ts";
import { directoryOfArguments } from "../../src/server/program.ts";
import { readConfig } from "../support/read_config.ts";

function assets(...argv: string[]): AssetsConfig {
  return readConfig(
    "assets",
    parseArgv(["assets", "--registry", "ghr://o/r", ...argv]),
  ) as AssetsConfig;
}

function server(...argv: string[]): ServerConfig {
  return readConfig(
    "server",
    parseArgv(["server", "--registry", "ghr://o/r", ...argv]),
  ) as ServerConfig;
}

function check(...argv: string[]): AskConfig {
  return readConfig("check", parseArgv(["check", ...argv])) as AskConfig;
}

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
      notifiers: [],
      notifierFiles: [],
      telemetry: undefined,
      admin: undefined,
      maxArtifactSize: 2 * 1024 ** 3,
      maxExpandedSize: 8 * 1024 ** 3,
      retryBad: false,
      acceptChanged: [],
      name: undefined,
      dryRun: false,
      windows: [],
      minAgeMs: 0,
      noDowngrade: false,
      verify: [],
      trustedRoot: undefined,
      confirmMajor: false,
      maxStalenessMs: undefined,
      webhooks: undefined,
    });
  });
  test("--no-downgrade is a flag, not the negation of one", () => {
    expect(assets("--no-downgrade").noDowngrade).toBe(true);
    expect(assets("--no-downgrade=false").noDowngrade).toBe(false);
    expect(() => assets("--downgrade")).toThrow("unknown flag --downgrade");
    expect(() => assets("--no_downgrade")).toThrow("unknown flag --no_downgrade");
    expect(() => assets("--no-downgrade=maybe")).toThrow("--no-downgrade does not take a value");
    expect(() => check("ghr://o/r", "--no-downgrade")).toThrow("unknown flag --no-downgrade for");
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
    expect(() => assets(flag, value)).toThrow(`Invalid value for ${flag} "${value}"`);
  });
  test("levels may be written in capitals", () => {
    expect(assets("-l", "DEBUG").logLevel).toBe("debug");
  });
  test("refuses arguments and a program", () => {
    expect(() => assets("extra")).toThrow('unexpected argument "extra"');
    expect(() => assets("--", "/app")).toThrow('unexpected "/app"');
  });
  test.each([[["assets"]], [["assets", "--registry", ""]], [["assets", "--registry="]]])(
    "needs a registry: %j",
    (argv) => {
      expect(() => readConfig("assets", parseArgv(argv))).toThrow("--registry is not set");
    },
  );
});

describe("readConfig of check", () => {
  test("the registry is an argument or a flag, not both", () => {
    expect(check("ghr://o/r").registry).toBe("ghr://o/r");
    expect(check("--registry", "ghr://o/r").registry).toBe("ghr://o/r");
    expect(() => check("ghr://o/r", "--registry", "ghr://o/r")).toThrow(
      'unexpected argument "ghr://o/r"',
    );
    expect(() => check("ghr://o/r", "ghr://o/s")).toThrow('unexpected argument "ghr://o/s"');
    expect(() => check()).toThrow("--registry is not set");
  });
  test("takes another platform", () => {
    expect(check("ghr://o/r", "--platform", "linux/arm/v7").platform).toEqual({
      os: "linux",
      arch: "arm",
      variant: "v7",
    });
    expect(() => check("ghr://o/r", "--platform", "linux")).toThrow('--platform "linux"');
  });
});

describe("readConfig of server", () => {
  test("fills in the documented defaults", () => {
    expect(server()).toEqual({
      ...assets(),
      command: "server",
      directoryFrom: "default",
      program: undefined,
      ports: [],
      handoff: "socket",
      healthPath: undefined,
      healthTimeoutMs: 30_000,
      readyAfterMs: 1_000,
      readyCommand: undefined,
      signalOnTerm: "SIGTERM",
      drainTimeMs: 30_000,
      overlapMs: 5_000,
      bakeMs: 30_000,
      restart: "always",
      logPrefix: false,
      envFiles: [],
      isolateEnv: false,
      user: undefined,
      group: undefined,
    });
  });
  test("takes all of its flags", () => {
    const config = server(
      ...["-p", "8080", "--port", "unix:/run/a.sock", "--handoff", "proxy", "--health-path", "/up"],
      ...["--health-timeout", "1m", "--ready-command", "true", "--signal-on-term", "quit"],
      ...["--drain-time", "0", "--bake", "0", "--restart", "on-failure", "--log-prefix"],
      ...["--env-file", "a", "--env-file=b", "--isolate-env", "--user", "app", "--group", "7"],
      ...["--", "./app", "--port", "1"],
    );
    expect(config).toMatchObject({
      program: ["./app", "--port", "1"],
      handoff: "proxy",
      healthPath: "/up",
      healthTimeoutMs: 60_000,
      readyCommand: "true",
      signalOnTerm: "SIGQUIT",
      drainTimeMs: 0,
      bakeMs: 0,
      restart: "on-failure",
      logPrefix: true,
      envFiles: ["a", "b"],
      isolateEnv: true,
      user: "app",
      group: "7",
    });
    expect(config.ports.map(formatListenSpec)).toEqual(["8080", "unix:/run/a.sock"]);
  });
  test("arguments before and after -- are the command", () => {
    expect(server("/opt/app", "serve", "--", "--port=1").program).toEqual([
      "/opt/app",
      "serve",
      "--port=1",
    ]);
  });
  test.each([
    [["--", "/opt/app/current/app"], "/opt/app", "command"],
    [["/opt/app/current/bin/app"], "/opt/app", "command"],
    [["--", "/opt//app/./current/app"], "/opt/app", "command"],
    [["--", "/a/current/b/current/app"], "/a", "command"],
    [["--", "/current/app"], "/", "command"],
    [["--directory", "/srv", "--", "/opt/app/current/app"], "/srv", "flag"],
    [["-d", ".", "--", "/opt/app/current/app"], ".", "flag"],
    [["--", "current/app"], ".", "default"],
    [["--", "/opt/app/current"], ".", "default"],
    [["--", "/opt/current.d/app"], ".", "default"],
    [["--", "/opt/current/../app"], ".", "default"],
    [["--", "/usr/bin/python3", "/opt/app/current/app.py"], ".", "default"],
    [[], ".", "default"],
  ])("%j is deployed in %s, by the %s", (argv, directory, directoryFrom) => {
    expect(server(...argv)).toMatchObject({ directory, directoryFrom });
  });
  test.each([
    [["python3", "/opt/app/current/app.py"], "/opt/app"],
    [["python3", "-m", "app", "--config=/opt/app/current/c", "/srv/b/current/x"], "/srv/b"],
    [["/opt/app/current/app", "/srv/b/current/x"], undefined],
    [["python3", "app.py"], undefined],
  ])("the arguments of %j imply %s", (program, directory) => {
    expect(directoryOfArguments(program)).toBe(directory);
  });
  test.each([
    ["SIGTERM", "SIGTERM"],
    ["term", "SIGTERM"],
    ["SigUsr2", "SIGUSR2"],
    ["", "SIGTERM"],
  ])("--signal-on-term %j is %s", (typed, signal) => {
    expect(server(`--signal-on-term=${typed}`).signalOnTerm).toBe(signal);
  });
  test.each([
    [["--port", ""], 'invalid port specification: empty value ""'],
    [["--port", "8080", "--port="], 'invalid port specification: empty value ""'],
    [["--port", "x"], "invalid port specification: invalid port number: x"],
    [["--port"], "--port needs a value"],
    [["--handoff", "magic"], '--handoff "magic": expected socket, proxy, none'],
    [["--handoff", "proxy"], "--handoff proxy needs --port"],
    [
      ["--health-path", "/up"],
      "--health-path needs --handoff proxy and --port: on a shared socket",
    ],
    [["-p", "1", "--health-path", "/up"], "--health-path needs --handoff proxy: on a shared"],
    [
      ["-p", "1", "--handoff", "none", "--health-path", "/up"],
      "--health-path needs --handoff proxy: there is no proxy between",
    ],
    [["-p", "1", "--handoff", "proxy", "--health-path", "up"], '--health-path "up"'],
    [["-p", "1", "--handoff", "proxy", "--health-path", "/a b"], '--health-path "/a b"'],
    [["-p", "1", "--handoff", "proxy", "--ready-after", "1s"], "--ready-after has no effect"],
    [
      ["--ready-after", "1m"],
      "--ready-after 1m0s can never be reached: --health-timeout ends the wait after 30s",
    ],
    [["--health-timeout", "500ms"], "--ready-after 1s can never be reached"],
    [["--health-timeout", "0"], '--health-timeout "0"'],
    [["--handoff", "none", "--overlap", "5s"], "--overlap has no effect with --handoff none"],
    [["--bake", "soon"], '--bake "soon": expected a duration such as 10 (seconds), 30s or 5m'],
    [
      ["--signal-on-term", "KILL"],
      'Invalid value for --signal-on-term "KILL": expected TERM, INT, QUIT',
    ],
    [["--restart", "never"], '--restart "never": expected always, on-failure'],
    [["--", ""], 'the command after "--" is empty'],
  ])("refuses %j", (argv, message) => {
    expect(() => server(...argv)).toThrow(message);
  });
});
