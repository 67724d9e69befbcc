import { describe, expect, test } from "vitest";
import { SharedArtifacts } from "../../src/cache/shared_artifacts.ts";
import { SharedStore } from "../../src/cache/shared_store.ts";
import type { Clock } from "../../src/core/clock.ts";
import { bytesToHex, sha256 } from "../../src/core/encoding.ts";
import { IntegrityError, RemoteError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { Artifact, OpenOptions } from "../../src/core/types.ts";
import { fakeClock, hastyClock } from "../fakes/clock.ts";
import { type MemoryCacheOptions, memoryCache, unreachable } from "../fakes/memory_cache.ts";

const TEXT = "the bytes of a release";
const KEY = /^artifacts\/[0-9a-f]{16}\/v1\.2\.0--app\.tar\.gz$/;

async function artifactOf(digest?: string): Promise<Artifact> {
  const itsOwn = `sha256:${bytesToHex(await sha256(TEXT))}`;
  const url = "ghr://owner/repo/tag/v1.2.0/app.tar.gz";
  return { name: "app.tar.gz", url, digest: digest ?? itsOwn };
}

/** Hosts with one store and one registry. Each downloads as dewy does: it checks what it has got. */
function fleet(options: MemoryCacheOptions = {}, clock: Clock = fakeClock({ skipUpTo: 5_000 })) {
  const store = memoryCache({ now: clock.monotonic, ...options });
  const upstream = { opened: 0, during: async (): Promise<void> => {} };
  const open = async ({ offset = 0 }: OpenOptions): Promise<ReadableStream<Uint8Array>> => {
    upstream.opened += 1;
    await upstream.during();
    return new Blob([TEXT]).stream().pipeThrough(skip(offset));
  };
  const host = (name: string) => {
    const events: DewyEvent[] = [];
    const emit = (event: DewyEvent): void => void events.push(event);
    const shared = new SharedArtifacts(new SharedStore({ store, node: `${name}:1`, clock, emit }));
    const obtain = async (artifact?: Artifact, signal = new AbortController().signal) => {
      const wanted = artifact ?? (await artifactOf());
      return shared.obtain({
        tag: "v1.2.0",
        artifact: wanted,
        open,
        download: (from) => download(wanted, from, signal),
        bodyOf: (text) => ({
          bytes: text.length,
          open: (offset) => new Blob([text.slice(offset)]).stream(),
        }),
        signal,
      });
    };
    const warnings = () => events.filter(({ type }) => type === "warning");
    return { obtain, events, warnings };
  };
  const stored = (): readonly string[] => [...store.objects.keys()];
  return { clock, store, upstream, host, stored };
}

function skip(bytes: number): TransformStream<Uint8Array, Uint8Array> {
  let left = bytes;
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk.subarray(left));
      left = Math.max(0, left - chunk.byteLength);
    },
  });
}

/** Two attempts; an error that is not retryable ends the first. */
async function download(
  artifact: Artifact,
  open: (options: OpenOptions) => Promise<ReadableStream<Uint8Array>>,
  signal: AbortSignal,
): Promise<string> {
  let text = "";
  for (let attempt = 0; ; attempt += 1) {
    try {
      const stream = await open({ offset: text.length, signal });
      for await (const chunk of stream) text += new TextDecoder().decode(chunk);
      break;
    } catch (error) {
      const isFinal = error instanceof Error && "retryable" in error && !error.retryable;
      if (isFinal || attempt > 0) throw error;
    }
  }
  const isStated = artifact.digest === `sha256:${bytesToHex(await sha256(text))}`;
  if (artifact.digest?.startsWith("sha256:") && !isStated) throw new IntegrityError("other bytes");
  return text;
}

describe("an artifact", () => {
  test("is fetched from the registry once, however many hosts want it", async () => {
    const { host, upstream, stored } = fleet({}, hastyClock());
    const hosts = Array.from({ length: 30 }, (_, index) => host(`host-${index}`));
    const texts = await Promise.all(hosts.map(({ obtain }) => obtain()));
    expect(new Set(texts)).toEqual(new Set([TEXT]));
    expect(upstream.opened).toBe(1);
    expect(stored()).toEqual([expect.stringMatching(KEY)]);
  });

  test("that another host finishes between the look at the store and the claim is taken from it", async () => {
    const { host, store, upstream } = fleet();
    let isFirst = true;
    store.options.before = async (call, key) => {
      if (call !== "read" || !key.startsWith("claims/") || !isFirst) return;
      isFirst = false;
      await host("a").obtain();
    };
    expect(await host("b").obtain()).toBe(TEXT);
    expect(upstream.opened).toBe(1);
  });

  test.each([undefined, "crc32c:00000000", "crc64nvme:0000000000000000"])(
    "that nobody could check (%s) is not shared",
    async (digest) => {
      const { host, upstream, stored } = fleet();
      const artifact = { ...(await artifactOf()), digest };
      for (const name of ["a", "b"]) expect(await host(name).obtain(artifact)).toBe(TEXT);
      expect(upstream.opened).toBe(2);
      expect(stored()).toEqual([]);
    },
  );

  test("of another digest has another key, so that apps with one bucket do not disturb each other", async () => {
    const { host, stored } = fleet();
    await host("a").obtain();
    await host("a").obtain(await artifactOf(`md5:${"0".repeat(32)}`));
    expect(stored()).toHaveLength(2);
  });

  test("with other bytes than stated is not used, is reported, and is replaced", async () => {
    const { host, store, stored, upstream } = fleet();
    await host("a").obtain();
    const [key = ""] = stored();
    await store.write(key, "something else");
    const b = host("b");
    expect(await b.obtain()).toBe(TEXT);
    expect(b.warnings()).toMatchObject([{ important: true }]);
    expect(await host("c").obtain()).toBe(TEXT);
    expect(upstream.opened).toBe(2);
  });

  test("that the registry sends wrongly is not stored", async () => {
    const { host, stored } = fleet();
    await expect(host("a").obtain(await artifactOf(`sha256:${"0".repeat(64)}`))).rejects.toThrow(
      "other bytes",
    );
    expect(stored()).toEqual([]);
  });

  test("comes from the registry from where the store broke off", async () => {
    const { host, store, upstream } = fleet();
    await host("a").obtain();
    store.open = async () =>
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(TEXT.slice(0, 5)));
        },
        pull: (controller) => controller.error(new RemoteError("reset")),
      });
    expect(await host("b").obtain()).toBe(TEXT);
    expect(upstream.opened).toBe(2);
  });
});

