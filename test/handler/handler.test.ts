import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createHandler } from "../../src/handler/mod.ts";
import { fakeClock } from "../fakes/clock.ts";
import { status } from "../fakes/github_fault.ts";
import { fetchOf } from "../fakes/handler.ts";
import { fakeOci } from "../fakes/oci.ts";
import { fakeS3 } from "../fakes/s3.ts";
import { type JsonSchema, schemaProblems } from "../support/json_schema.ts";
import { handlerWorld, NAME, NOW } from "./world.ts";

const SCHEMA: JsonSchema = JSON.parse(
  readFileSync(new URL("../../docs/reference/handler.schema.json", import.meta.url), "utf8"),
);
const BYTES = "the bytes of v1.0.0";
const DIGEST = createHash("sha256").update(BYTES).digest("hex");

describe("/latest", () => {
  test.each(["/latest", "/app/latest", "/latest?registry=app", "/latest?registry=ghr://acme/app"])(
    "answers %s with the newest version and its digest, as the schema says",
    async (path) => {
      const { ask } = handlerWorld();
      const response = await ask(path);
      const body = await response.json();
      expect(body).toMatchObject({
        ...{ schema: 1, kind: "ready", platform: "linux-amd64", tag: "v1.0.0" },
        createdAt: "2026-06-01T12:00:00.000Z",
        artifact: { name: NAME, size: BYTES.length, digest: `sha256:${DIGEST}` },
        files: [{ name: NAME }, { name: `${NAME}.sig` }],
      });
      expect(schemaProblems(SCHEMA, body)).toEqual([]);
      const url = new URL(body.artifact.url, `https://versions.test${path}`);
      expect((await ask(url.pathname + url.search)).status).toBe(302);
    },
  );

  test("answers for the platform of the question, and refuses an invalid one", async () => {
    const { ask, github } = handlerWorld();
    github.addAsset("v1.0.0", { name: "app_darwin_arm64.tar.gz" });
    const names = await Promise.all(
      ["linux-amd64", "linux/x64", "darwin-arm64", "windows-amd64"].map(
        async (platform) =>
          (await (await ask(`/latest?platform=${platform}`)).json()).artifact?.name,
      ),
    );
    expect(names).toEqual([NAME, NAME, "app_darwin_arm64.tar.gz", undefined]);
    expect((await ask("/latest?platform=linux")).status).toBe(400);
  });

  test("states that a version is pending, and that there is none", async () => {
    const { ask, github, clock } = handlerWorld();
    github.publish("v1.1.0");
    const pending = await (await ask("/latest")).json();
    expect(pending).toMatchObject({
      ...{ kind: "pending", tag: "v1.1.0", reason: "artifact-missing" },
      createdAt: "2026-06-01T12:00:00.000Z",
    });
    clock.advance(31 * 60_000);
    const none = await (await ask("/latest")).json();
    expect(none).toMatchObject({ kind: "none", tag: "v1.1.0", reason: "artifact-missing" });
    for (const body of [pending, none]) expect(schemaProblems(SCHEMA, body)).toEqual([]);
  });

  test("has a strong ETag, and 304 for those who have the answer", async () => {
    const { ask, github, clock } = handlerWorld();
    const first = await ask("/latest");
    const etag = first.headers.get("etag") ?? "";
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    for (const known of [etag, `"other", W/${etag}`, "*"]) {
      const again = await ask("/latest", { headers: { "if-none-match": known } });
      expect([again.status, await again.text()]).toEqual([304, ""]);
      expect(again.headers.get("etag")).toBe(etag);
    }
    github.publish("v1.1.0", [{ name: NAME }]);
    clock.advance(60_000);
    expect((await ask("/latest", { headers: { "if-none-match": etag } })).status).toBe(200);
  });

  test("may be cached for a minute, used for ten more, and read by any page", async () => {
    const { headers } = await handlerWorld().ask("/latest");
    expect(headers.get("cache-control")).toBe("public, max-age=60, stale-while-revalidate=600");
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("access-control-expose-headers")).toContain("etag");
    expect(headers.get("content-type")).toBe("application/json; charset=utf-8");
    const strict = await handlerWorld({ cors: false, maxAgeSeconds: 5 }).ask("/latest");
    expect(strict.headers.get("access-control-allow-origin")).toBeNull();
    expect(strict.headers.get("cache-control")).toContain("max-age=5,");
  });
});

