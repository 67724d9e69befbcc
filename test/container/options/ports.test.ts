import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../mod.ts";
import {
  containerPorts,
  listenSpecs,
  parsePortMappings,
} from "../../../src/container/options/ports.ts";
import { REFUSED, testVectors } from "../../support/vectors.ts";
import vectors from "../../vectors/cli-container.json" with { type: "json" };
import { formatPortMapping } from "./format_port_mapping.ts";

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
  test("uses the default container port for values that name none", () => {
    expect(parsed(["8080", "9090:50051"], { containerPort: 3000 })).toEqual([
      "8080:3000",
      "9090:50051",
    ]);
  });
  test("listens on each address, including IPv6", () => {
    expect(parsed(["8080:80"], { hosts: ["127.0.0.1", "::1", "[fe80::1%eth0]"] })).toEqual([
      "127.0.0.1:8080:80",
      "[::1]:8080:80",
      "[fe80::1%eth0]:8080:80",
    ]);
  });
  test("keeps the order, because the health check uses the first port", () => {
    expect(parsed(["9090:2", "8080:1"])).toEqual(["9090:2", "8080:1"]);
  });
  test.each([
    ["8080,9090", "invalid port: 8080,9090; repeat --port for each port"],
    ["8000-8005", "invalid port: 8000-8005; repeat --port for each port"],
    ["127.0.0.1:8080:80", "use --host to set the address to listen on"],
    ["localhost:8080", "invalid port: localhost; expected a port such as 8080, or 8080:3000"],
    ["8080:", "invalid port: ; expected a port such as 8080, or 8080:3000"],
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

describe("containerPorts", () => {
  test.each([
    ["the given port", [3000], [80, 443], [3000]],
    ["the only exposed port", [undefined], [8080], [8080]],
    [
      "the exposed port for several proxy ports",
      [undefined, 9000, undefined],
      [80],
      [80, 9000, 80],
    ],
    ["the exposed port without mappings", [], [8080], [8080]],
  ])("returns %s", (_, typed, exposed, ports) => {
    const mappings = typed.map((containerPort) => ({ containerPort }));
    expect(containerPorts(mappings, exposed)).toEqual(ports);
  });

  test.each([
    ["no port", [], "does not expose any TCP port; say which one"],
    [
      "several ports",
      [80, 443],
      "exposes several ports (80, 443); say which one it is: --container-port 80",
    ],
  ])("requires a flag when the image exposes %s", (_, exposed, says) => {
    expect(() => containerPorts([{ containerPort: undefined }], exposed)).toThrow(says);
    expect(() => containerPorts([], exposed)).toThrow(says);
  });
});
