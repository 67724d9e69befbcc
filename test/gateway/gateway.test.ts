import { describe, expect, test } from "vitest";
import { CredentialError, RemoteError } from "../../src/core/error.ts";
import type { Artifact } from "../../src/core/types.ts";
import { LINK_LIFETIME_MS } from "../../src/gateway/artifact_link.ts";
import { fakeUpstream, gatewayWorld, MAX_STALE_MS, ORIGIN, question } from "./world.ts";

const { signal } = new AbortController();

async function current(
  world: ReturnType<typeof gatewayWorld>,
  parts: Parameters<typeof question>[0] = {},
): Promise<unknown> {
  return world.gateway.current(question(parts));
}

describe("an answer of the gateway", () => {
  test("has the release, and a URL of the gateway for the artifact", async () => {
    const sha256 = "ab".repeat(32);
    const world = gatewayWorld();
    world.upstream.stated = { digest: `sha256:${sha256}`, size: 10 };
    expect(await current(world)).toEqual({
      id: "id of v1.0.0",
      tag: "v1.0.0",
      createdAt: new Date("2026-01-01T00:00:00Z"),
      artifactUrl: expect.stringMatching(
        new RegExp(
          `^${ORIGIN}/artifacts/v1\\.0\\.0/app_linux_amd64\\.tar\\.gz\\?.*#sha256=${sha256}$`,
        ),
      ),
    });
    expect(await world.address()).not.toContain("private");
  });

  test("has another URL when the bytes are replaced under the same tag", async () => {
    const { address, upstream, gateway } = gatewayWorld();
    const first = await address();
    upstream.stated = { ...upstream.stated, revision: "secret-path-2" };
    gateway.expire();
    expect(await address()).not.toBe(first);
  });

  test("has the public URL if one is configured", async () => {
    const { address } = gatewayWorld({ publicUrl: "https://registry.example.com/dewy" });
    expect(await address()).toMatch(/^https:\/\/registry\.example\.com\/dewy\/artifacts\//);
  });

  test("has the upstream's URL with direct downloads", async () => {
    const { address, gateway } = gatewayWorld({ direct: true });
    const url = await address();
    expect(url).toBe("file:///private/v1.0.0/app_linux_amd64.tar.gz");
    expect(await gateway.fetch(new Request(`${ORIGIN}/artifacts/a/b`))).toBeUndefined();
  });

  describe.each([
    ["signed", false],
    ["direct", true],
  ])("by name, with %s URLs,", (_, direct) => {
    const artifact = "app_linux_arm64.tar.gz";

    test("is that artifact on every platform, and never another", async () => {
      const world = gatewayWorld({ direct });
      expect(await world.address()).toContain("/app_linux_amd64.tar.gz");
      expect(await world.address({ artifact })).toContain(`/${artifact}`);
      expect(await world.address()).toContain("/app_linux_amd64.tar.gz");
      for (const missing of ["no-such-file", "late"]) {
        await expect(current(world, { artifact: missing })).rejects.toMatchObject({
          code: "not-found",
          message: `v1.0.0 has no artifact "${missing}"`,
        });
      }
      world.upstream.tag = undefined;
      world.gateway.expire();
      expect(await current(world, { artifact })).toBeUndefined();
    });

    test("is not found if the upstream registry chooses by itself and chose another", async () => {
      const upstream = fakeUpstream({ anyPlatform: false });
      const world = gatewayWorld({ direct, open: () => upstream.registry });
      await expect(current(world, { artifact })).rejects.toMatchObject({ code: "not-found" });
      expect(await world.address({ artifact: "app_linux_amd64.tar.gz" })).toContain("amd64");
    });
  });

  test("has URLs for the small files of the release, which can prove who has made it", async () => {
    const { gateway, upstream, get } = gatewayWorld();
    const file = (name: string, size?: number): Artifact => ({
      name,
      url: `file:///private/v1.0.0/${name}`,
      ...(size === undefined ? {} : { size }),
    });
    upstream.files = [
      file("app.tar.gz", 5 * 2 ** 20),
      file("app.tar.gz.minisig", 10),
      file("SUMS"),
    ];
    const { fileUrls = [] } = (await gateway.current(question())) ?? {};
    expect(fileUrls.map((url) => new URL(url).pathname)).toEqual([
      "/artifacts/v1.0.0/app.tar.gz.minisig",
      "/artifacts/v1.0.0/SUMS",
    ]);
    expect(await (await get(fileUrls[0] ?? "")).text()).toBe("0123456789");
    expect(upstream.opened).toMatchObject([{ artifact: { name: "app.tar.gz.minisig" } }]);
  });

  test("stays the same while nothing changes", async () => {
    const { address, clock } = gatewayWorld();
    clock.advance(LINK_LIFETIME_MS - (clock.now() % LINK_LIFETIME_MS));
    const first = await address();
    clock.advance(LINK_LIFETIME_MS - 1);
    expect(await address()).toBe(first);
  });

  test("is only a tag while the artifact is missing, and empty without a version", async () => {
    const world = gatewayWorld();
    expect(await current(world, { os: "plan9" })).toEqual({ id: "", tag: "v1.0.0" });
    expect(await current(world, { os: "aix" })).toEqual({ id: "", tag: "v1.0.0" });
    world.upstream.tag = undefined;
    world.gateway.expire();
    expect(await current(world)).toBeUndefined();
    expect(world.events).toContainEqual(expect.objectContaining({ type: "nothing" }));
  });

  test("with notes on the choice is logged once", async () => {
    const world = gatewayWorld();
    const { resolve: ask } = world.upstream.registry;
    world.upstream.registry.resolve = async (options) => {
      const resolution = await ask(options);
      return resolution.kind === "ready" ? { ...resolution, notes: ["2 files fit"] } : resolution;
    };
    await current(world);
    world.gateway.expire();
    await current(world);
    expect(world.events.filter(({ type }) => type === "artifact-chosen")).toEqual([
      {
        type: "artifact-chosen",
        tag: "v1.0.0",
        artifact: "app_linux_amd64.tar.gz",
        notes: ["2 files fit"],
      },
    ]);
  });

  test("reports a failure of the upstream without its message", async () => {
    const world = gatewayWorld();
    world.upstream.failure = new CredentialError("s3://private-bucket refused AKIA");
    const failed = current(world);
    await expect(failed).rejects.toMatchObject({
      code: "remote",
      message: "The upstream registry is unavailable",
    });
  });
});

describe("a download from the gateway", () => {
  test("works without a token, and has the upstream's bytes", async () => {
    const { address, get, upstream, events } = gatewayWorld({ token: "secret" });
    const response = await get(await address());
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-length": "10",
      "accept-ranges": "bytes",
      etag: expect.stringMatching(/^"[\w-]+"$/),
    });
    expect(await response.text()).toBe("0123456789");
    expect(upstream.opened).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ type: "artifact-sent", bytes: 10, isComplete: true });
  });

  test.each([
    ["bytes=2-4", 206, "234", "bytes 2-4/10"],
    ["bytes=7-", 206, "789", "bytes 7-9/10"],
    ["bytes=-2", 206, "89", "bytes 8-9/10"],
    ["bytes=8-99", 206, "89", "bytes 8-9/10"],
    ["bytes=10-", 416, "", "bytes */10"],
    ["bytes=0-1,3-4", 200, "0123456789", null],
    ["bytes=4-2", 200, "0123456789", null],
    ["lines=1-2", 200, "0123456789", null],
  ])("of %s is %i %s", async (range, status, text, contentRange) => {
    const { address, get, events } = gatewayWorld();
    const response = await get(await address(), { headers: { range } });
    expect([response.status, response.headers.get("content-range")]).toEqual([
      status,
      contentRange,
    ]);
    expect(await response.text()).toBe(text);
    if (status === 206)
      expect(events.at(-1)).toMatchObject({ bytes: text.length, isComplete: true });
  });

  test("honours If-None-Match, If-Match and If-Range", async () => {
    const { address, get, upstream } = gatewayWorld();
    const url = await address();
    const etag = (await get(url, { method: "HEAD" })).headers.get("etag") ?? "";
    expect((await get(url, { headers: { "if-none-match": `"x", W/${etag}` } })).status).toBe(304);
    expect((await get(url, { headers: { "if-match": '"x"' } })).status).toBe(412);
    expect(upstream.opened).toEqual([]);
    const range = "bytes=5-";
    expect((await get(url, { headers: { range, "if-range": etag } })).status).toBe(206);
    expect((await get(url, { headers: { range, "if-range": '"x"' } })).status).toBe(200);
  });

  test("of an unknown size is sent whole", async () => {
    const world = gatewayWorld();
    world.upstream.stated = {};
    const response = await world.get(await world.address(), { headers: { range: "bytes=2-" } });
    expect([response.status, response.headers.get("content-length")]).toEqual([200, null]);
    expect(await response.text()).toBe("0123456789");
  });

  test("fails when the upstream has fewer or more bytes than it listed", async () => {
    for (const size of [9, 11]) {
      const world = gatewayWorld();
      world.upstream.stated = { size };
      const response = await world.get(await world.address());
      await expect(response.text()).rejects.toThrow("than the");
      expect(world.events.at(-1)).toMatchObject({ type: "artifact-sent", isComplete: false });
    }
  });

  test("reads no further than the client takes", async () => {
    const world = gatewayWorld();
    let pulled = 0;
    let isCancelled = false;
    world.upstream.stated = { size: 1000 };
    world.upstream.registry.open = async () =>
      new ReadableStream(
        {
          pull: (controller) => {
            pulled += 1;
            controller.enqueue(new Uint8Array(10));
          },
          cancel: () => {
            isCancelled = true;
          },
        },
        { highWaterMark: 0 },
      );
    const response = await world.get(await world.address());
    const reader = response.body?.getReader();
    await reader?.read();
    expect(pulled).toBe(1);
    await reader?.cancel();
    expect(isCancelled).toBe(true);
    expect(world.events.at(-1)).toMatchObject({ bytes: 10, isComplete: false });
  });

  test.each([
    ["another version", (url: string) => url.replace("/v1.0.0/", "/v2.0.0/")],
    ["another file", (url: string) => url.replace("app_", "../../etc/passwd_")],
    ["another machine", (url: string) => url.replace("amd64&", "arm64&")],
    ["other bytes", (url: string) => url.replace("revision=", "revision=x")],
    ["a longer time", (url: string) => url.replace(/expires=(\d+)/, "expires=9$1")],
    ["another signature", (url: string) => url.replace(/signature=.../, "signature=abc")],
    ["no signature", (url: string) => url.replace(/&signature=[^#]*/, "")],
    ["a signature in another spelling", respell],
    ["a second signature", (url: string) => `${url}&signature=${"A".repeat(43)}`],
    ["a second machine", (url: string) => `${url}&platform=linux%2Farm64`],
    ["another parameter", (url: string) => `${url}&x=1`],
    ["no name", () => `${ORIGIN}/artifacts/`],
    ["a broken name", () => `${ORIGIN}/artifacts/%ff/%00`],
  ])("with %s is refused", async (_, change) => {
    const { address, get, upstream } = gatewayWorld();
    const url = change(await address());
    const response = await get(url).catch((error: Error) => error.message);
    // A path that leads elsewhere is not an artifact path at all.
    if (typeof response === "string") expect(response).toContain("nothing at");
    else expect(response.status).toBe(403);
    expect(upstream.opened).toEqual([]);
  });

  test("expires", async () => {
    const { address, get, clock } = gatewayWorld();
    const url = await address();
    clock.advance(LINK_LIFETIME_MS - 1);
    expect((await get(url)).status).toBe(200);
    clock.advance(LINK_LIFETIME_MS + 1);
    const response = await get(url);
    expect([response.status, await response.text()]).toEqual([
      403,
      expect.stringContaining("expired"),
    ]);
  });

  test("works at another gateway with the same key, and not with another", async () => {
    const url = await gatewayWorld().address();
    expect((await gatewayWorld().get(url)).status).toBe(200);
    const named = await gatewayWorld().address({ artifact: "app.zip" });
    expect((await gatewayWorld().get(named)).status).toBe(200);
    const other = gatewayWorld({ secret: new Uint8Array(32).fill(8) });
    expect((await other.get(url)).status).toBe(403);
    const newer = gatewayWorld();
    newer.upstream.tag = "v2.0.0";
    expect((await newer.get(url)).status).toBe(404);
  });

  test("of the previous version keeps working when the next one is out", async () => {
    const { address, get, upstream, gateway } = gatewayWorld();
    const url = await address();
    upstream.tag = "v2.0.0";
    gateway.expire();
    expect(await address()).toContain("/v2.0.0/");
    expect((await get(url)).status).toBe(200);
  });

  test("must be a GET or a HEAD", async () => {
    const { address, get } = gatewayWorld();
    expect((await get(await address(), { method: "PUT" })).status).toBe(405);
  });

  test("reports a failure of the upstream without its message", async () => {
    const world = gatewayWorld();
    const url = await world.address();
    world.upstream.registry.open = () => Promise.reject(new Error("disk /private failed"));
    const response = await world.get(url);
    expect([response.status, await response.text()]).toEqual([
      502,
      "The upstream registry is unavailable\n",
    ]);
  });

  test("is refused with Retry-After when too many run", async () => {
    const { address, get } = gatewayWorld();
    const url = await address();
    const running = await Promise.all(Array.from({ length: 256 }, () => get(url)));
    const refused = await get(url);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
    await running[0]?.body?.cancel();
    expect((await get(url)).status).toBe(200);
  });
});

describe("downloads from the gateway", () => {
  test("are counted from the request on, even while the upstream is slow", async () => {
    const { address, get, upstream } = gatewayWorld();
    const url = await address();
    const { open } = upstream.registry;
    const gate = new AbortController();
    let opened = 0;
    upstream.registry.open = async (...parts) => {
      opened += 1;
      await new Promise((resolve) => gate.signal.addEventListener("abort", resolve));
      return open(...parts);
    };
    const answers = Array.from({ length: 1000 }, () => get(url));
    await expect.poll(() => opened).toBeGreaterThanOrEqual(256);
    const refused = await get(url);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
    gate.abort();
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(256);
    expect(statuses.filter((status) => status === 503)).toHaveLength(744);
  });

  test("time out when the upstream does not start to answer", async () => {
    const { address, get, upstream, clock } = gatewayWorld();
    const url = await address();
    const { open } = upstream.registry;
    let opened = 0;
    upstream.registry.open = () => {
      opened += 1;
      return new Promise(() => {});
    };
    const silent = Array.from({ length: 256 }, () => get(url));
    await expect.poll(() => opened).toBe(256);
    expect((await get(url)).status).toBe(503);
    await clock.sleeping(60_000);
    clock.advance(60_000);
    for (const response of await Promise.all(silent)) expect(response.status).toBe(504);
    upstream.registry.open = open;
    expect((await get(url)).status).toBe(200);
  });

  test("release their slot when they fail or have no body", async () => {
    const { address, get, upstream } = gatewayWorld();
    const url = await address();
    const { open } = upstream.registry;
    for (let index = 0; index < 300; index += 1) {
      upstream.registry.open = () => Promise.reject(new Error("down"));
      expect((await get(url)).status).toBe(502);
      upstream.registry.open = open;
      expect((await get(url, { method: "HEAD" })).status).toBe(200);
      await (await get(url)).body?.cancel();
    }
  });
});

describe("a report", () => {
  const report = {
    id: "id of v1.0.0",
    tag: "v1.0.0",
    command: "assets",
    error: undefined,
    address: "192.0.2.7",
  };

  test("is passed to the upstream registry, with the machine that sent it", async () => {
    const world = gatewayWorld();
    await current(world);
    await world.gateway.report({ ...report, error: "exit 1" }, signal);
    expect(world.upstream.reports).toEqual([
      {
        id: "id of v1.0.0",
        tag: "v1.0.0",
        command: "assets",
        host: "192.0.2.7",
        at: new Date(world.clock.now()),
        nanoseconds: expect.any(Number),
        error: "exit 1",
      },
    ]);
    expect(world.events.at(-1)).toMatchObject({ type: "deploy-reported", error: "exit 1" });
  });

  test("is accepted and warned of once if the upstream registry will never take it", async () => {
    const world = gatewayWorld();
    await current(world);
    world.upstream.registry.report = async () => {
      throw new CredentialError("only s3:GetObject");
    };
    await world.gateway.report(report, signal);
    await world.gateway.report(report, signal);
    const warnings = world.events.filter(({ type }) => type === "warning");
    expect(warnings).toMatchObject([{ fields: { reason: "only s3:GetObject" } }]);
  });

  test("is refused while the upstream registry is down, so that the machine retries", async () => {
    const world = gatewayWorld();
    await current(world);
    world.upstream.registry.report = async () => {
      throw new RemoteError("HTTP 503");
    };
    await expect(world.gateway.report(report, signal)).rejects.toMatchObject({ retryable: true });
  });

  test.each([[{ tag: "../../etc/cron.d/x" }], [{ tag: "v9.9.9" }], [{ id: "another" }]])(
    "on a version that was never answered is refused: %j",
    async (parts) => {
      const world = gatewayWorld();
      await current(world);
      const sent = world.gateway.report({ ...report, ...parts }, signal);
      await expect(sent).rejects.toMatchObject({ code: "not-found" });
      expect(world.upstream.reports).toEqual([]);
    },
  );
});

describe("the gateway's health and metrics", () => {
  test("show the polls and the shutdown", async () => {
    const world = gatewayWorld();
    const health = async (): Promise<unknown[]> => {
      const response = await world.get(`${ORIGIN}/healthz`);
      return [response.status, (await response.json()).status];
    };
    expect(await health()).toEqual([200, "idle"]);
    await current(world);
    expect(await health()).toEqual([200, "ok"]);
    world.upstream.failure = new Error("down");
    world.clock.advance(MAX_STALE_MS);
    await current(world);
    expect(await health()).toEqual([200, "stale"]);
    world.clock.advance(MAX_STALE_MS);
    await expect(current(world)).rejects.toThrow();
    expect(await health()).toEqual([503, "failing"]);
    const metrics = await (await world.get(`${ORIGIN}/metrics`)).text();
    expect(metrics).toContain("\ndewy_gateway_upstream_failures_total 2\n");
    expect(metrics).toContain("\ndewy_gateway_stale_answers_total 1\n");
    world.stopping.abort();
    expect(await health()).toEqual([503, "stopping"]);
  });

  test("are public, but metrics require the token if there is one", async () => {
    const { get } = gatewayWorld({ token: "secret" });
    expect((await get(`${ORIGIN}/healthz`)).status).toBe(200);
    expect((await get(`${ORIGIN}/metrics`)).status).toBe(401);
    const headers = { authorization: "Bearer secret" };
    expect((await get(`${ORIGIN}/metrics`, { headers })).status).toBe(200);
  });
});

/** Sets one of the two bits that the last character of base64 leaves over. */
function respell(url: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return url.replace(/(signature=.{42})(.)/, (_, start: string, last: string) => {
    return start + alphabet.charAt(alphabet.indexOf(last) + 1);
  });
}