describe("the registry", () => {
  test("is asked once by twenty at once, and once a minute", async () => {
    const { ask, github, clock } = handlerWorld();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask("/latest")));
    expect(answers.map((response) => response.status)).toEqual(Array(20).fill(200));
    const calls = github.calls.length;
    await ask("/latest");
    await ask("/badge.svg");
    expect(github.calls).toHaveLength(calls);
    clock.advance(60_000);
    await ask("/latest");
    expect(github.calls.length).toBeGreaterThan(calls);
    expect(new Set(github.calls.slice(0, calls).map(({ call }) => call)).size).toBe(calls);
  });

  test("is asked with conditions: what is unchanged costs nothing of its rate limit", async () => {
    const { ask, github, clock } = handlerWorld();
    await ask("/latest");
    const calls = github.calls.length;
    clock.advance(60_000);
    await ask("/latest");
    const again = github.calls.slice(calls);
    expect(again.length).toBeGreaterThan(0);
    expect(again.filter(({ counted }) => counted)).toEqual([]);
  });

  test("that fails is covered by the last answer for ten minutes", async () => {
    const { ask, github, clock } = handlerWorld();
    await ask("/latest");
    github.inject(/.*/, status(403), Number.POSITIVE_INFINITY);
    clock.advance(10 * 60_000);
    expect(await (await ask("/latest")).json()).toMatchObject({ tag: "v1.0.0" });
    clock.advance(60_000);
    expect((await ask("/latest")).status).toBe(502);
  });

  test("is asked in the background where the runtime can wait for it", async () => {
    const background: Promise<unknown>[] = [];
    const { ask, github, clock } = handlerWorld({ waitUntil: (work) => background.push(work) });
    await ask("/latest");
    github.publish("v1.1.0", [{ name: NAME }]);
    clock.advance(60_000);
    expect(await (await ask("/latest")).json()).toMatchObject({ tag: "v1.0.0" });
    await Promise.all(background);
    expect(await (await ask("/latest")).json()).toMatchObject({ tag: "v1.1.0" });
  });

  test("that refuses for a while is not asked again before that", async () => {
    const { ask, github, clock } = handlerWorld();
    github.useUp("ghp_writer", 0);
    const response = await ask("/latest");
    expect(response.status).toBe(429);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(3_000);
    expect((await response.json()).error).toMatchObject({ code: "rate-limited", retryable: true });
    const calls = github.calls.length;
    clock.advance(60_000);
    expect((await ask("/latest")).status).toBe(429);
    expect(github.calls).toHaveLength(calls);
  });

  test("that refuses its credentials is a 502 with the reason, without secrets", async () => {
    const { ask } = handlerWorld({ token: "ghp_t0psecret" });
    const response = await ask("/latest");
    expect(response.status).toBe(502);
    const text = await response.text();
    expect(JSON.parse(text).error).toMatchObject({ code: "credential" });
    expect(text).toMatch(/Cannot GET https:\/\/api\.github\.test\/.*credentials/);
    expect(text).not.toContain("t0psecret");
    expect(response.headers.get("cache-control")).toBe("no-store");
  });

  test("that never answers is a 504", async () => {
    const { ask, clock } = handlerWorld({
      fetch: (_, init) =>
        new Promise((_resolve, reject) => {
          init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
        }),
    });
    const asked = ask("/latest");
    await clock.sleeping(10_000);
    clock.advance(10_000);
    expect((await asked).status).toBe(504);
  });

  test("is not waited for by those who joined a request that the runtime has dropped", async () => {
    let isDropped = true;
    const { github, ask, clock } = handlerWorld({
      // Neither answers nor reacts to its signal, like the work of a request whose client has gone.
      fetch: (input, init) => (isDropped ? new Promise(() => {}) : github.fetch(input, init)),
      timeoutMs: 1_000_000_000,
    });
    const dropped = ask("/latest");
    dropped.catch(() => {});
    await clock.sleeping(2_000_000_000);
    isDropped = false;
    clock.advance(1_000_000_000);
    expect((await ask("/latest")).status).toBe(200);
  });

  test("is asked again for other platforms if its listing has been dropped", async () => {
    let isDropped = true;
    const { github, ask, clock } = handlerWorld({
      fetch: (input, init) => (isDropped ? new Promise(() => {}) : github.fetch(input, init)),
      maxAgeSeconds: 2_000_000,
      timeoutMs: 1_000_000_000,
    });
    ask("/latest?platform=linux-arm64").catch(() => {});
    await clock.sleeping(2_000_000_000);
    isDropped = false;
    clock.advance(1_000_000_000);
    expect((await ask("/latest")).status).toBe(200);
    const calls = github.calls.length;
    clock.advance(1_000_000_000 - 1);
    expect((await ask("/latest?platform=darwin-arm64")).status).toBe(200);
    expect(github.calls).toHaveLength(calls);
  });

  test("that never answers a request of another client is a timeout", async () => {
    const { ask, clock } = handlerWorld({ fetch: () => new Promise(() => {}), timeoutMs: 1_000 });
    const asked = [ask("/latest"), ask("/latest")];
    await clock.sleeping(2_000);
    clock.advance(2_000);
    for (const response of await Promise.all(asked)) expect(response.status).toBe(504);
  });

  test("that fails is asked again after five seconds, not before", async () => {
    const { ask, github, clock } = handlerWorld();
    github.inject(/.*/, status(403));
    expect((await ask("/latest")).status).toBe(502);
    const calls = github.calls.length;
    clock.advance(4_999);
    expect((await ask("/latest")).status).toBe(502);
    expect(github.calls).toHaveLength(calls);
    clock.advance(1);
    expect((await ask("/latest")).status).toBe(200);
  });

  test("whose failure names no length of a pause is a 429 for a minute", async () => {
    const { ask } = handlerWorld({
      registries: { app: "https://upstream.test/app" },
      fetch: fetchOf(() => new Response("", { status: 429 })),
      clock: fakeClock({ now: NOW, skipUpTo: 9_000 }),
    });
    const response = await ask("/latest");
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "60"]);
    const down = handlerWorld({ token: "wrong" });
    expect((await down.ask("/latest")).headers.has("retry-after")).toBe(false);
  });

  test("an unexpected error does not show", async () => {
    const { ask } = handlerWorld({
      onError: () => {},
      registries: () => {
        throw new Error("s3cret");
      },
    });
    const response = await ask("/app/latest");
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("s3cret");
  });
});

