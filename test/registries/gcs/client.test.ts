import { beforeEach, describe, expect, test } from "vitest";
import type { GoogleAuthContext } from "../../../src/auth/google/client.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import { createGcsClient, type GcsClient } from "../../../src/registries/gcs/client.ts";
import type { GcsPage } from "../../../src/registries/gcs/schema.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import { type FakeGcs, fakeGcs } from "../../fakes/gcs.ts";
import { type FakeIdentity, fakeIdentity, serviceAccountKey } from "../../fakes/gcs_auth.ts";
import { fetchOf } from "../../fakes/handler.ts";

let clock: FakeClock;
let google: FakeIdentity;
let storage: FakeGcs;
let events: DewyEvent[];

beforeEach(() => {
  clock = fakeClock({ skipUpTo: 0 });
  google = fakeIdentity(clock.now);
  storage = fakeGcs({ tokens: google.tokens });
  events = [];
});

function open(env: GoogleAuthContext["env"] = {}, bucket = "b"): GcsClient {
  const fetch = fetchOf((request) => {
    const { hostname } = new URL(request.url);
    return hostname === "storage.googleapis.com"
      ? storage.handler(request)
      : google.handler(request);
  });
  const emit = (event: DewyEvent): void => void events.push(event);
  return createGcsClient(bucket, { env, fetch, clock, emit, random: () => 0 });
}

function signedIn(): GcsClient {
  return open({ GOOGLE_APPLICATION_CREDENTIALS: JSON.stringify(serviceAccountKey()) });
}

async function list(client: GcsClient, prefix = ""): Promise<GcsPage[]> {
  const pages: GcsPage[] = [];
  for await (const page of client.list({ prefix })) pages.push(page);
  return pages;
}

describe("signing in", () => {
  test("uses one renewed token for concurrent requests", async () => {
    storage.put("a");
    const client = signedIn();
    await Promise.all([list(client), client.get("a"), client.create("c", "", "text/plain")]);
    expect(google.requests).toHaveLength(1);
    expect(new Set(storage.authorizations)).toEqual(new Set(["Bearer ya29.sa-1"]));
  });

  test("replaces a revoked token once", async () => {
    const client = signedIn();
    await list(client);
    google.tokens.clear();
    expect(await list(client)).toHaveLength(1);
    expect(google.requests).toHaveLength(2);
    const refuse = (): Response => Response.json({ error: { message: "no" } }, { status: 401 });
    storage.intercept(refuse);
    storage.intercept(refuse);
    await expect(list(client)).rejects.toMatchObject({ code: "credential" });
    expect(google.requests).toHaveLength(3);
  });

  test("is not needed for a public bucket, which is reported once", async () => {
    storage = fakeGcs({ tokens: google.tokens, isPublic: true });
    const client = open();
    await list(client);
    await list(client);
    expect(storage.authorizations).toEqual(["none", "none"]);
    expect(events.filter(({ type }) => type === "anonymous")).toEqual([
      { type: "anonymous", host: "storage.googleapis.com" },
    ]);
  });

  test.each([401, 403])("is requested again at the next call after HTTP %i", async (status) => {
    const env: Record<string, string> = {};
    const client = open(env);
    storage.intercept(() => Response.json({ error: { message: "no" } }, { status }));
    await expect(list(client)).rejects.toMatchObject({ code: "credential" });
    env.GOOGLE_APPLICATION_CREDENTIALS = JSON.stringify(serviceAccountKey());
    expect(await list(client)).toHaveLength(1);
  });

  test("fails with a list of the sources that were tried", async () => {
    await expect(list(open())).rejects.toMatchObject({
      code: "credential",
      message: expect.stringMatching(
        /HTTP 401: Anonymous caller.*without credentials.*GOOGLE_APPLICATION_CREDENTIALS \(not set\)/,
      ),
    });
  });

  test("without permission names the missing permissions and the account", async () => {
    storage.intercept(() =>
      Response.json(
        { error: { code: 403, message: "x lacks storage.objects.list", errors: [] } },
        { status: 403 },
      ),
    );
    await expect(list(signedIn())).rejects.toMatchObject({
      code: "credential",
      message: expect.stringMatching(
        /x lacks storage.objects.list.*GOOGLE_APPLICATION_CREDENTIALS.*Storage Object Viewer/,
      ),
    });
  });

  test("never shows a token", async () => {
    const client = signedIn();
    await list(client);
    const [token = ""] = google.tokens;
    storage.intercept(() =>
      Response.json({ error: { message: `bad Bearer ${token}` } }, { status: 403 }),
    );
    const failed = list(client);
    await expect(failed).rejects.toMatchObject({ code: "credential" });
    await expect(failed).rejects.not.toMatchObject({ message: expect.stringContaining(token) });
  });

  test("sends no token after a redirect", async () => {
    storage.intercept(() => Response.redirect("https://storage.googleapis.com/elsewhere"));
    await expect(list(signedIn())).rejects.toMatchObject({
      message: expect.stringContaining("redirect"),
    });
    expect(storage.requests).toHaveLength(1);
  });
});