test("an event says whether it came from the cache", async () => {
  const { host, store } = fleet();
  const [a, b] = [host("a"), host("b")];
  await a.obtain();
  await b.obtain();
  store.options.before = unreachable;
  await b.obtain();
  const artifact = { type: "cache", what: "artifact", tag: "v1.2.0", artifact: "app.tar.gz" };
  expect(a.events).toEqual([{ ...artifact, outcome: "miss" }]);
  expect(b.events.filter(({ type }) => type === "cache")).toEqual([
    { ...artifact, outcome: "hit" },
    { ...artifact, outcome: "failed" },
  ]);
});

describe("a host that fetches for all", () => {
  test("and dies is replaced within a minute or so", async () => {
    const { clock, host, upstream } = fleet();
    upstream.during = () => new Promise(() => {});
    void host("dead").obtain();
    await until(() => upstream.opened === 1);
    upstream.during = async () => {};
    const before = clock.monotonic();
    expect(await host("b").obtain()).toBe(TEXT);
    expect(clock.monotonic() - before).toBeLessThan(80_000);
  });

  test("and fails lets the next one try at once", async () => {
    const { clock, host, upstream, stored } = fleet();
    upstream.during = () => Promise.reject(new RemoteError("503"));
    await expect(host("a").obtain()).rejects.toThrow("503");
    expect(stored()).toEqual([]);
    upstream.during = async () => {};
    const before = clock.monotonic();
    expect(await host("b").obtain()).toBe(TEXT);
    expect(clock.monotonic()).toBe(before);
  });

  test("and is stopped gives up its claim", async () => {
    const { host, upstream, stored } = fleet();
    const stop = new AbortController();
    upstream.during = () =>
      new Promise((_, reject) => {
        if (stop.signal.aborted) reject(stop.signal.reason);
        stop.signal.addEventListener("abort", () => reject(stop.signal.reason));
      });
    const obtained = host("a").obtain(undefined, stop.signal);
    await until(() => upstream.opened === 1);
    expect(stored()).toEqual([expect.stringMatching(/^claims\/artifacts\//)]);
    stop.abort(new Error("stopped"));
    await expect(obtained).rejects.toThrow();
    expect(stored()).toEqual([]);
  });
});

describe("a store that fails", () => {
  const down: [string, MemoryCacheOptions][] = [
    ["is down", { before: unreachable }],
    [
      "is read-only",
      { before: (call) => (call === "write" || call === "upload" ? unreachable() : undefined) },
    ],
    ["is full", { before: (call) => (call === "upload" ? unreachable() : undefined) }],
  ];

  test.each(down)("because it %s costs one warning, not the deploy", async (_, options) => {
    const { host, store } = fleet();
    Object.assign(store.options, options);
    const a = host("a");
    for (let time = 0; time < 3; time += 1) expect(await a.obtain()).toBe(TEXT);
    expect(a.warnings()).toHaveLength(1);
    expect(a.events.at(-1)).toMatchObject({ type: "cache", outcome: "failed" });
  });

  test("because it is slow for a moment makes no crowd of downloads", async () => {
    const clock = hastyClock();
    const { host, store, upstream } = fleet({}, clock);
    const end = clock.monotonic() + 15_000;
    // An answer that takes longer than a host waits.
    store.options.before = () => (clock.monotonic() < end ? clock.sleep(11_000) : undefined);
    const hosts = Array.from({ length: 30 }, (_, index) => host(`host-${index}`));
    await Promise.all(hosts.map(({ obtain }) => obtain()));
    expect(upstream.opened).toBe(1);
  });

  test("to obey conditions is used without claims", async () => {
    const { host, store, upstream } = fleet({ isAtomic: false });
    for (const name of ["a", "b"]) expect(await host(name).obtain()).toBe(TEXT);
    expect(upstream.opened).toBe(1);
    expect(store.count("write")).toBe(0);
  });
});

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}