describe("a request", () => {
  test("with HEAD has the headers without the body", async () => {
    const { ask } = handlerWorld();
    const [get, head] = [await ask("/latest"), await ask("/latest", { method: "HEAD" })];
    expect(Object.fromEntries(head.headers)).toEqual(Object.fromEntries(get.headers));
    expect(await head.text()).toBe("");
  });

  test("with OPTIONS learns what is allowed, and a page may send conditions", async () => {
    const response = await handlerWorld().ask("/latest", { method: "OPTIONS" });
    expect(response.status).toBe(204);
    expect(response.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
    expect(response.headers.get("access-control-allow-headers")).toContain("if-none-match");
  });

  test.each(["POST", "PUT", "DELETE"])("with %s is a 405 that names the others", async (method) => {
    const response = await handlerWorld().ask("/latest", { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
    expect((await response.json()).error.message).toContain("method not allowed");
  });

  test.each(["/", "/app", "/latest/x/y", "/download", "/app/versions.html", "//latest"])(
    "for %s is a 404 in JSON",
    async (path) => {
      const response = await handlerWorld().ask(path);
      expect(response.status).toBe(404);
      expect((await response.json()).error.code).toBe("not-found");
    },
  );

  test("may name a registry with several parts, or with dots in its name", async () => {
    const registries = {
      "a/b": "ghr://acme/app",
      ".config": "ghr://acme/app",
      "c.": "ghr://acme/app",
    };
    const { ask } = handlerWorld({ registries });
    for (const path of ["/a/b/latest", "/.config/latest", "/c./latest"]) {
      expect((await ask(path)).status, path).toBe(200);
    }
    expect((await ask("/ab/latest")).status).toBe(404);
  });

  test("finds the handler below the path where it is mounted, and nowhere else", async () => {
    const { ask } = handlerWorld({ basePath: "/api/versions/" });
    expect((await ask("/api/versions/app/latest")).status).toBe(200);
    expect((await ask("/app/latest")).status).toBe(404);
    expect((await ask("/api/versionsapp/latest")).status).toBe(404);
  });

  test("must name one of several registries", async () => {
    const { ask } = handlerWorld({ registries: { app: "ghr://acme/app", other: "ghr://acme/x" } });
    const response = await ask("/latest");
    expect([response.status, (await response.json()).error.message]).toEqual([
      400,
      expect.stringContaining("?registry=NAME"),
    ]);
    expect((await ask("/app/latest")).status).toBe(200);
  });

  test("names a registry that a function knows; without a name it gets an empty one", async () => {
    const names: string[] = [];
    const { ask } = handlerWorld({
      registries: async (name) => {
        names.push(name);
        return name === "team/app" || name === "" ? "ghr://acme/app" : undefined;
      },
    });
    expect((await ask("/team/app/latest")).status).toBe(200);
    expect((await ask("/latest")).status).toBe(200);
    expect((await ask("/other/latest")).status).toBe(404);
    expect(names).toEqual(["team/app", "", "other"]);
    for (const name of ["a".repeat(257), "a\nb"]) {
      const response = await ask(`/latest?registry=${encodeURIComponent(name)}`);
      expect([response.status, names.length]).toEqual([404, 3]);
    }
    const { error } = await (await ask("/other/latest")).json();
    expect(error).toEqual({ code: "not-found", message: expect.stringContaining("unknown") });
    const none = handlerWorld({ registries: () => undefined });
    expect((await none.ask("/latest")).status).toBe(400);
    expect((await handlerWorld({ registries: {} }).ask("/latest")).status).toBe(400);
  });

  test("needs a token where reading does, and its answer stays out of shared caches", async () => {
    const { ask } = handlerWorld({ readToken: "read-t0ken" });
    const refused = await ask("/latest", { headers: { authorization: "Bearer wrong" } });
    expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    const headers = { authorization: "Bearer read-t0ken" };
    const response = await ask("/latest", { headers });
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toMatch(/^private,/);
  });
});

describe("/badge", () => {
  test("is an image with the newest version", async () => {
    const response = await handlerWorld().ask("/app/badge.svg");
    expect(response.headers.get("content-type")).toBe("image/svg+xml; charset=utf-8");
    expect(await response.text()).toMatch(/^<svg .*<title>app: v1\.0\.0<\/title>.*<\/svg>$/);
  });

  test("is as wide as its text, and has the colour of its state", async () => {
    const svg = await (await handlerWorld().ask("/badge.svg?label=WWi%3C")).text();
    const width = (x: number): string => `<rect x="${x}"`;
    // 2 wide, 1 narrow and 1 other character; v1.0.0 has 2 narrow ones.
    expect(svg).toContain('width="90" height="20" role="img" aria-label="WWi&#60;: v1.0.0"');
    expect(svg).toContain('<rect width="43" height="20" fill="#555"/>');
    expect(svg).toContain(`${width(43)} width="47" height="20" fill="#007ec6"/>`);
    expect(svg).toContain('<text x="21.5" y="14">WWi&#60;</text><text x="66.5" y="14">v1.0.0');
    const none = await (await handlerWorld({ constraint: ">=9" }).ask("/badge.svg")).text();
    expect(none).toContain('fill="#9f9f9f"');
    const pending = handlerWorld();
    pending.github.publish("v1.1.0");
    expect(await (await pending.ask("/badge.json")).json()).toMatchObject({
      ...{ message: "v1.1.0", color: "blue" },
    });
  });

  test("is the JSON of shields' endpoint, also for a pre-release and for nothing", async () => {
    const { ask } = handlerWorld();
    const response = await ask("/badge.json?label=latest");
    expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(await response.json()).toEqual({
      ...{ schemaVersion: 1, label: "latest", message: "v1.0.0", color: "blue" },
      cacheSeconds: 60,
    });
    const early = handlerWorld({ preRelease: true });
    early.github.publish("v2.0.0-rc.1", [{ name: NAME }], { preRelease: true });
    expect(await (await early.ask("/badge.json")).json()).toMatchObject({
      ...{ message: "v2.0.0-rc.1", color: "orange" },
    });
    const none = await handlerWorld({ constraint: ">=9" }).ask("/badge.json");
    expect(await none.json()).toMatchObject({ message: "none", color: "lightgrey" });
  });

  test("stays an image while the registry fails, and only for a short time", async () => {
    const response = await handlerWorld({ token: "wrong" }).ask("/badge.svg");
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("unavailable");
    expect(response.headers.get("cache-control")).toBe("public, max-age=30");
  });
});

describe("/explain", () => {
  test("explains every tag except drafts, in the form of the schema", async () => {
    const { ask, github } = handlerWorld();
    github.publish("v2.0.0-rc.1");
    github.publish("v9.0.0", [], { draft: true });
    const body = await (await ask("/explain")).json();
    expect(body.tags).toEqual([
      { tag: "v2.0.0-rc.1", chosen: false, reason: expect.stringContaining("pre-release") },
      { tag: "v1.0.0", chosen: true, reason: expect.any(String) },
    ]);
    expect(body.artifacts).toMatchObject([{ name: NAME, chosen: true }, { chosen: false }]);
    expect(schemaProblems(SCHEMA, body)).toEqual([]);
    expect(await (await ask("/latest")).json()).not.toHaveProperty("tags");
    expect(await (await ask("/explain")).json()).toEqual(body);
  });

  test("can be turned off", async () => {
    expect((await handlerWorld({ explain: false }).ask("/explain")).status).toBe(404);
  });
});

describe("/download", () => {
  const PATH = "/app/download/linux-amd64";

  test("redirects to an address that needs no token, which is asked for once a minute", async () => {
    const { ask, github, clock } = handlerWorld();
    const response = await ask(PATH);
    expect([response.status, response.headers.get("cache-control")]).toEqual([302, "no-store"]);
    const location = response.headers.get("location") ?? "";
    expect(location).toMatch(/^https:\/\/objects\.github\.test\/storage\/\d+\?.*sig=/);
    expect(await (await github.fetch(location)).text()).toBe(BYTES);
    const calls = github.calls.length;
    expect((await ask(PATH)).headers.get("location")).toBe(location);
    expect(github.calls).toHaveLength(calls);
    clock.advance(60_000);
    expect((await ask(PATH)).status).toBe(302);
    expect(github.calls.some(({ call }, at) => at >= calls && call.includes("assets"))).toBe(true);
    const other = await ask(`${PATH}?file=${NAME}.sig`);
    expect(other.headers.get("location")).not.toBe(location);
  });

  test("streams with the digest where redirects are off, and honours ranges", async () => {
    const { ask } = handlerWorld({ redirect: false });
    const response = await ask(PATH);
    expect(response.headers.get("repr-digest")).toBe(
      `sha-256=:${Buffer.from(DIGEST, "hex").toString("base64")}:`,
    );
    expect(response.headers.get("cache-control")).toContain("public, max-age=60");
    expect(await response.text()).toBe(BYTES);
    const part = await ask(PATH, { headers: { range: "bytes=4-8" } });
    expect([part.status, await part.text()]).toEqual([206, BYTES.slice(4, 9)]);
    const etag = response.headers.get("etag") ?? "";
    const same = await ask(PATH, { headers: { "if-none-match": etag } });
    expect(same.status).toBe(304);
    const other = await ask(`${PATH}?file=${NAME}.sig`, { headers: { "if-none-match": etag } });
    expect(other.status).toBe(200);
    const head = await ask(PATH, { method: "HEAD" });
    expect([head.headers.get("content-length"), await head.text()]).toEqual([
      String(BYTES.length),
      "",
    ]);
  });

  test.each([
    ["http://s3.test", 200],
    ["https://10.0.0.7", 200],
    ["https://s3.example.com", 302],
  ])("signs an address of S3 at %s only if a stranger can open it", async (endpoint, expected) => {
    const server = fakeS3("releases", () => NOW);
    server.store(`app/v1.0.0/${NAME}`, BYTES);
    const { ask } = handlerWorld({
      registries: { app: "s3://us-east-1/releases/app" },
      ...{ endpoint, env: { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "s3cret" } },
      fetch: fetchOf(server.handler),
    });
    const response = await ask(PATH);
    expect(response.status).toBe(expected);
    if (expected === 200) return expect(await response.text()).toBe(BYTES);
    const link = new URL(response.headers.get("location") ?? "");
    expect(link.pathname).toBe(`/releases/app/v1.0.0/${NAME}`);
    expect(link.searchParams.get("X-Amz-Expires")).toBe("300");
    expect(link.searchParams.get("X-Amz-Signature")).toMatch(/^[0-9a-f]{64}$/);
  });

  test("serves the files beside the artifact, and a version that was answered lately", async () => {
    const { ask, github, clock } = handlerWorld({ redirect: false });
    const query = `?tag=v1.0.0&file=${NAME}.sig`;
    expect(await (await ask(PATH + query)).text()).toBe("signature");
    github.publish("v1.1.0", [{ name: NAME }]);
    clock.advance(60_000);
    expect(await (await ask("/latest")).json()).toMatchObject({ tag: "v1.1.0" });
    expect(await (await ask(PATH + query)).text()).toBe("signature");
  });

  test("offers 64 files of at most 4 MiB beside the artifact", async () => {
    const { ask, github } = handlerWorld();
    const BIG = "x".repeat(4 * 2 ** 20 + 1);
    const small = Array.from({ length: 70 }, (_, number) => ({ name: `n${number}.sig` }));
    github.publish("v1.1.0", [{ name: NAME }, { name: "big", bytes: BIG }, ...small]);
    const { files } = await (await ask("/latest")).json();
    expect(files).toHaveLength(65);
    expect(files.map(({ name }: { name: string }) => name)).not.toContain("big");
    expect((await ask(`${PATH}?file=big`)).status).toBe(404);
  });

  test("has no image: its address is in the answer", async () => {
    const fake = fakeOci({ auth: "bearer", anonymous: true, now: () => NOW });
    fake.push("v1.0.0", { platforms: [{ os: "linux", architecture: "amd64" }] });
    const { ask } = handlerWorld({
      registries: { app: "img://registry.example/o/app" },
      ...{ env: {}, fetch: fake.fetch },
    });
    const { artifact } = await (await ask("/latest")).json();
    expect(artifact.url).toBe("img://registry.example/o/app:v1.0.0");
    expect((await ask(PATH)).status).toBe(404);
  });

  test("has no other version and no other file, and does not look for them", async () => {
    const { ask, github } = handlerWorld({ redirect: false });
    github.publish("v0.9.0", [{ name: NAME }]);
    await ask("/latest");
    const calls = github.calls.length;
    for (const query of ["?tag=v0.9.0", "?tag=v1.0.0&file=other", "?tag=../x", "?file=../../x"]) {
      const response = await ask(PATH + query);
      expect([response.status, (await response.json()).error.code]).toEqual([404, "not-found"]);
    }
    expect(github.calls).toHaveLength(calls);
  });

  test("asks to come back where the artifact is not there yet", async () => {
    const { ask, github } = handlerWorld();
    github.publish("v1.1.0");
    const response = await ask(PATH);
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "60"]);
  });
});

test("a handler with only half of what reports need is an error", () => {
  const registries = { app: "ghr://acme/app" };
  expect(() => createHandler({ registries, reportToken: "x" })).toThrow("go together");
  expect(() => createHandler({ registries, onReport: () => {} })).toThrow("go together");
});
