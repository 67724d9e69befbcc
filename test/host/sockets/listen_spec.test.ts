import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../mod.ts";
import { formatListenSpec, parseListenSpecs } from "../../../src/host/sockets/listen_spec.ts";
import { REFUSED, testVectors } from "../../support/vectors.ts";
import vectors from "../../vectors/cli-ports.json" with { type: "json" };

function parsed(...values: string[]): string[] {
  return parseListenSpecs(values).map(formatListenSpec);
}

describe("parseListenSpecs: recorded values of the Go dewy", () => {
  testVectors("cli-ports", ({ op, in: { input }, out }) => {
    try {
      const ports = parsed(...(Array.isArray(input) ? input.map(String) : [String(input)]));
      if (op === "port") return ports.length === 1;
      if (Array.isArray(out)) return ports;
      return { first: ports[0], last: ports.at(-1), count: ports.length };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return REFUSED;
    }
  });
  const refused = vectors.filter(({ errorText }) => errorText !== undefined);
  test.each(refused.filter(({ errorText }) => !errorText?.includes("strconv")))(
    "say $errorText",
    ({ in: { input }, errorText }) => {
      expect(() => parsed(...[input].flat())).toThrow(errorText);
    },
  );
});

describe("parseListenSpecs", () => {
  test("parses hosts, IPv6 in brackets and paths", () => {
    expect(
      parseListenSpecs(["127.0.0.1:8080", "[::1]:81,LOCALHOST:80", "unix:/run/app.sock"]),
    ).toEqual([
      { kind: "tcp", host: "localhost", port: 80 },
      { kind: "tcp", host: "::1", port: 81 },
      { kind: "tcp", host: "127.0.0.1", port: 8080 },
      { kind: "unix", path: "/run/app.sock" },
    ]);
  });
  test("a port without a host is open on every address", () => {
    expect(parseListenSpecs(["8080"])).toEqual([{ kind: "tcp", host: undefined, port: 8080 }]);
  });
  test("sorts by number, not by text, and keeps the order of paths", () => {
    expect(parsed("unix:/b", "10000", "9000", "unix:/a")).toEqual([
      "9000",
      "10000",
      "unix:/b",
      "unix:/a",
    ]);
  });
  test("a socket that is named twice is listed once", () => {
    expect(parsed("80", "080,79-81", "[::]:80", "[::]:80", "unix:/a", "unix:/a")).toEqual([
      "79",
      "80",
      "[::]:80",
      "81",
      "unix:/a",
    ]);
  });
  test("several ranges may add up to more than the maximum of one", () => {
    expect(parsed("1-100", "201-300")).toHaveLength(200);
  });
  test("formatListenSpec is the inverse of parseListenSpecs", () => {
    const all = ["80", "127.0.0.1:80", "[::1]:80", "app.internal:81", "unix:run/app.sock"];
    expect(parsed(...all)).toEqual(all);
  });
  test.each([
    ["", 'empty value ""'],
    [" , ", 'empty value " , "'],
    ["::1:8080", "invalid host"],
    ["[127.0.0.1]:80", "invalid host"],
    [":8080", "invalid host"],
    ["user@host:80", "invalid host"],
    ["host:", "invalid port number: "],
    ["host:80-81", "invalid port number: 80-81"],
    ["-1", "invalid port range format: -1"],
    ["81-80", "did you mean 80-81?"],
    ["0-5", "between 1 and 65535, got 0"],
    ["80-8080", "port range too large (8001 ports), maximum allowed is 100"],
    ["1e3", "invalid port number: 1e3"],
    ["99999999999999999999", "invalid port number"],
    ["unix:", "no path of a socket"],
    ["unix:/run/", "no path of a socket"],
    [`unix:/${"x".repeat(107)}`, "too long for a socket"],
  ])("refuses %j", (text, message) => {
    expect(() => parsed(text)).toThrow(ConfigError);
    expect(() => parsed("80", text)).toThrow(message);
  });
});
