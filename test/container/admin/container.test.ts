import { describe, expect, test } from "vitest";
import { adminContainer } from "../../../src/container/admin/container.ts";
import type { EngineContainer, PublishedPort } from "../../../src/container/engine/engine.ts";
import { REFUSED, testVectors } from "../../support/vectors.ts";

const CONTAINER: EngineContainer = {
  id: "aaa111",
  name: "app-1-0",
  image: "ghcr.io/o/app@sha256:1",
  imageId: "sha256:2",
  status: "running",
  health: undefined,
  checkEveryMs: 30_000,
  exitCode: undefined,
  wasOutOfMemory: false,
  wasSignalled: false,
  restarts: 0,
  startedAt: "2026-07-16T10:00:00Z",
  labels: { "dewy.app": "app" },
  ports: [],
};

describe("adminContainer: the recorded containers", () => {
  testVectors(
    "admin",
    ({ in: { inspect, port } }) => {
      const [inspected] = inspect as Inspected[];
      return inspected === undefined
        ? REFUSED
        : adminContainer(engineContainer(inspected), Number(port));
    },
    ["inspect"],
  );
  interface Inspected {
    Id: string;
    Name: string;
    State: { Status: string; StartedAt: string };
    Config: { Image: string; Labels: Record<string, string> };
    NetworkSettings: { Ports: Record<string, { HostIp: string; HostPort: string }[]> };
  }
  function engineContainer(inspected: Inspected): EngineContainer {
    return {
      ...CONTAINER,
      id: inspected.Id,
      name: inspected.Name.slice(1),
      image: inspected.Config.Image,
      status: inspected.State.Status,
      startedAt: inspected.State.StartedAt,
      labels: inspected.Config.Labels,
      ports: Object.entries(inspected.NetworkSettings.Ports).flatMap(([port, bound]) =>
        bound.map(({ HostIp, HostPort }) => ({
          container: Number.parseInt(port, 10),
          host: HostIp,
          port: Number(HostPort),
        })),
      ),
    };
  }
});

describe("adminContainer", () => {
  const at = (container: number, host = "127.0.0.1"): PublishedPort => ({
    container,
    host,
    port: 32_000 + container,
  });
  test.each([
    [[], undefined, ""],
    [[at(90), at(80)], undefined, "127.0.0.1:32080"],
    [[at(90), at(80)], 90, "127.0.0.1:32090"],
    [[at(80, "::1")], undefined, "[::1]:32080"],
  ])("with the ports %j and the container port %j shows %j", (ports, port, shown) => {
    expect(adminContainer({ ...CONTAINER, ports }, port).ip_port).toBe(shown);
  });
  test("falls back to the start time for an invalid deploy time", () => {
    const labels = { "dewy.deployed_at": "yesterday" };
    expect(adminContainer({ ...CONTAINER, labels }).deployed_at).toBe("2026-07-16T10:00:00Z");
  });
});
