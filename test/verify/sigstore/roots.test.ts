import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import {
  GITHUB,
  type Instance,
  PUBLIC_GOOD,
  refreshedRoot,
} from "../../../src/verify/sigstore/roots.ts";
import { type FakeClock, fakeClock } from "../../fakes/clock.ts";
import type { Handler } from "../../fakes/handler.ts";
import { serveFetch } from "../../fakes/serve.ts";
import { type FakeTuf, fakeTuf } from "../../fakes/tuf.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const DAY_MS = 86_400_000;
const FRESH = { mediaType: "fresh" };
const SHIPPED = { mediaType: "shipped" };
const signal = new AbortController().signal;

interface Fixture {
  tuf: FakeTuf;
  instance: Instance;
  cacheDirectory: string;
  clock: FakeClock;
  events: DewyEvent[];
  /** Asks as a process does that has just started. */
  ask(signal?: AbortSignal): Promise<readonly unknown[]>;
  stop(): Promise<void>;
}

async function fixture(handler?: Handler): Promise<Fixture> {
  const tuf = fakeTuf({ "trusted_root.json": JSON.stringify(FRESH) });
  const server = await serveFetch(handler ?? tuf.handler);
  onTestFinished(() => server.close());
  const clock = fakeClock();
  const events: DewyEvent[] = [];
  const cacheDirectory = await tempDirectory();
  const shipped = { root: SHIPPED, date: new Date(clock.now() - 30 * DAY_MS).toISOString() };
  const instance = { name: "test", mirror: server.url, tufRoot: tuf.root, shipped };
  const emit = (event: DewyEvent): void => void events.push(event);
  return {
    tuf,
    instance,
    cacheDirectory,
    clock,
    events,
    ask: (asked = signal) => refreshedRoot(instance, { clock, emit, cacheDirectory })(asked),
    stop: () => server.close(),
  };
}

const notFound: Handler = () => new Response(null, { status: 503 });

