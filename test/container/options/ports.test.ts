import { describe, expect, it } from "vitest";
import { containerPorts } from "../../../src/container/options/ports.ts";

describe("containerPorts", () => {
  it.each([
    ["the port that was typed", [3000], [80, 443], [3000]],
    ["the only one that is exposed", [undefined], [8080], [8080]],
    ["the same for several ports of the proxy", [undefined, 9000, undefined], [80], [80, 9000, 80]],
    ["the only one, without a port of the proxy", [], [8080], [8080]],
  ])("is %s", (_, typed, exposed, ports) => {
    const mappings = typed.map((containerPort) => ({ containerPort }));
    expect(containerPorts(mappings, exposed)).toEqual(ports);
  });

  it.each([
    ["none", [], "does not expose any TCP port; say which one"],
    [
      "several",
      [80, 443],
      "exposes several ports (80, 443); say which one it is: --container-port 80",
    ],
  ])("asks when the image exposes %s", (_, exposed, says) => {
    expect(() => containerPorts([{ containerPort: undefined }], exposed)).toThrow(says);
    expect(() => containerPorts([], exposed)).toThrow(says);
  });
});
