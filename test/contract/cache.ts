import { describe, expect, test } from "vitest";
import type { CacheBody, CacheStore } from "../../src/cache/types.ts";

export interface CacheSetup {
  open(): Promise<CacheStore>;
  /** Whether it obeys conditions. */
  atomic: boolean;
}

const MIB = 1024 * 1024;

/** What every cache does, whatever stores it. Each test opens an empty cache. */
export function cacheContract(name: string, { open, atomic }: CacheSetup): void {
  describe(`cache: ${name}`, () => {
    test("reads what was written, with a version that changes with the bytes", async () => {
      const store = await open();
      const first = await store.write("a/b.json", "one");
      expect(await readText(store, "a/b.json")).toEqual({ text: "one", version: first });
      const second = await store.write("a/b.json", "two");
      expect(second).not.toBe(first);
      expect(await readText(store, "a/b.json")).toEqual({ text: "two", version: second });
    });

    test("has nothing under a key that was never written", async () => {
      const store = await open();
      expect(await store.read("missing", 10)).toBeUndefined();
      expect(await store.open("missing", {})).toBeUndefined();
      await store.remove("missing");
    });

    test.runIf(atomic)("tells the age of an object by its own clock", async () => {
      const store = await open();
      await store.write("a", "x");
      const { ageMs } = (await store.read("a", 10)) ?? {};
      expect(ageMs).toBeGreaterThanOrEqual(0);
      expect(ageMs).toBeLessThan(60_000);
    });

    test("rejects an object that is larger than the reader allows", async () => {
      const store = await open();
      await store.write("large", "x".repeat(11));
      await expect(store.read("large", 10)).rejects.toMatchObject({
        code: "integrity",
        message: expect.stringContaining("more than 10 bytes"),
      });
      expect((await store.read("large", 11))?.body).toHaveLength(11);
    });

    test("keeps the object that was there when a new one must be the first", async () => {
      const store = await open();
      expect(await store.write("claim", "first", { condition: "absent" })).toBeDefined();
      expect(await store.write("claim", "second", { condition: "absent" })).toBeUndefined();
      expect(await readText(store, "claim")).toMatchObject({ text: "first" });
    });

    test("replaces only the version that the writer has read", async () => {
      const store = await open();
      const first = (await store.write("record", "one")) ?? "";
      const second = await store.write("record", "two", { condition: { version: first } });
      expect(second).toBeDefined();
      const late = await store.write("record", "three", { condition: { version: first } });
      expect(late).toBeUndefined();
      expect(await readText(store, "record")).toEqual({ text: "two", version: second });
    });

    test("replaces no object that was removed", async () => {
      const store = await open();
      const version = (await store.write("record", "one")) ?? "";
      await store.remove("record");
      expect(await store.write("record", "two", { condition: { version } })).toBeUndefined();
      expect(await store.read("record", 10)).toBeUndefined();
    });

    test("lets exactly one of eight writers create an object", async () => {
      const store = await open();
      const writers = Array.from({ length: 8 }, (_, index) => `writer ${index}`);
      const versions = await Promise.all(
        writers.map((writer) => store.write("race", writer, { condition: "absent" })),
      );
      expect(versions.filter((version) => version !== undefined)).toHaveLength(1);
      const winner = writers[versions.findIndex((version) => version !== undefined)];
      expect(await readText(store, "race")).toMatchObject({ text: winner });
    });

    test.runIf(atomic)("lets one of eight writers at most replace an object", async () => {
      const store = await open();
      const version = (await store.write("race", "start")) ?? "";
      const writers = Array.from({ length: 8 }, (_, index) => `writer ${index}`);
      const writes = writers.map(async (writer) => {
        // A write that rejects may have happened or not: its writer reads the object again.
        const written = await store
          .write("race", writer, { condition: { version } })
          .catch(() => undefined);
        return written === undefined ? [] : [writer];
      });
      const winners = (await Promise.all(writes)).flat();
      expect(winners.length).toBeLessThanOrEqual(1);
      const text = (await readText(store, "race"))?.text;
      expect(winners.length === 1 ? winners : writers).toContain(text);
    });

    test(`says that it ${atomic ? "obeys" : "does not obey"} conditions, and leaves nothing behind`, async () => {
      const store = await open();
      expect(await store.isAtomic()).toBe(atomic);
      expect(await keysOf(store, "")).toEqual([]);
    });

    test("lists all below a prefix, with sizes and times", async () => {
      const store = await open();
      for (const key of ["fleet/a/members/h1.json", "fleet/a/rollout.json", "other/x"]) {
        await store.write(key, "12345");
      }
      expect(await keysOf(store, "fleet/")).toEqual([
        "fleet/a/members/h1.json",
        "fleet/a/rollout.json",
      ]);
      expect(await keysOf(store, "")).toHaveLength(3);
      for await (const item of store.list("other/")) {
        expect(item).toMatchObject({ key: "other/x", bytes: 5 });
        expect(item.modifiedAt).toBeGreaterThan(Date.parse("2020-01-01"));
      }
    });

    test("removes an object", async () => {
      const store = await open();
      await store.write("a", "x");
      await store.remove("a");
      expect(await store.read("a", 10)).toBeUndefined();
    });

    test.each([0, 1, 8 * MIB, 8 * MIB + 1, 17 * MIB])("uploads %i bytes whole", async (bytes) => {
      const store = await open();
      const body = patternOf(bytes);
      await store.upload("big", bodyOf(body));
      const stream = await store.open("big", {});
      expect(Buffer.compare(await bytesOf(stream), body)).toBe(0);
    });

    test("streams from an offset on", async () => {
      const store = await open();
      await store.write("text", "0123456789");
      const stream = await store.open("text", { offset: 4 });
      expect((await bytesOf(stream)).toString()).toBe("456789");
    });

    test.each([10, 9 * MIB])(
      "keeps the object that was uploaded first (%i bytes)",
      async (bytes) => {
        const store = await open();
        await store.upload("once", bodyOf(Buffer.alloc(bytes, "a")));
        await store.upload("once", bodyOf(Buffer.alloc(bytes, "b")));
        expect((await bytesOf(await store.open("once", {})))[0]).toBe("a".charCodeAt(0));
      },
    );

    test.each([-1, 1])(
      "stores nothing of a body whose length is wrong by %i",
      async (difference) => {
        const store = await open();
        for (const bytes of [10, 9 * MIB]) {
          const body = { ...bodyOf(patternOf(bytes)), bytes: bytes + difference };
          await expect(store.upload("wrong", body)).rejects.toMatchObject({ code: "integrity" });
          expect(await store.read("wrong", 10 * MIB)).toBeUndefined();
        }
      },
    );

    test("takes keys with characters that URLs and XML escape", async () => {
      const store = await open();
      const key = "odd/v1.0.0+blue--a b&c'ü.tar.gz";
      await store.write(key, "x");
      expect(await keysOf(store, "odd/")).toEqual([key]);
      expect(await readText(store, key)).toMatchObject({ text: "x" });
    });

    test("refuses a key that leaves the cache", async () => {
      const store = await open();
      for (const key of ["../evil", "a/../../evil"]) {
        await expect(async () => store.write(key, "x")).rejects.toThrow("path traversal detected");
        await expect(async () => store.read(key, 10)).rejects.toThrow("path traversal detected");
      }
    });

    test("does nothing for a caller that has given up", async () => {
      const store = await open();
      const signal = AbortSignal.abort(new Error("given up"));
      await expect(async () => store.write("a", "x", { signal })).rejects.toThrow();
      expect(await store.read("a", 10)).toBeUndefined();
    });
  });
}

async function readText(store: CacheStore, key: string) {
  const entry = await store.read(key, 1024);
  return entry && { text: new TextDecoder().decode(entry.body), version: entry.version };
}

async function keysOf(store: CacheStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys.sort();
}

function patternOf(bytes: number): Buffer<ArrayBuffer> {
  const body = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 1021) body[at] = at % 251;
  return body;
}

/** Chunks whose size does not divide a part. */
function bodyOf(body: Buffer<ArrayBuffer>): CacheBody {
  return {
    bytes: body.length,
    open(offset) {
      let at = offset;
      return new ReadableStream({
        pull(controller) {
          if (at >= body.length) return controller.close();
          controller.enqueue(new Uint8Array(body.subarray(at, at + 1_000_003)));
          at += 1_000_003;
        },
      });
    },
  };
}

async function bytesOf(stream: ReadableStream<Uint8Array> | undefined): Promise<Buffer> {
  if (stream === undefined) throw new Error("there is no such object");
  return Buffer.from(await new Response(stream).arrayBuffer());
}
