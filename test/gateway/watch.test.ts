import { describe, expect, onTestFinished, test } from "vitest";
import type { AnnouncedVersion } from "../../src/gateway/contract.ts";
import { watchStreams } from "../../src/gateway/watch_streams.ts";
import { fakeClock } from "../fakes/clock.ts";
import { gatewayWorld, INTERVAL_MS, question } from "./world.ts";

function watchOf(world: ReturnType<typeof gatewayWorld>): AsyncIterator<AnnouncedVersion> {
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  return world.gateway.watch(question(), stop.signal)[Symbol.asyncIterator]();
}

describe("a watched gateway", () => {
  test("polls once an interval for all watching machines, and announces what changes", async () => {
    const world = gatewayWorld();
    const watches = [watchOf(world), watchOf(world)];
    const next = (): Promise<unknown[]> =>
      Promise.all(watches.map(async (watch) => (await watch.next()).value));
    const first = { id: "id of v1.0.0", tag: "v1.0.0" };
    expect(await next()).toEqual([first, first]);
    const announced = next();
    for (const tag of ["v1.0.0", "v1.1.0"]) {
      await world.clock.sleeping(INTERVAL_MS);
      world.upstream.tag = tag;
      world.clock.advance(INTERVAL_MS);
    }
    const second = { id: "id of v1.1.0", tag: "v1.1.0" };
    expect(await announced).toEqual([second, second]);
    expect(world.upstream.questions).toHaveLength(3);
  });

  test("announces at once what the poll for another machine has found", async () => {
    const world = gatewayWorld();
    const watch = watchOf(world);
    await watch.next();
    const announced = watch.next();
    world.upstream.tag = "v2.0.0";
    world.gateway.expire();
    await world.gateway.current(question());
    expect((await announced).value).toMatchObject({ tag: "v2.0.0" });
    expect(world.clock.slept.filter((ms) => ms === INTERVAL_MS)).not.toHaveLength(0);
  });

  test("polls at once when asked, and no more after the last machine has gone", async () => {
    const world = gatewayWorld();
    const stop = new AbortController();
    const watch = world.gateway.watch(question(), stop.signal)[Symbol.asyncIterator]();
    await watch.next();
    const announced = watch.next();
    await world.clock.sleeping(INTERVAL_MS);
    world.upstream.tag = "v2.0.0";
    world.gateway.expire();
    expect((await announced).value).toMatchObject({ tag: "v2.0.0" });
    const end = watch.next();
    stop.abort();
    expect(await end).toEqual({ done: true, value: undefined });
    const polls = world.upstream.questions.length;
    world.clock.advance(10 * INTERVAL_MS);
    await new Promise(setImmediate);
    expect(world.upstream.questions).toHaveLength(polls);
  });

  test("announces what Current answers: an incomplete version, and none", async () => {
    const world = gatewayWorld();
    world.upstream.tag = undefined;
    expect((await watchOf(world).next()).value).toEqual({ id: "", tag: "" });
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    const other = gatewayWorld();
    const pending = other.gateway.watch(question({ os: "plan9" }), stop.signal);
    expect((await pending[Symbol.asyncIterator]().next()).value).toEqual({ id: "", tag: "v1.0.0" });
  });
});

describe("a stream", () => {
  const forever = async function* (): AsyncGenerator<AnnouncedVersion> {
    yield { tag: "v1.0.0" };
    await new Promise(() => {}); // Ignores its signal.
  };
  const open = (maxStreams?: number) => {
    const clock = fakeClock();
    const closing = new AbortController();
    const signal = new AbortController();
    const stream = watchStreams({ clock, closing: closing.signal, maxStreams });
    return { stream, clock, closing, signal, messages: stream(forever, signal.signal) };
  };

  test("repeats the version as a keep-alive", async () => {
    const { clock, messages } = open();
    expect((await messages.next()).value).toEqual({ id: "v1.0.0", tag: "v1.0.0" });
    const repeated = messages.next();
    await clock.sleeping(25_000);
    clock.advance(25_000);
    expect((await repeated).value).toEqual({ id: "v1.0.0", tag: "v1.0.0" });
  });

  test.each(["closing", "signal"] as const)(
    "ends with %s, whatever the logic does",
    async (end) => {
      const parts = open();
      await parts.messages.next();
      const last = parts.messages.next();
      parts[end].abort();
      expect(await last).toEqual({ done: true, value: undefined });
    },
  );

  test("ends after an hour at the latest", async () => {
    const { clock, messages } = open();
    await messages.next();
    const last = messages.next();
    await clock.sleeping(25_000);
    clock.advance(3_600_000);
    const found = await last;
    expect(found.done || (await messages.next()).done).toBe(true);
  });

  test("is refused when there are too many", async () => {
    const { stream, signal, messages } = open(1);
    await messages.next();
    await expect(stream(forever, signal.signal).next()).rejects.toThrow("Too many watches");
    await messages.return(undefined);
    expect((await stream(forever, signal.signal).next()).done).toBe(false);
  });
});
