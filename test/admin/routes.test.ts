import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AdminRoutes, type AdminSource } from "../../src/admin/routes.ts";
import { entryLine } from "../../src/journal/entry.ts";
import { journalFile } from "../../src/journal/file.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { testVectors } from "../support/vectors.ts";
import { adminSource, instanceStatus, TALKATIVE, TOKEN, tokens, untilEnd } from "./source.ts";

function routesOf(more: Partial<AdminSource> = {}, isGuarded = false) {
  const access = {
    host: "127.0.0.1",
    metricsPublic: false,
    ...(isGuarded ? { tokens } : {}),
  };
  const { source, sinks } = adminSource(more);
  const routes = new AdminRoutes(source, access, untilEnd());
  const headers = new Headers(isGuarded ? { authorization: `Bearer ${TOKEN}` } : {});
  const ask = (path: string, method = "GET"): Promise<Response> =>
    routes.answer(new Request(`http://localhost:17539${path}`, { method, headers }));
  return { ask, sinks };
}

describe("the recorded answers", () => {
  testVectors(
    "admin",
    async ({ in: { method, path } }) => {
      const status = instanceStatus({
        name: "myapp",
        live: undefined,
        app: { health: "starting" },
      });
      const { ask } = routesOf({
        mode: "container",
        status: async () => status,
        containers: async () => [],
      });
      const response = await ask(String(path), String(method));
      const text = await response.text();
      const contentType = response.headers.get("content-type");
      return { body: firstFields(text), contentType, status: response.status };
    },
    ["admin"],
  );

  /** The status has more fields behind those of the Go dewy. */
  function firstFields(text: string): string {
    if (!text.startsWith('{"command"')) return text;
    return `${JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text)).slice(0, 5)))}\n`;
  }
});

describe("/api/status", () => {
  test.each([
    ["server", 0],
    ["assets", 1],
    ["container", 2],
  ] as const)(
    "has the fields of the Go dewy and those of dewy status for %s",
    async (mode, command) => {
      const status = instanceStatus({ mode });
      const { ask } = routesOf({ mode, status: async () => status, backends: () => 3 });
      expect(await (await ask("/api/status")).json()).toEqual({
        command,
        current_version: "v1.2.0",
        is_running: true,
        proxy_backends: 3,
        ...JSON.parse(JSON.stringify(status)),
      });
    },
  );
});

describe("/readyz", () => {
  test.each([
    [{}, 200, "ready"],
    [{ app: { health: "degraded" } }, 200, "ready"],
    [{ app: undefined }, 200, "ready"],
    [{ app: undefined, live: undefined }, 503, "not ready: no version is live"],
    [{ live: undefined }, 503, "not ready: no version is live"],
    [{ app: { health: "starting" } }, 503, "not ready: the app is starting"],
    [{ app: { health: "restarting" } }, 503, "not ready: the app is restarting"],
    [{ app: { health: "finished" } }, 503, "not ready: the app is finished"],
    [{ app: { health: "down" } }, 503, "not ready: the app is down"],
    [{ phase: { name: "stopping" } }, 503, "not ready: dewy is stopping"],
  ] as const)("with %j answers %i", async (more, code, text) => {
    const { ask } = routesOf({ status: async () => instanceStatus(more) });
    const response = await ask("/readyz");
    expect([response.status, await response.text()]).toEqual([code, `${text}\n`]);
  });
});

describe("/healthz", () => {
  test("does not depend on the app", async () => {
    const status = (): Promise<never> => Promise.reject(new Error("no file system"));
    expect((await routesOf({ status }).ask("/healthz")).status).toBe(200);
  });
});

