import { describe, expect, test } from "vitest";
import { fetchOf } from "../fakes/handler.ts";
import { handlerWorld, NAME } from "./world.ts";

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

  test("a thousand platforms: the answers in memory stay few", async () => {
    const { ask, github } = handlerWorld();
    for (let number = 0; number < 300; number += 1) {
      expect((await ask(`/latest?platform=linux-a${number}`)).status).toBe(200);
    }
    const calls = github.calls.length;
    await ask("/latest?platform=linux-a299");
    expect(github.calls).toHaveLength(calls);
    await ask("/latest?platform=linux-a0");
    expect(github.calls.length).toBeGreaterThan(calls);
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