describe("an error response", () => {
  test("names a missing bucket", async () => {
    storage = fakeGcs();
    await expect(list(open({}, "other"))).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining('the bucket "other" does not exist'),
    });
  });

  test("names a missing object", async () => {
    storage = fakeGcs();
    await expect(open().get("missing")).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("the object does not exist"),
    });
  });

  test("is retried if it is a rate limit", async () => {
    storage = fakeGcs();
    for (const [status, reason] of [
      [429, "rateLimitExceeded"],
      [403, "userRateLimitExceeded"],
      [503, "backendError"],
    ] as const) {
      const error = { message: "slow down", errors: [{ reason }] };
      storage.intercept(() => Response.json({ error }, { status }));
    }
    expect(await list(open())).toHaveLength(1);
    expect(storage.requests).toHaveLength(4);
  });

  test("keeps its status if it is not JSON", async () => {
    storage = fakeGcs();
    storage.intercept(() => new Response("<h1>Not here</h1>", { status: 410 }));
    await expect(list(open())).rejects.toMatchObject({
      code: "remote",
      status: 410,
      message: expect.stringContaining("Not here"),
    });
  });
});

describe("a listing", () => {
  const kind = "storage#objects";
  const item = {
    name: "a",
    size: "1",
    generation: "1",
    timeCreated: "2026-01-01T00:00:00.000Z",
    crc32c: "4waSgw==",
  };

  test.each([
    ["items.0.name", { items: [{ ...item, name: undefined }] }],
    ["items.0.name", { items: [{ ...item, name: "\ud800" }] }],
    ["items.0.size", { items: [{ ...item, size: "1e3" }] }],
    ["items.0.generation", { items: [{ ...item, generation: "x&a=b" }] }],
    ["items.0.timeCreated", { items: [{ ...item, timeCreated: "yesterday" }] }],
    ["items.0.crc32c", { items: [{ ...item, crc32c: "4waS" }] }],
    ["items.0.md5Hash", { items: [{ ...item, md5Hash: 5 }] }],
    ["items", { items: {} }],
    ["prefixes.0", { prefixes: [1] }],
    ["nextPageToken", { nextPageToken: "" }],
    ["kind", { kind: undefined }],
    ["kind", { kind: "storage#object" }],
  ])("that is malformed is an error that names %s", async (field, answer) => {
    storage = fakeGcs();
    storage.intercept(() => Response.json({ kind, ...answer }));
    await expect(list(open())).rejects.toMatchObject({
      code: "remote",
      message: expect.stringMatching(`: ${field} (should be|is missing)`),
    });
  });

  test("whose next page is the same page is refused", async () => {
    storage = fakeGcs();
    for (let page = 0; page < 2; page += 1) {
      storage.intercept(() => Response.json({ kind, nextPageToken: "same" }));
    }
    await expect(list(open())).rejects.toMatchObject({
      message: expect.stringContaining("its next page is the same page"),
    });
  });

  test("continues after a page without entries", async () => {
    storage = fakeGcs();
    storage.put("a");
    storage.intercept(() => Response.json({ kind, nextPageToken: btoa("0") }));
    const names = (await list(open())).flatMap(({ objects }) => objects.map(({ name }) => name));
    expect(names).toEqual(["a"]);
  });
});

describe("addresses", () => {
  async function asked(env: GoogleAuthContext["env"], bucket = "b"): Promise<string[]> {
    const urls: string[] = [];
    const fetch = fetchOf((request) => {
      urls.push(request.url.replace(/\?.*/, ""));
      return Response.json({ kind: "storage#objects" });
    });
    const io = { env, fetch, clock, emit: () => {} };
    for await (const _ of createGcsClient(bucket, io).list({ prefix: "" }));
    return urls;
  }

  test.each([
    ["localhost:4443", "http://localhost:4443/storage/v1/b/b/o"],
    ["http://127.0.0.1:4443/", "http://127.0.0.1:4443/storage/v1/b/b/o"],
    ["https://gcs.test/base/", "https://gcs.test/base/storage/v1/b/b/o"],
  ])("are those of the emulator at %s, without signing in", async (host, url) => {
    const env = { STORAGE_EMULATOR_HOST: host, GOOGLE_APPLICATION_CREDENTIALS: "{" };
    expect(await asked(env)).toEqual([url]);
  });

  test("are those of another universe domain", async () => {
    const env = { GOOGLE_CLOUD_UNIVERSE_DOMAIN: "sovereign.test" };
    expect(await asked(env)).toEqual(["https://storage.sovereign.test/storage/v1/b/b/o"]);
  });

  test.each([
    [{ STORAGE_EMULATOR_HOST: "http://me:pw@h" }, "b"],
    [{ STORAGE_EMULATOR_HOST: "ftp://h" }, "b"],
    [{ GOOGLE_CLOUD_UNIVERSE_DOMAIN: "a.test/x" }, "b"],
    [{}, ".."],
    [{}, "a/b"],
  ])("of %j and bucket %j are refused", (env, bucket) => {
    const io = { env, fetch: storage.fetch, clock, emit: () => {} };
    expect(() => createGcsClient(bucket, io)).toThrow(expect.objectContaining({ code: "config" }));
  });

  test.each([".", ".."])("of an object named %j are refused", async (name) => {
    await expect(open().get(name)).rejects.toMatchObject({ code: "config" });
  });
});
