import { describe, expect, test } from "vitest";
import { parseContainers, parseImage } from "../../../src/container/engine/schema.ts";
import { containerPorts } from "../../../src/container/options/ports.ts";
import { ConfigError } from "../../../src/core/error.ts";
import { REFUSED, testVectors } from "../../support/vectors.ts";

const CONTAINER = {
  Id: "aaa111",
  Name: "/app-1700000000-0",
  Image: "sha256:bbb222",
  State: {
    Status: "running",
    StartedAt: "2026-07-16T10:00:00.5Z",
    ExitCode: 0,
    OOMKilled: false,
  },
  Config: { Image: "ghcr.io/acme/app:v1.2.3", Labels: { "dewy.app": "app" } },
  NetworkSettings: { Ports: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "49152" }] } },
};

function container(change: object): ReturnType<typeof parseContainers>[number] | undefined {
  return parseContainers(JSON.stringify([{ ...CONTAINER, ...change }]), "docker")[0];
}

describe("parseContainers", () => {
  test("reads Docker's output", () => {
    expect(container({})).toMatchObject({
      id: "aaa111",
      name: "app-1700000000-0",
      image: "ghcr.io/acme/app:v1.2.3",
      imageId: "sha256:bbb222",
      status: "running",
      health: undefined,
      exitCode: undefined,
      wasOutOfMemory: false,
      restarts: 0,
      wasSignalled: false,
      startedAt: "2026-07-16T10:00:00.5Z",
      labels: { "dewy.app": "app" },
      ports: [{ container: 80, host: "127.0.0.1", port: 49152 }],
    });
  });

  test("reads how often the engine has restarted it", () => {
    expect(container({ RestartCount: 3 })?.restarts).toBe(3);
  });

  test("reads Podman's output", () => {
    const Health = { Status: "", FailingStreak: 0, Log: null };
    const podman = { Image: "bbb222", ImageName: "localhost/app:v1", Name: "app" };
    expect(container({ ...podman, State: { ...CONTAINER.State, Health } })).toMatchObject({
      name: "app",
      image: "localhost/app:v1",
      imageId: "sha256:bbb222",
      health: undefined,
    });
  });

  test.each([
    ["starting", "starting"],
    ["unhealthy", "unhealthy"],
    ["none", undefined],
  ])("reads the health %s", (Status, health) => {
    expect(container({ State: { ...CONTAINER.State, Health: { Status } } })?.health).toBe(health);
  });

  test("returns the exit code of a stopped container, and no ports", () => {
    const State = { ...CONTAINER.State, Status: "exited", ExitCode: 137, OOMKilled: true };
    expect(container({ State })).toMatchObject({ exitCode: 137, wasOutOfMemory: true, ports: [] });
  });

  test.each([
    { ExitCode: 137, wasSignalled: true },
    { ExitCode: 143, wasSignalled: true },
    { ExitCode: 137, OOMKilled: true, wasSignalled: false },
    { ExitCode: 1, wasSignalled: false },
  ])("recognizes a signal from outside by the exit code $ExitCode", ({ wasSignalled, ...end }) => {
    const State = { ...CONTAINER.State, Status: "exited", ...end };
    expect(container({ State })).toMatchObject({ wasSignalled });
  });

  test("returns loopback for wildcard addresses, and TCP ports only", () => {
    const Ports = {
      "53/udp": [{ HostIp: "0.0.0.0", HostPort: "53" }],
      "81/tcp": null,
      "82/tcp": [
        { HostIp: "0.0.0.0", HostPort: "8082" },
        { HostIp: "::", HostPort: "8083" },
      ],
    };
    expect(container({ NetworkSettings: { Ports } })?.ports).toEqual([
      { container: 82, host: "127.0.0.1", port: 8082 },
      { container: 82, host: "::1", port: 8083 },
    ]);
  });

  test("names the wrong field", () => {
    expect(() => container({ State: { Status: "running" } })).toThrow(
      "Cannot read the output of docker: 0.State.ExitCode is missing",
    );
    expect(() => container({ Name: 7 })).toThrow("0.Name should be string");
    expect(() => parseContainers("<html>", "docker")).toThrow("it is not JSON");
  });
});

describe("parseImage", () => {
  const image = (config: object): ReturnType<typeof parseImage> =>
    parseImage(JSON.stringify([{ Id: "sha256:1", RepoTags: null, Config: config }]), "docker");

  test("reads the exposed TCP ports, lowest first", () => {
    const ExposedPorts = { "8080/tcp": {}, "53/udp": {}, "80/tcp": {}, "8000-8002/tcp": {} };
    expect(image({ ExposedPorts })?.exposedPorts).toEqual([80, 8080]);
    expect(image({ ExposedPorts: null })?.exposedPorts).toEqual([]);
  });

  test.each([
    [{ Test: ["NONE"] }, undefined],
    [{ Test: ["CMD", "true"] }, { intervalMs: 30_000 }],
    [{ Test: ["CMD", "true"], Interval: 5_000_000_000 }, { intervalMs: 5_000 }],
    [null, undefined],
  ])("reads the HEALTHCHECK %j", (Healthcheck, healthcheck) => {
    expect(image({ Healthcheck })?.healthcheck).toEqual(healthcheck);
  });

  test("returns undefined for a missing image", () => {
    expect(parseImage("[]", "podman")).toBeUndefined();
  });
});

describe("the ports behind the proxy", () => {
  testVectors(
    "container-args",
    ({ in: { exposed, mappings } }) => {
      const names = (exposed as string[]).map((name) => [name, {}]);
      const inspected = [{ Id: "i", Config: { ExposedPorts: Object.fromEntries(names) } }];
      const image = parseImage(JSON.stringify(inspected), "docker");
      const wanted = mappings as { proxy: number; container: number }[];
      try {
        const ports = containerPorts(
          wanted.map(({ container }) => ({ containerPort: container || undefined })),
          image?.exposedPorts ?? [],
        );
        return wanted.map(({ proxy }, at) => ({ proxy, container: ports[at] }));
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        return REFUSED;
      }
    },
    ["resolvePorts"],
  );
});
