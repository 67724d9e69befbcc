import { describe, expect, test } from "vitest";
import type { CacheStore } from "../../../src/cache/types.ts";
import { cacheContract } from "../../contract/cache.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { fetchOf, type Handler } from "../../fakes/handler.ts";
import { type FakeS3, fakeS3 } from "../../fakes/s3.ts";
import { cacheAt, collected } from "../context.ts";

const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
const MIB = 1024 * 1024;

interface Opened {
  store: CacheStore;
  server: FakeS3;
}

async function openFake(wrap: (handler: Handler) => Handler = (same) => same): Promise<Opened> {
  const server = fakeS3("cache", Date.now);
  const url = "s3://us-east-1/cache/team?endpoint=http://s3.test";
  const clock = fakeClock({ now: Date.now(), skipUpTo: 10_000 });
  const fetch = fetchOf(wrap(server.handler));
  const store = await cacheAt(url, { env, fetch, clock });
  return { store, server };
}

cacheContract("s3 (fake)", { atomic: true, open: async () => (await openFake()).store });

describe("a service without conditional writes", () => {
  const ignoring: (handler: Handler) => Handler = (handler) => (request) => {
    const headers = new Headers(request.headers);
    for (const name of ["if-match", "if-none-match"]) headers.delete(name);
    return handler(new Request(request, { headers }));
  };
  const refusing: (handler: Handler) => Handler = (handler) => (request) =>
    request.headers.has("if-none-match") || request.headers.has("if-match")
      ? new Response("<Error><Code>NotImplemented</Code></Error>", { status: 501 })
      : handler(request);

  test.each([
    ["ignores", ignoring],
    ["refuses", refusing],
  ])("that %s them is not atomic, but stores artifacts", async (_, wrap) => {
    const { store } = await openFake(wrap);
    expect(await store.isAtomic()).toBe(false);
    for (const bytes of [10, 9 * MIB]) {
      const body = new Uint8Array(bytes).fill(7);
      const open = () => new Response(body).body ?? new ReadableStream();
      await store.upload(`artifact-${bytes}`, { bytes, open });
      expect((await store.read(`artifact-${bytes}`, 10 * MIB))?.body).toHaveLength(bytes);
    }
  });
});

test("a service that compares entity tags without quotes is atomic", async () => {
  const { store } = await openFake((handler) => (request) => {
    const tag = request.headers.get("if-match");
    const headers = new Headers(request.headers);
    if (tag !== null) headers.set("if-match", `"${tag}"`);
    return handler(new Request(request, { headers }));
  });
  const version = (await store.write("record", "one")) ?? "";
  expect(await store.write("record", "two", { condition: { version } })).toBeDefined();
  expect(await store.isAtomic()).toBe(true);
});

test("an upload that fails leaves no parts behind", async () => {
  const { store, server } = await openFake(
    (handler) => (request) =>
      request.url.includes("partNumber=2")
        ? new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403 })
        : handler(request),
  );
  const body = new Uint8Array(9 * MIB);
  const open = () => new Response(body).body ?? new ReadableStream();
  await expect(store.upload("big", { bytes: body.length, open })).rejects.toMatchObject({
    code: "credential",
  });
  expect(server.uploads.size).toBe(0);
});

test("a completion that fails with status 200 is a failure", async () => {
  const { store, server } = await openFake(
    (handler) => (request) =>
      request.method === "POST" && request.url.includes("uploadId=")
        ? new Response("<Error><Code>InternalError</Code><Message>again</Message></Error>")
        : handler(request),
  );
  const body = new Uint8Array(9 * MIB);
  const open = () => new Response(body).body ?? new ReadableStream();
  await expect(store.upload("big", { bytes: body.length, open })).rejects.toMatchObject({
    retryable: true,
    message: expect.stringContaining("InternalError"),
  });
  expect(server.uploads.size).toBe(0);
});

test("an upload whose machine died is a leftover that can be removed", async () => {
  const { store, server } = await openFake();
  const post = (key: string) =>
    server.handler(
      new Request(`http://s3.test/cache/${key}?uploads=`, {
        method: "POST",
        headers: { authorization: "AWS4-HMAC-SHA256 x" },
      }),
    );
  await post("team/artifacts/1/a+b%20c.zip");
  await post("other/artifacts/1/b");
  const leftovers = await collected(store.leftovers?.("artifacts/"));
  expect(leftovers).toMatchObject([{ key: "artifacts/1/a+b c.zip", bytes: 0 }]);
  expect(Date.now() - (leftovers[0]?.modifiedAt ?? 0)).toBeLessThan(60_000);
  await leftovers[0]?.remove();
  expect([...server.uploads.values()]).toMatchObject([{ key: "other/artifacts/1/b" }]);
});

test("where leftovers cannot be listed, there are none", async () => {
  const { store } = await openFake(
    (handler) => (request) =>
      request.url.includes("uploads=")
        ? new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403 })
        : handler(request),
  );
  expect(await collected(store.leftovers?.("artifacts/"))).toEqual([]);
});

test("a missing object is not an error, and a missing bucket is one when it is written to", async () => {
  const store = await cacheAt("s3://us-east-1/other?endpoint=http://s3.test", {
    env,
    fetch: fetchOf(fakeS3("cache", Date.now).handler),
  });
  expect(await store.read("a", 10)).toBeUndefined();
  await expect(store.write("a", "x")).rejects.toThrow("NoSuchBucket");
  await expect(collected(store.list(""))).rejects.toThrow('there is no bucket "other"');
});

test("a write that is not permitted names the permission", async () => {
  const { store } = await openFake(
    (handler) => (request) =>
      request.method === "PUT"
        ? new Response("<Error><Code>AccessDenied</Code></Error>", { status: 403 })
        : handler(request),
  );
  await expect(store.write("a", "x")).rejects.toThrow("writing takes the permission s3:PutObject");
});
