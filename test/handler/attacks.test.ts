import { describe, expect, test } from "vitest";
import type { ResponseCache } from "../../src/http/response_cache.ts";
import { fetchOf } from "../fakes/handler.ts";
import { handlerWorld, NAME } from "./world.ts";

const DOWNLOAD = "/app/download/linux-amd64";

/** A handler whose every request to the network fails the test. */
const silent = (): ReturnType<typeof handlerWorld> =>
  handlerWorld({ fetch: fetchOf(({ url }) => expect.fail(`asked ${url}`)) });

describe("a client cannot choose what the handler asks", () => {
  test.each([
    "ghr://mallory/app",
    "ghr://acme/app?pre-release=true",
    "ghr://acme/app/",
    "GHR://acme/app",
    "s3://us-east-1/bucket?endpoint=http://169.254.169.254",
    "https://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:9000/",
    "grpc://127.0.0.1:9000?no-tls=true",
    "img://127.0.0.1:5000/app",
    "file:///etc",
    "//evil.example.com/app",
    "__proto__",
    "constructor",
    "toString",
    "app\r\nHost: evil.example.com",
    "app\0",
    " app",
    "",
    "a".repeat(10_000),
  ])("with the registry %j", async (registry) => {
    const response = await silent().ask(`/latest?registry=${encodeURIComponent(registry)}`);
    expect(response.status).toBe(404);
    expect(await response.text()).not.toContain("acme");
  });

  test.each([
    "/..%2fapp/latest",
    "/ghr:%2f%2fmallory%2fapp/latest",
    "/http:%2f%2f169.254.169.254/latest",
    "/app%00/latest",
    "/%E0%A4%A/latest",
    "/app%0d%0aSet-Cookie:%20a=b/latest",
    "/__proto__/latest",
  ])("with the path %s", async (path) => {
    const response = await silent().ask(path);
    expect([400, 404]).toContain(response.status);
    expect(response.headers.has("set-cookie")).toBe(false);
  });

  test.each([
    "..",
    "..%2f..%2fetc%2fpasswd",
    "linux-amd64%2f..%2f..",
    "linux-amd64%0d%0aX-Evil:1",
    "linux-amd64%00",
    "%3Cscript%3E",
    `linux-${"a".repeat(500)}`,
    "linux-amd64-v1-v2-v3",
    "linux-*",
  ])("with the platform %s", async (platform) => {
    const response = await silent().ask(`/app/download/${platform}`);
    expect([400, 404]).toContain(response.status);
    expect(response.headers.has("x-evil")).toBe(false);
  });

  test("with a query that names policy, tokens or other options of the library", async () => {
    const { ask, github } = handlerWorld();
    github.publish("v2.0.0-rc.1", [{ name: NAME }], { preRelease: true });
    const query = "pre-release=true&token=x&endpoint=http://evil.test&constraint=*&artifact=a";
    expect(await (await ask(`/latest?${query}`)).json()).toMatchObject({ tag: "v1.0.0" });
    expect(github.calls.every(({ call }) => !call.includes("evil"))).toBe(true);
  });

  test("with the headers that name a host", async () => {
    const { ask } = handlerWorld();
    const headers = { "x-forwarded-host": "evil.example.com", "x-forwarded-proto": "gopher" };
    const [plain, forged] = [await ask("/latest"), await ask("/latest", { headers })];
    expect(await forged.text()).toBe(await plain.text());
  });
});

describe("a client cannot use up the registry's rate limit", () => {
  test("with hundreds of platforms: one listing answers for all, at once or one by one", async () => {
    const { ask, github } = handlerWorld();
    const path = (number: number): string => `/latest?platform=linux-a${number}`;
    const first = Array.from({ length: 20 }, (_, number) => ask(path(number)));
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual(Array(20).fill(200));
    const calls = github.calls.length;
    expect(calls).toBeLessThanOrEqual(2);
    for (let number = 0; number < 300; number += 1) await ask(path(number));
    await ask("/explain?platform=linux-b1");
    expect(github.calls).toHaveLength(calls);
  });

  test("with hundreds of platforms, where each is a question: the others have to wait", async () => {
    let asked = 0;
    const { ask, clock } = handlerWorld({
      registries: { app: "https://upstream.test/app" },
      fetch: fetchOf(() => {
        asked += 1;
        return Response.json({ schema: 1, kind: "none", platform: "x", reason: "empty" });
      }),
    });
    const statuses = [];
    for (let number = 0; number < 100; number += 1) {
      statuses.push((await ask(`/latest?platform=linux-a${number}`)).status);
    }
    expect(asked).toBe(64);
    expect(statuses).toEqual([...Array(64).fill(200), ...Array(36).fill(429)]);
    const refused = await ask("/latest?platform=linux-b1");
    expect(Number(refused.headers.get("retry-after"))).toBe(60);
    expect((await ask("/latest?platform=linux-a0")).status).toBe(200);
    clock.advance(60_000);
    expect((await ask("/latest?platform=linux-b1")).status).toBe(200);
  });

  test("by another platform, while the registry asks for a pause", async () => {
    const { ask, github } = handlerWorld();
    github.useUp("ghp_writer", 0);
    expect((await ask("/latest?platform=linux-amd64")).status).toBe(429);
    const calls = github.calls.length;
    for (const platform of ["linux-arm64", "darwin-arm64", "linux-x1"]) {
      expect((await ask(`/latest?platform=${platform}`)).status).toBe(429);
    }
    expect(github.calls).toHaveLength(calls);
  });

  test("with many downloads at once, or with downloads that fail", async () => {
    const { ask, github } = handlerWorld();
    await ask("/latest");
    const calls = github.calls.length;
    const all = await Promise.all(Array.from({ length: 20 }, () => ask(DOWNLOAD)));
    expect(all.map(({ status }) => status)).toEqual(Array(20).fill(302));
    expect(github.calls.length - calls).toBeLessThanOrEqual(2);
    const failing = handlerWorld();
    await failing.ask("/latest");
    failing.github.useUp("ghp_writer", 0);
    expect((await failing.ask(DOWNLOAD)).status).toBe(429);
    const before = failing.github.calls.length;
    expect((await failing.ask(DOWNLOAD)).status).toBe(429);
    expect(failing.github.calls).toHaveLength(before);
  });
});

