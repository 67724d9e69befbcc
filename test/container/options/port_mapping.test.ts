import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../mod.ts";
import {
  formatPortMapping,
  listenSpecs,
  parsePortMappings,
} from "../../../src/container/options/port_mapping.ts";
import { REFUSED, testVectors } from "../../support/vectors.ts";
import vectors from "../../vectors/cli-container.json" with { type: "json" };

const PLAIN = { containerPort: undefined, hosts: [] } as const;

function parsed(
  values: readonly string[],
  options: Partial<Parameters<typeof parsePortMappings>[1]> = {},
): string[] {
  return parsePortMappings(values, { ...PLAIN, ...options }).map(formatPortMapping);
}

describe("parsePortMappings: the recorded ports", () => {
  testVectors(
    "cli-container",
    ({ in: { input } }) => {
      try {
        return parsePortMappings(input as string[], PLAIN).map(({ listen, containerPort }) => ({
          proxy: listen.kind === "tcp" ? listen.port : listen.path,
          container: containerPort ?? 0,
        }));
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return REFUSED;
      }
    },
    ["portMappings"],
  );
  const refused = vectors.filter(({ op, errorText }) => op === "portMappings" && errorText);
  test.each(refused)("say $errorText", ({ in: { input = [] }, errorText = "" }) => {
    expect(() => parsed(input)).toThrow(errorText);
  });
});

describe("parsePortMappings", () => {
  test("a port that names none inside gets the one that is given", () => {
    expect(parsed(["8080", "9090:50051"], { containerPort: 3000 })).toEqual([
      "8080:3000",
      "9090:50051",
    ]);
  });
  test("listens on each address, also of IPv6", () => {
    expect(parsed(["8080:80"], { hosts: ["127.0.0.1", "::1", "[fe80::1%eth0]"] })).toEqual([
      "127.0.0.1:8080:80",
      "[::1]:8080:80",
      "[fe80::1%eth0]:8080:80",
    ]);
  });
  test("keeps the order: the first port decides on health", () => {
    expect(parsed(["9090:2", "8080:1"])).toEqual(["9090:2", "8080:1"]);
  });
  test.each([
    ["8080,9090", "invalid port: 8080,9090; give each port a --port of its own"],
    ["8000-8005", "invalid port: 8000-8005; give each port a --port of its own"],
    ["127.0.0.1:8080:80", "an address to listen on goes to --host"],
    ["localhost:8080", "invalid port: localhost; expected such as 8080 or 8080:3000"],
    ["8080:", "invalid port: ; expected such as 8080 or 8080:3000"],
    [":80", "invalid port: ; expected"],
    ["+80", "invalid port: +80"],
    ["0", "port number must be between 1 and 65535, got 0"],
    ["8080:0", "port number must be between 1 and 65535, got 0"],
  ])("refuses %j", (text, message) => {
    expect(() => parsed([text])).toThrow(message);
  });
});

test.each(["a b", "", "1.2.3.4:80", "x/y"])("listenSpecs refuses the address %j", (host) => {
  expect(() => listenSpecs(80, [host])).toThrow(ConfigError);
});