describe("the trusted root", () => {
  test("is that of the TUF repository, asked at most once a day", async () => {
    const { instance, tuf, clock, cacheDirectory } = await fixture();
    const root = refreshedRoot(instance, { clock, emit: () => {}, cacheDirectory });
    expect(await root(signal)).toEqual([FRESH]);
    const { length } = tuf.requests;
    expect(length).toBeGreaterThan(0);
    clock.advance(DAY_MS - 1);
    expect(await root(signal)).toEqual([FRESH]);
    expect(tuf.requests).toHaveLength(length);
    clock.advance(1);
    expect(await root(signal)).toEqual([FRESH]);
    expect(tuf.requests.length).toBeGreaterThan(length);
  });

  test("is the one in the package, if there was no other yet, with a warning", async () => {
    const { ask, stop, events } = await fixture();
    await stop();
    expect(await ask()).toEqual([SHIPPED]);
    expect(events).toMatchObject([
      { type: "warning", message: "Trusted root not refreshed, using an older one" },
    ]);
  });

  test("is the last one, if the repository cannot be reached", async () => {
    const { ask, stop } = await fixture();
    await ask();
    await stop();
    expect(await ask()).toEqual([FRESH]);
  });

  test("is that of the package, if it is newer than the last one", async () => {
    const { ask, stop, instance, clock } = await fixture();
    await ask();
    await stop();
    clock.advance(DAY_MS);
    instance.shipped = { root: SHIPPED, date: new Date(clock.now()).toISOString() };
    expect(await ask()).toEqual([SHIPPED]);
  });

  test("expires after a year without a refresh", async () => {
    const { ask, stop, clock, instance } = await fixture();
    await ask();
    await stop();
    clock.advance(365 * DAY_MS);
    expect(await ask()).toEqual([FRESH]);
    clock.advance(1);
    await expect(ask()).rejects.toMatchObject({
      code: "unverified",
      message: expect.stringMatching(
        new RegExp(
          `^Cannot verify with sigstore: the trusted root of test was not refreshed since 2026-01-02: .+; let this machine reach ${instance.mirror}, or give --trusted-root FILE$`,
        ),
      ),
    });
  });

  test("is asked again ten minutes after a failure", async () => {
    let handler = notFound;
    const { instance, tuf, clock, cacheDirectory } = await fixture((request) => handler(request));
    const root = refreshedRoot(instance, { clock, emit: () => {}, cacheDirectory });
    expect(await root(signal)).toEqual([SHIPPED]);
    handler = tuf.handler;
    clock.advance(600_000 - 1);
    expect(await root(signal)).toEqual([SHIPPED]);
    clock.advance(1);
    expect(await root(signal)).toEqual([FRESH]);
  });

  test("is not taken from a repository that others have signed", async () => {
    const { handler } = fakeTuf({ "trusted_root.json": JSON.stringify({ mediaType: "evil" }) });
    const { ask } = await fixture(handler);
    expect(await ask()).toEqual([SHIPPED]);
  });

  test("is not taken from a repository whose metadata has expired", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 2 * 365 * DAY_MS });
    const { ask, events } = await fixture();
    vi.useRealTimers();
    expect(await ask()).toEqual([SHIPPED]);
    expect(events).toMatchObject([{ fields: { reason: expect.stringMatching(/expired/i) } }]);
  });

  test("is not taken if its bytes are not those that the repository has signed", async () => {
    const { tuf, ask } = await fixture((request) =>
      request.url.endsWith("trusted_root.json")
        ? new Response(JSON.stringify({ mediaType: "evil!" }))
        : tuf.handler(request),
    );
    expect(await ask()).toEqual([SHIPPED]);
  });

  test("does not wait longer than 20 seconds", async () => {
    const { ask, clock } = await fixture(() => new Promise(() => {}));
    const asked = ask();
    await clock.sleeping(20_000);
    clock.advance(20_000);
    expect(await asked).toEqual([SHIPPED]);
  });

  test("survives a cache that was cut off", async () => {
    const { ask, cacheDirectory, events } = await fixture();
    await ask();
    const cached = await readdir(cacheDirectory, { recursive: true });
    for (const path of cached.filter((name) => name.endsWith(".json"))) {
      const text = await readFile(join(cacheDirectory, path), "utf8");
      await writeFile(join(cacheDirectory, path), text.slice(0, text.length / 2));
    }
    expect(await ask()).toEqual([FRESH]);
    expect(events).toEqual([]);
  });

  test("leaves no files behind without a cache directory", async () => {
    const temporary = await tempDirectory();
    vi.stubEnv("TMPDIR", temporary);
    onTestFinished(() => void vi.unstubAllEnvs());
    const { instance, clock } = await fixture();
    const root = refreshedRoot(instance, { clock, emit: () => {} });
    expect(await root(signal)).toEqual([FRESH]);
    expect((await readdir(temporary)).filter((name) => name.startsWith("dewy-tuf-"))).toEqual([]);
  });

  test("is not asked for by an aborted verification", async () => {
    const { ask, stop } = await fixture();
    await stop();
    await expect(ask(AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
  });
});

test("the package has the root of Sigstore's public instance", () => {
  expect(PUBLIC_GOOD.shipped?.root).toMatchObject({
    tlogs: [{ baseUrl: "https://rekor.sigstore.dev" }, {}],
  });
});

describe("the trusted root of GitHub", () => {
  test.each([
    ["that others have signed", true, /root was signed by 0\/\d keys/],
    ["that is not up to date", false, /expired/],
  ])("is not taken from a repository %s", async (_, hasNext, reason) => {
    const tuf = fakeTuf({ "trusted_root.json": JSON.stringify(FRESH) });
    const server = await serveFetch((request) =>
      hasNext && request.url.endsWith("/4.root.json")
        ? new Response(tuf.root)
        : tuf.handler(request),
    );
    onTestFinished(() => server.close());
    const context = { clock: fakeClock(), emit: () => {}, cacheDirectory: await tempDirectory() };
    const root = refreshedRoot({ ...GITHUB, mirror: server.url }, context);
    await expect(root(signal)).rejects.toMatchObject({
      code: "unverified",
      message: expect.stringMatching(reason),
    });
  });
});
