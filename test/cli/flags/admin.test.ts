import { describe, expect, test } from "vitest";
import { type AdminConfig, readObserving } from "../../../src/cli/flags/observe.ts";
import { parseArgv } from "../../../src/cli/flags/parse.ts";

const DEFAULT: AdminConfig = {
  port: 17_539,
  host: "127.0.0.1",
  tokenFile: undefined,
  metricsPublic: false,
};

function admin(line: string): AdminConfig | undefined {
  const argv = parseArgv([...line.split(" "), "--registry", "ghr://o/r"]);
  return readObserving(argv).admin;
}

describe("the flags of the admin server", () => {
  test.each([
    ["server", undefined],
    ["assets", undefined],
    ["container", DEFAULT],
    ["server --telemetry", DEFAULT],
    ["assets --telemetry", DEFAULT],
    ["server --admin-port 9000", { ...DEFAULT, port: 9_000 }],
    ["container --admin-port 9000", { ...DEFAULT, port: 9_000 }],
    [
      "server --admin-port 9000 --admin-host 0.0.0.0 --admin-token-file t",
      { ...DEFAULT, port: 9_000, host: "0.0.0.0", tokenFile: "t" },
    ],
    [
      "container --admin-host [::] --admin-token-file t",
      { ...DEFAULT, host: "::", tokenFile: "t" },
    ],
    ["container --admin-host ::1", { ...DEFAULT, host: "::1" }],
    ["container --admin-host localhost", { ...DEFAULT, host: "localhost" }],
    ["assets --telemetry --metrics-public", { ...DEFAULT, metricsPublic: true }],
    ["container --once", DEFAULT],
    ["server --once --admin-port 9000 ./app", { ...DEFAULT, port: 9_000 }],
    ["assets --once --telemetry", undefined],
    ["server --once --telemetry", undefined],
  ])("dewy %s", (line, expected) => {
    expect(admin(line)).toEqual(expected);
  });

  test.each([
    ["server --admin-token-file t", "--admin-token-file needs --admin-port or --telemetry"],
    ["assets --admin-host ::1", "--admin-host needs --admin-port or --telemetry"],
    ["container --metrics-public", "--metrics-public needs --telemetry"],
    ["assets --once --admin-port 9000", "--admin-port needs polling: remove it, or --once"],
    [
      "assets --once --telemetry --admin-token-file t",
      "--admin-token-file needs polling: remove it, or --once",
    ],
    [
      "container --admin-host 0.0.0.0",
      'Cannot use --admin-host "0.0.0.0" without --admin-token-file',
    ],
    [
      "container --admin-host 127.0.0.1.example",
      'Cannot use --admin-host "127.0.0.1.example" without --admin-token-file',
    ],
    [
      "container --admin-host 127.0.0.1:9000",
      'Invalid value for --admin-host "127.0.0.1:9000": expected an address of this machine',
    ],
    ["container --admin-host http://x/", 'Invalid value for --admin-host "http://x/"'],
    ["container --admin-port 0", 'Invalid value for --admin-port "0"'],
    ["container --admin-port 65536", 'Invalid value for --admin-port "65536"'],
  ])("dewy %s is refused", (line, message) => {
    expect(() => admin(line)).toThrow(message);
  });
});
