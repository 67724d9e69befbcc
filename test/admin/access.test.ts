import { hostname } from "node:os";
import { describe, expect, test } from "vitest";
import { type Access, refusalOf } from "../../src/admin/access.ts";
import { TOKEN, tokens } from "./source.ts";

const OPEN: Access = { host: "127.0.0.1", metricsPublic: false };
const GUARDED: Access = { host: "status.example.com", tokens, metricsPublic: false };
const BEARER = { authorization: `Bearer ${TOKEN}` };

async function statusOf(
  access: Access,
  url: string,
  headers: Record<string, string> = {},
): Promise<number> {
  return (await refusalOf(new Request(url, { headers }), access))?.status ?? 200;
}

const basic = (credentials: string): string => `Basic ${btoa(credentials)}`;

describe("the Host header", () => {
  test.each(["localhost", "127.0.0.1", "127.8.9.1", "[::1]", "127.1", "2130706433", "LOCALHOST"])(
    "may be the loopback name %s",
    async (host) => {
      expect(await statusOf(OPEN, `http://${host}:17539/api/status`)).toBe(200);
    },
  );

  test.each([
    "evil.example",
    "evil.example:17539",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost.",
    "10.0.0.1",
    "0.0.0.0",
    "[::2]",
    "[::ffff:127.0.0.1]",
    "169.254.169.254",
    hostname(),
  ])("is refused if it is %s", async (host) => {
    expect(await statusOf(OPEN, `http://${host}/api/status`)).toBe(403);
  });

  test.each([
    "localhost",
    "status.example.com",
    hostname().toLowerCase(),
    `${hostname().toLowerCase()}.internal.example`,
    "203.0.113.7",
    "[2001:db8::1]",
  ])("may be %s if a token protects", async (host) => {
    expect(await statusOf(GUARDED, `http://${host}:17539/`, BEARER)).toBe(200);
  });

  test.each(["evil.example", "www.status.example.com", "1.2.3.4.example"])(
    "is refused if it is %s, whatever the token",
    async (host) => {
      expect(await statusOf(GUARDED, `http://${host}/`, BEARER)).toBe(403);
    },
  );
});

test.each([
  [OPEN, "use localhost or a loopback address"],
  [GUARDED, "use the host name or an IP address of this machine, or --admin-host"],
])("a refusal says which Host is accepted", async (access, names) => {
  const refusal = await refusalOf(new Request("http://evil.example:1/"), access);
  expect(await refusal?.text()).toBe(
    `The Host "evil.example" is refused: ${names}; a proxy has to set it\n`,
  );
});

describe("a browser", () => {
  const from = (headers: Record<string, string>, path = "/api/status") =>
    statusOf(OPEN, `http://127.0.0.1:17539${path}`, headers);

  test.each<Record<string, string>>([
    {},
    { origin: "http://127.0.0.1:17539", "sec-fetch-site": "same-origin" },
    { "sec-fetch-site": "none" },
  ])("may request it from its own origin: %j", async (headers) => {
    expect(await from(headers)).toBe(200);
  });

  test.each<Record<string, string>>([
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: "http://127.0.0.1:8080" },
    { origin: "http://localhost:17539" },
    { origin: "https://127.0.0.1:17539" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "anything" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
    { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "document" },
  ])("is refused from another origin: %j", async (headers) => {
    expect(await from(headers)).toBe(403);
    expect(await from(headers, "/")).toBe(403);
    expect(await from(headers, "/healthz")).toBe(403);
  });

  test("may follow a link from another site to the page, and only to it", async () => {
    const link = {
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "document",
    };
    expect(await from(link, "/")).toBe(200);
    expect(await from(link, "/api/history")).toBe(403);
  });
});

describe("the token", () => {
  const ask = (path: string, authorization?: string, more: Partial<Access> = {}) =>
    statusOf(
      { ...GUARDED, ...more },
      `http://localhost${path}`,
      authorization === undefined ? {} : { authorization },
    );
  const PATHS = ["/", "/api/status", "/api/history", "/api/events", "/readyz", "/metrics", "/x"];

  test.each(PATHS)("is required for %s", async (path) => {
    expect(await ask(path)).toBe(401);
    expect(await ask(path, `Bearer ${TOKEN}`)).toBe(200);
  });

  test("is not required for /healthz, nor for /metrics with --metrics-public", async () => {
    expect(await ask("/healthz")).toBe(200);
    expect(await ask("/metrics", undefined, { metricsPublic: true })).toBe(200);
    expect(await ask("/metrics/", undefined, { metricsPublic: true })).toBe(401);
    expect(await ask("//healthz")).toBe(401);
  });

  test.each([
    `bearer  ${TOKEN} `,
    basic(`:${TOKEN}`),
    basic(`alice:${TOKEN}`),
    `BASIC ${btoa(`alice:${TOKEN}`)}`,
  ])("is accepted as %s", async (authorization) => {
    expect(await ask("/", authorization)).toBe(200);
  });

  test.each([
    "",
    TOKEN,
    "Bearer",
    "Bearer ",
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Digest ${TOKEN}`,
    `Digest Bearer ${TOKEN}`,
    `Bearer ${TOKEN} x`,
    basic(`${TOKEN}:`),
    basic(`alice:${TOKEN}:`),
    basic("alice"),
    "Basic !!!!",
  ])("is refused as %j", async (authorization) => {
    expect(await ask("/", authorization)).toBe(401);
  });

  test("is asked for by a browser", async () => {
    const refusal = await refusalOf(new Request("http://localhost/"), GUARDED);
    expect(refusal?.headers.get("www-authenticate")).toMatch(/^Basic realm="dewy"/);
  });

  test("is not asked for under the name of an attacker", async () => {
    const refusal = await refusalOf(new Request("http://evil.example/"), GUARDED);
    expect(refusal?.headers.get("www-authenticate")).toBeNull();
  });
});