describe("the routes", () => {
  test.each([
    "/api/containers",
    "/metrics",
    "/api",
    "/api/status/",
    "/constructor",
    "/favicon.ico",
  ])("do not include %s without containers and telemetry", async (path) => {
    expect((await routesOf().ask(path)).status).toBe(404);
  });

  test("include the metrics of Prometheus with telemetry", async () => {
    const response = await routesOf({ metrics: async () => "dewy_up 1\n" }).ask("/metrics");
    expect(await response.text()).toBe("dewy_up 1\n");
    expect(response.headers.get("content-type")).toBe(
      "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
    );
  });

  test.each(["/", "/api/status", "/api/history", "/healthz", "/readyz"])(
    "answer HEAD %s like GET, without the body",
    async (path) => {
      const { ask } = routesOf({ root: await tempDirectory() });
      const [get, head] = [await ask(path), await ask(path, "HEAD")];
      const size = (await get.arrayBuffer()).byteLength;
      expect(head.status).toBe(get.status);
      expect(head.headers.get("content-length")).toBe(String(size));
      expect(await head.text()).toBe("");
    },
  );

  test.each(["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])("refuse %s", async (method) => {
    const response = await routesOf().ask("/api/status", method);
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("say why they fail, without secrets", async () => {
    const containers = (): Promise<never> => Promise.reject(new Error("no login hunter2"));
    const response = await routesOf({ containers }).ask("/api/containers");
    expect([response.status, await response.text()]).toEqual([500, "no login …\n"]);
  });

  test("answer at most eight requests for the history at once", async () => {
    const { ask } = routesOf({ root: await tempDirectory() });
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask("/api/history")));
    const statuses = answers.map(({ status }) => status);
    expect(statuses).toEqual([...Array(8).fill(200), 503, 503]);
    expect((await ask("/api/history")).status).toBe(200);
  });

  test("answer at most 64 requests at once, and the health check all the same", async () => {
    const { ask } = routesOf();
    const answers = Promise.all(Array.from({ length: 70 }, () => ask("/")));
    expect((await ask("/healthz")).status).toBe(200);
    const statuses = (await answers).map(({ status }) => status);
    expect(statuses).toEqual([...Array(64).fill(200), ...Array(6).fill(503)]);
    expect((await ask("/")).status).toBe(200);
  });

  test("share one call of the engine among concurrent requests", async () => {
    let asked = 0;
    let answer = (): void => {};
    const { ask } = routesOf({
      containers: () => {
        asked += 1;
        return new Promise((resolve) => {
          answer = () => resolve([]);
        });
      },
    });
    const answers = [ask("/api/containers"), ask("/api/containers"), ask("/api/containers")];
    await expect.poll(() => asked).toBe(1);
    answer();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200]);
    const later = ask("/api/containers");
    await expect.poll(() => asked).toBe(2);
    answer();
    expect((await later).status).toBe(200);
  });
});

describe("security headers", () => {
  test.each(["/", "/api/status", "/api/history", "/api/events", "/healthz", "/nothing"])(
    "of %s keep it private",
    async (path) => {
      const { headers } = await routesOf({ root: await tempDirectory() }).ask(path, "GET");
      expect(Object.fromEntries(headers)).toMatchObject({
        "cache-control": "no-store",
        "content-security-policy": expect.stringContaining("frame-ancestors 'none'"),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
      });
      expect(headers.get("access-control-allow-origin")).toBeNull();
    },
  );

  test("of the page allow its own script and style, by a nonce that is new each time", async () => {
    const { ask } = routesOf({ root: await tempDirectory() });
    const pages = await Promise.all([ask("/"), ask("/")]);
    const nonces = await Promise.all(
      pages.map(async (page) => {
        const policy = page.headers.get("content-security-policy") ?? "";
        const [, nonce = ""] = /style-src 'nonce-([\w+/=]{22,})'/.exec(policy) ?? [];
        expect(policy).toContain(`script-src 'nonce-${nonce}'`);
        expect(policy).toContain("default-src 'none'");
        expect(policy).not.toContain("unsafe");
        expect(await page.text()).toContain(`<style nonce="${nonce}"`);
        return nonce;
      }),
    );
    expect(new Set(nonces).size).toBe(2);
  });
});

describe("without a token file", () => {
  const PATHS = ["/", "/api/status", "/api/history", "/api/events"];

  /** What a talkative instance says, over all routes. */
  async function textOf(path: string, isGuarded: boolean): Promise<string> {
    const root = await talkativeJournal();
    const { ask } = routesOf(
      {
        root,
        status: async () => TALKATIVE,
        appLines: async () => ["secret line"],
        ownLines: () => ["secret line of dewy"],
      },
      isGuarded,
    );
    const { body } = await ask(path);
    const reader = body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    await reader?.cancel();
    return new TextDecoder().decode(value);
  }

  async function talkativeJournal(): Promise<string> {
    const root = await tempDirectory();
    await mkdir(join(root, ".dewy"));
    const entry = {
      at: "2026-01-01T10:00:00.000Z",
      event: "failed",
      tag: "v2",
      user: "alice",
      message: "a secret message",
      reason: "the app exited; it wrote: secret line",
      lastLines: ["secret line"],
    };
    await journalFile(root).append([entryLine(entry)], false, () => {});
    return root;
  }

  test.each(PATHS)("%s shows no log line and no operator's message", async (path) => {
    const text = await textOf(path, false);
    expect(text).not.toContain("secret");
    expect(text.length).toBeGreaterThan(40);
  });

  test("the page with one shows the lines without secrets, also if an engine does not answer", async () => {
    const pageOf = async (appLines: AdminSource["appLines"]): Promise<string> => {
      const ownLines = () => ["own line with hunter2"];
      const { ask } = routesOf({ root: await tempDirectory(), appLines, ownLines }, true);
      return await (await ask("/")).text();
    };
    const page = await pageOf(async () => ["app line with hunter2"]);
    expect(page).toContain("app line with …");
    expect(page).toContain("own line with …");
    const without = await pageOf(() => Promise.reject(new Error("no engine")));
    expect(without).toContain("own line with …");
  });

  test.each(["/api/status", "/api/history"])("%s shows both with one", async (path) => {
    const text = await textOf(path, true);
    expect(text).toContain("secret line");
    expect(text).toContain("a secret message");
  });
});