describe("what surrounds the handler cannot harm it", () => {
  test.each<[string, ResponseCache]>([
    ["throws", { get: () => expect.fail("get"), put: () => expect.fail("put") }],
    ["rejects", { get: () => Promise.reject(new Error()), put: () => Promise.reject(new Error()) }],
    ["returns garbage", { get: async () => "dewy 1\n{}\n[]", put: async () => {} }],
    [
      "returns a response that is not an answer",
      { get: async () => 'dewy 1\n{"etag":"x"}\n<html>', put: async () => {} },
    ],
  ])("a cache that %s", async (_, cache) => {
    const { ask } = handlerWorld({ cache });
    expect(await (await ask("/latest")).json()).toMatchObject({ tag: "v1.0.0" });
  });

  test("a client that leaves in the middle of a download: the registry's stream is cancelled", async () => {
    const reasons: unknown[] = [];
    const { github } = handlerWorld();
    const { ask } = handlerWorld({
      redirect: false,
      fetch: async (input, init) => {
        const response = await github.fetch(input, init);
        if (!String(input).includes("/storage/")) return response;
        const bytes = new TextEncoder().encode("the");
        const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
          start: (controller) => controller.enqueue(bytes),
          cancel: (reason) => void reasons.push(reason),
        });
        return new Response(body, response);
      },
    });
    const { body } = await ask(DOWNLOAD);
    const reader = body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("the");
    await reader?.cancel("gone");
    await expect.poll(() => reasons).toEqual(["gone"]);
  });

  test("a response that a function of the operator throws is not sent, and is reported", async () => {
    const errors: unknown[] = [];
    const thrown = Response.redirect("https://evil.example.com/");
    const { ask } = handlerWorld({
      registries: () => {
        throw thrown;
      },
      onError: (error) => errors.push(error),
    });
    const response = await ask("/app/latest");
    expect([response.status, response.headers.get("location")]).toEqual([500, null]);
    expect(errors).toEqual([thrown]);
  });

  test("parameters that are repeated: the first one counts everywhere", async () => {
    const { ask } = handlerWorld({
      registries: { app: "ghr://acme/app", other: "ghr://acme/other" },
    });
    const query = "registry=app&registry=other&platform=linux-amd64&platform=windows-amd64";
    expect(await (await ask(`/latest?${query}`)).json()).toMatchObject({
      ...{ tag: "v1.0.0", platform: "linux-amd64" },
      artifact: {
        url: expect.stringMatching(/^download\/linux-amd64\?registry=app&tag=v1\.0\.0&/),
      },
    });
  });

  test("a query of a megabyte", async () => {
    const long = "a".repeat(1_000_000);
    const response = await handlerWorld().ask(`/badge.svg?label=${long}&x=${long}`);
    expect([response.status, (await response.text()).length < 2_000]).toEqual([200, true]);
  });
});

describe("a hostile release", () => {
  const NAMES = [
    "app_linux_amd64\r\nSet-Cookie: a=b.tar.gz",
    'app_linux_amd64".tar.gz',
    "app_linux_amd64';alert(1)//.tar.gz",
    "app_linux_amd64\u202egz.tar.gz",
  ];

  test.each(NAMES)("with a file named %j puts nothing into the headers", async (name) => {
    const { ask, github } = handlerWorld({ redirect: false });
    github.publish("v1.1.0", [{ name, bytes: "x" }]);
    const { artifact } = await (await ask("/app/latest")).json();
    const url = new URL(artifact.url, "https://versions.test/app/latest");
    expect(url.origin).toBe("https://versions.test");
    const response = await ask(url.pathname + url.search);
    expect(response.status).toBe(200);
    expect(response.headers.has("set-cookie")).toBe(false);
    expect(response.headers.get("content-disposition")).toMatch(
      /^attachment; filename\*=UTF-8''[\w.~%()!*-]+$/,
    );
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("with markup in its tag or the label of the badge stays text", async () => {
    const { ask } = handlerWorld();
    const label = `"><script>alert(1)</script>&`;
    const response = await ask(`/badge.svg?label=${encodeURIComponent(label)}`);
    const svg = await response.text();
    expect(svg).not.toMatch(/<script|"><s/);
    expect(svg).toContain("&#60;script&#62;");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
  });
});
