import { describe, expect, test } from "vitest";
import { type ParsedArgv, parseArgv } from "../../../src/cli/flags/parse.ts";
import { readWebhooks } from "../../../src/cli/flags/webhooks.ts";

function argv(...flags: string[]): ParsedArgv {
  return parseArgv(["server", "--registry", "ghr://o/r", ...flags]);
}

function listen(address: string) {
  return readWebhooks(argv("--webhook-listen", address, "--webhook-secret-file", "/etc/hook"));
}

describe("the flags of webhooks", () => {
  test("are unset by default", () => {
    expect(readWebhooks(argv())).toBeUndefined();
    expect(readWebhooks(argv("--webhook-listen=", "--webhook-secret-file="))).toBeUndefined();
  });

  test.each([
    ["9001", "127.0.0.1", 9001],
    ["127.0.0.1:9001", "127.0.0.1", 9001],
    ["localhost:80", "localhost", 80],
    ["0.0.0.0:9001", "0.0.0.0", 9001],
    ["[::]:9001", "::", 9001],
    ["[fd00::1]:65535", "fd00::1", 65_535],
    ["Hooks.example.com:9001", "hooks.example.com", 9001],
  ])("listen on %s", (address, host, port) => {
    expect(listen(address)).toEqual({ listen: { host, port }, secretFile: "/etc/hook" });
  });

  test.each([
    ["0", "port number must be between 1 and 65535, got 0"],
    ["65536", "port number must be between 1 and 65535, got 65536"],
    ["http", "invalid port number: http; expected a number such as 8080"],
    [
      "http://a:9001",
      'invalid host in "http://a:9001"; expected such as 127.0.0.1:8080, localhost:8080 or [::]:8080',
    ],
    [
      ":9001",
      'invalid host in ":9001"; expected such as 127.0.0.1:8080, localhost:8080 or [::]:8080',
    ],
    ["9001,9002", "expected one address such as 9001, 127.0.0.1:9001 or [::]:9001"],
    ["9001-9002", "expected one address such as 9001, 127.0.0.1:9001 or [::]:9001"],
    ["unix:/run/a", "expected one address such as 9001, 127.0.0.1:9001 or [::]:9001"],
  ])("refuse the address %s", (address, reason) => {
    expect(() => listen(address)).toThrow(
      `Invalid value for --webhook-listen "${address}": ${reason}`,
    );
  });

  test.each([
    [["--webhook-listen", "9001"], "--webhook-listen needs --webhook-secret-file: "],
    [["--webhook-secret-file", "/a"], "--webhook-secret-file needs --webhook-listen: "],
    [
      ["--webhook-listen", "9001", "--webhook-secret-file", "/a", "--once"],
      "--webhook-listen needs polling: remove it, or --once",
    ],
  ])("refuse %j", (flags, message) => {
    expect(() => readWebhooks(argv(...flags))).toThrow(message);
  });
});
