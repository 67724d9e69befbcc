import { describe, expect, test } from "vitest";
import { LiveSections, type Sections } from "../../src/admin/live_sections.ts";
import type { EventSink } from "../../src/core/event.ts";
import { fakeClock } from "../fakes/clock.ts";

const GAP_MS = 1_000;
const REFRESH_MS = 4_000;
const HEARTBEAT_MS = 15_000;

const anyone = async (): Promise<boolean> => true;

function start(sections: Sections = { live: "v1", log: "a" }) {
  const clock = fakeClock();
  const end = new AbortController();
  const sinks = new Set<EventSink>();
  const shown = { sections, renders: 0 };
  const live = new LiveSections({
    render: async () => {
      shown.renders += 1;
      return shown.sections;
    },
    subscribe: (sink) => {
      sinks.add(sink);
      return () => void sinks.delete(sink);
    },
    clock,
    signal: end.signal,
  });
  const event = (): void => {
    for (const sink of sinks) sink({ type: "unchanged", tag: "v1" });
  };
  return { live, clock, end, sinks, shown, event };
}

function readerOf(stream: ReadableStream<Uint8Array> | undefined) {
  if (stream === undefined) throw new Error("no stream");
  const reader = stream.getReader();
  return {
    /** The next message: the sections, the text of a comment, or `end`. */
    async next(): Promise<unknown> {
      const { done, value } = await reader.read();
      if (done) return "end";
      const text = new TextDecoder().decode(value);
      const [, data] = /^event: sections\ndata: (.*)\n\n$/.exec(text) ?? [];
      return data === undefined ? text : JSON.parse(data);
    },
    cancel: () => reader.cancel(),
  };
}

describe("the live sections", () => {
  test("come all at first, and then those that have changed", async () => {
    const { live, clock, shown, event } = start();
    const { next } = readerOf(live.open(anyone));
    expect(await next()).toEqual({ live: "v1", log: "a" });
    shown.sections = { live: "v2", log: "a" };
    event();
    await clock.sleeping(GAP_MS);
    const changed = next();
    clock.advance(GAP_MS);
    expect(await changed).toEqual({ live: "v2" });
  });

  test("are rendered again after a while without an event", async () => {
    const { live, clock, shown } = start();
    const { next } = readerOf(live.open(anyone));
    await next();
    shown.sections = { live: "v1", log: "b" };
    const changed = next();
    await clock.sleeping(GAP_MS);
    clock.advance(GAP_MS);
    await clock.sleeping(REFRESH_MS);
    clock.advance(REFRESH_MS);
    expect(await changed).toEqual({ log: "b" });
  });

  test("do not come because time has passed", async () => {
    const live = (text: string): string => `<time datetime="2026-05-01">${text}</time>`;
    const { live: sections, clock, shown, event } = start({ live: live("1 s"), log: "a" });
    const { next } = readerOf(sections.open(anyone));
    await next();
    shown.sections = { live: live("2 s"), log: "b" };
    event();
    await clock.sleeping(GAP_MS);
    const changed = next();
    clock.advance(GAP_MS);
    expect(await changed).toEqual({ log: "b" });
  });

  test("are rendered at most once a second, however many events and clients there are", async () => {
    const { live, clock, shown, event } = start();
    const readers = Array.from({ length: 5 }, () => readerOf(live.open(anyone)));
    for (const { next } of readers) await next();
    for (let count = 0; count < 100; count++) event();
    await clock.sleeping(GAP_MS);
    expect(shown.renders).toBe(1);
    clock.advance(GAP_MS);
    await expect.poll(() => shown.renders).toBe(2);
  });

  test("cost nothing while no page is open", async () => {
    const { live, clock, sinks, shown } = start();
    expect([sinks.size, shown.renders]).toEqual([0, 0]);
    const { next, cancel } = readerOf(live.open(anyone));
    await next();
    expect(sinks.size).toBe(1);
    await cancel();
    await clock.sleeping(GAP_MS);
    clock.advance(GAP_MS);
    await clock.sleeping(REFRESH_MS);
    clock.advance(REFRESH_MS);
    await expect.poll(() => sinks.size).toBe(0);
    expect(shown.renders).toBe(1);
    const again = readerOf(live.open(anyone));
    await expect.poll(() => shown.renders).toBe(2);
    expect(await again.next()).toEqual({ live: "v1", log: "a" });
  });

  test("that a slow client has missed come as one", async () => {
    const { live, clock, shown } = start();
    const { next } = readerOf(live.open(anyone));
    await next();
    for (const version of ["v2", "v3"]) {
      shown.sections = { live: version, log: "a" };
      await clock.sleeping(GAP_MS);
      clock.advance(GAP_MS);
      await clock.sleeping(REFRESH_MS);
      clock.advance(REFRESH_MS);
    }
    await clock.sleeping(GAP_MS);
    expect(await next()).toEqual({ live: "v3" });
  });

  test("send a heartbeat if nothing changes", async () => {
    const { live, clock } = start();
    const { next } = readerOf(live.open(anyone));
    await next();
    const beat = next();
    await clock.sleeping(HEARTBEAT_MS);
    clock.advance(HEARTBEAT_MS);
    expect(await beat).toBe("event: alive\ndata:\n\n");
  });

  test("have at most 32 clients, and a place again when one leaves", async () => {
    const { live } = start();
    const readers = Array.from({ length: 32 }, () => readerOf(live.open(anyone)));
    expect(live.open(anyone)).toBeUndefined();
    await readers[0]?.cancel();
    expect(live.open(anyone)).toBeDefined();
  });

  test("end when the server closes, and do not start after it", async () => {
    const { live, end } = start();
    const { next } = readerOf(live.open(anyone));
    await next();
    const last = next();
    end.abort();
    expect(await last).toBe("end");
    expect(live.open(anyone)).toBeUndefined();
  });

  test("end when the client is not allowed any more", async () => {
    const { live, shown, clock, event } = start();
    let isAllowed = true;
    const { next } = readerOf(live.open(async () => isAllowed));
    await next();
    isAllowed = false;
    shown.sections = { live: "v2", log: "a" };
    event();
    await clock.sleeping(GAP_MS);
    const last = next();
    clock.advance(GAP_MS);
    expect(await last).toBe("end");
  });

  test("stay as they were if they cannot be rendered", async () => {
    const { live, clock, shown, event } = start();
    const { next } = readerOf(live.open(anyone));
    await next();
    const render = shown.sections;
    Object.defineProperty(shown, "sections", {
      configurable: true,
      get: () => {
        throw new Error("no disk");
      },
    });
    event();
    await clock.sleeping(GAP_MS);
    clock.advance(GAP_MS);
    await expect.poll(() => shown.renders).toBe(2);
    Object.defineProperty(shown, "sections", { value: { ...render, log: "b" } });
    const changed = next();
    event();
    await clock.sleeping(GAP_MS);
    clock.advance(GAP_MS);
    expect(await changed).toEqual({ log: "b" });
  });
});
