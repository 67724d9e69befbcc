import { describe, expect, test } from "vitest";
import { type AdminSource, adminApi } from "../../../src/container/admin/api.ts";
import { adminContainer } from "../../../src/container/admin/container.ts";
import type { EngineContainer, PublishedPort } from "../../../src/container/engine/engine.ts";
import { REFUSED, testVectors } from "../../support/vectors.ts";

const SOURCE: AdminSource = {
  containers: async () => [],
  name: "myapp",
  status: () => ({ tag: "", backends: 0, isRunning: false }),
};
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

async function ask(
  path: string,
  init: RequestInit = {},
  source: AdminSource = SOURCE,
): Promise<Response> {
  return adminApi(source)(new Request(`http://127.0.0.1:17539${path}`, init));
}

describe("the admin API: the recorded answers", () => {
  testVectors(
    "admin",
    async ({ in: { method, path } }) => {
      const response = await ask(String(path), { method: String(method) });
      const contentType = response.headers.get("content-type");
      return { body: await response.text(), contentType, status: response.status };
    },
    ["admin"],
  );
});

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

describe("the admin API", () => {
  test("returns the containers and the status", async () => {
    const container = adminContainer(CONTAINER);
    const source: AdminSource = {
      containers: async () => [container],
      name: "a",
      status: () => ({ tag: "v1", backends: 3, isRunning: true }),
    };
    const list = await ask("/api/containers", {}, source);
    expect(await list.json()).toEqual({ containers: [container] });
    expect(list.headers.get("cache-control")).toBe("no-store");
    expect(await (await ask("/api/status", {}, source)).text()).toBe(
      '{"command":2,"current_version":"v1","is_running":true,"name":"a","proxy_backends":3}\n',
    );
  });
  test.each(["PUT", "DELETE", "PATCH", "OPTIONS"])("refuses %s", async (method) => {
    const response = await ask("/api/containers", { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET"]);
  });
  test.each(["/", "/api", "/api/containers/", "/metrics", "/constructor"])(
    "answers 404 for %s",
    async (path) => {
      expect((await ask(path)).status).toBe(404);
    },
  );
  test("answers 500 with the reason if the engine fails", async () => {
    const containers = async (): Promise<never> => {
      throw new Error("Cannot list containers: dockerd is down");
    };
    const response = await ask("/api/containers", {}, { ...SOURCE, containers });
    expect(response.status).toBe(500);
    expect(await response.text()).toBe("Cannot list containers: dockerd is down\n");
  });
  test("shares one engine call among concurrent requests", async () => {
    let asked = 0;
    let answer = (): void => {};
    const containers = (): Promise<[]> => {
      asked += 1;
      return new Promise((resolve) => {
        answer = () => resolve([]);
      });
    };
    const api = adminApi({ ...SOURCE, containers });
    const request = (): Request => new Request("http://localhost/api/containers");
    const answers = [api(request()), api(request()), api(request())];
    expect(asked).toBe(1);
    answer();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200]);
    const later = api(request());
    expect(asked).toBe(2);
    answer();
    expect((await later).status).toBe(200);
  });
});

describe("the admin API: a browser", () => {
  const URLS = ["http://localhost:17539", "http://127.0.0.1:17539", "http://[::1]:17539"];
  const from = (url: string, headers: Record<string, string> = {}): Promise<Response> =>
    adminApi(SOURCE)(new Request(`${url}/api/status`, { headers }));

  test.each(URLS)("may request %s itself", async (url) => {
    expect((await from(url)).status).toBe(200);
    expect((await from(url, { origin: url, "sec-fetch-site": "same-origin" })).status).toBe(200);
    expect((await from(url, { "sec-fetch-site": "none" })).status).toBe(200);
  });
  test.each<Record<string, string>>([
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:8080" },
    { origin: "https://127.0.0.1:17539" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
  ])("is refused from another origin: %j", async (headers) => {
    expect((await from("http://127.0.0.1:17539", headers)).status).toBe(403);
  });
  test.each(["evil.example", "evil.example:17539", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"])(
    "is refused under the host name %s",
    async (host) => {
      expect((await from(`http://${host}`)).status).toBe(403);
    },
  );
  test("is refused before the method is checked", async () => {
    const request = new Request("http://127.0.0.1/api/status", {
      method: "POST",
      headers: { origin: "https://evil.example" },
    });
    expect((await adminApi(SOURCE)(request)).status).toBe(403);
  });
});
