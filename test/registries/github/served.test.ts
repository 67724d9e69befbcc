import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { Artifact, Registry } from "../../../src/core/types.ts";
import { openRegistry } from "../../../src/registries/open.ts";
import { type ServedGitHub, serveGitHub } from "../../fakes/github.ts";
import { cutAfter, drip, reset, stallAfter, status } from "../../fakes/github_fault.ts";

// Over real sockets, with this runtime's own fetch.

const BYTES = "0123456789".repeat(1000);
let served: ServedGitHub;
let registry: Registry;
let artifact: Artifact;

beforeEach(async () => {
  served = await serveGitHub({ clock: systemClock, isPrivate: true });
  served.github.publish("v1.0.0", [{ name: "app_linux_amd64.tar.gz", bytes: BYTES }]);
  registry = openRegistry("ghr://acme/app", {
    platform: { os: "linux", arch: "amd64" },
    env: { GITHUB_API_URL: served.url, GH_TOKEN: "ghp_writer" },
    timeoutMs: Number.POSITIVE_INFINITY,
    clock: {
      now: systemClock.now,
      monotonic: systemClock.monotonic,
      sleep: (ms, signal) => systemClock.sleep(ms < 30_000 ? 1 : ms, signal),
    },
  });
  const answer = await registry.resolve();
  if (answer.kind !== "ready") throw new Error(answer.kind);
  artifact = answer.artifact;
});
afterEach(async () => {
  served.github.verify();
  await served.close();
});

const read = async (offset = 0, signal?: AbortSignal): Promise<string> =>
  new Response(
    await registry.open(artifact, { offset, ...(signal === undefined ? {} : { signal }) }),
  ).text();

test("an artifact is streamed, resumed, and its deploy recorded", async () => {
  expect(await read()).toBe(BYTES);
  expect(await read(9_990)).toBe("0123456789");
  expect(await read(10_000)).toBe("");
  const release = served.github.release("v1.0.0");
  const at = new Date(0);
  await registry.report?.({
    id: String(release.id),
    tag: "v1.0.0",
    command: "assets",
    host: "h",
    at,
  });
  expect(release.assets).toHaveLength(2);
});

test("resets and busy servers are tried again", async () => {
  served.github.inject(/GET/, reset(), 2);
  served.github.inject(/GET/, status(503), 1);
  expect((await registry.resolve()).kind).toBe("ready");
  served.github.inject(/storage/, reset(), 3);
  expect(await read()).toBe(BYTES);
});

test("a body that is cut is an error, a slow one is not", async () => {
  served.github.inject(/storage/, cutAfter(100));
  await expect(read()).rejects.toMatchObject({ code: "remote", retryable: true });
  served.github.inject(
    /storage/,
    drip(3_000, () => Promise.resolve()),
  );
  expect(await read()).toBe(BYTES);
});

test("a body that stalls ends with the caller's signal", async () => {
  served.github.inject(/storage/, stallAfter(100));
  const stop = new AbortController();
  const stream = await registry.open(artifact, { signal: stop.signal });
  const reader = stream.getReader();
  await reader.read();
  const rest = reader.read();
  stop.abort();
  await expect(rest).rejects.toMatchObject({ code: "aborted" });
});
