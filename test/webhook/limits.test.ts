import { describe, expect, test } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import type { WebhookOutcome } from "../../src/webhook/handler.ts";
import { limitReports, limitWakes, REPORT_GAP_MS, WAKE_GAP_MS } from "../../src/webhook/limits.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";

async function advance(clock: FakeClock, ms: number): Promise<void> {
  clock.advance(ms);
  await new Promise(setImmediate);
}

describe("wakes", () => {
  function start() {
    const clock = fakeClock();
    const closing = new AbortController();
    const wakes: number[] = [];
    const wake = limitWakes({
      onWake: () => wakes.push(clock.now()),
      clock,
      signal: closing.signal,
    });
    return { clock, closing, wakes, wake };
  }

  test("come at once, and not again without a webhook", async () => {
    const { clock, wakes, wake } = start();
    wake();
    expect(wakes).toHaveLength(1);
    await advance(clock, 10 * WAKE_GAP_MS);
    expect(wakes).toHaveLength(1);
    wake();
    expect(wakes).toHaveLength(2);
  });

  test("are two for a burst: at its start and after its end", async () => {
    const { clock, wakes, wake } = start();
    const begin = clock.now();
    for (let count = 0; count < 1000; count += 1) wake();
    expect(wakes).toEqual([begin]);
    await advance(clock, WAKE_GAP_MS - 1);
    wake();
    expect(wakes).toEqual([begin]);
    await advance(clock, 1);
    expect(wakes).toEqual([begin, begin + WAKE_GAP_MS]);
    await advance(clock, 10 * WAKE_GAP_MS);
    expect(wakes).toHaveLength(2);
  });

  test("keep their distance in a long flood, and the last webhook is never lost", async () => {
    const { clock, wakes, wake } = start();
    const begin = clock.now();
    let last = begin;
    for (let count = 0; count < 1000; count += 1) {
      wake();
      last = clock.now();
      await advance(clock, 100);
    }
    await advance(clock, WAKE_GAP_MS);
    expect(wakes).toHaveLength(100_000 / WAKE_GAP_MS + 1);
    const gaps = wakes.slice(1).map((at, index) => at - (wakes[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(WAKE_GAP_MS);
    expect(wakes.at(-1)).toBeGreaterThanOrEqual(last);
  });

  test("end when the listener closes", async () => {
    const { clock, closing, wakes, wake } = start();
    wake();
    wake();
    closing.abort();
    await advance(clock, 10 * WAKE_GAP_MS);
    wake();
    expect(wakes).toHaveLength(1);
  });
});

describe("reports", () => {
  function start() {
    const clock = fakeClock();
    const events: DewyEvent[] = [];
    const report = limitReports({ clock, emit: (event) => events.push(event) });
    const refuse = (source: WebhookOutcome["source"], reason = "wrong signature"): void =>
      report({ source, outcome: "refused", reason });
    return { clock, events, report, refuse };
  }

  test("of a refused flood come once a minute, with the number of those left out", () => {
    const { clock, events, refuse } = start();
    for (let second = 0; second <= 60; second += 1) {
      for (let count = 0; count < 100; count += 1) refuse("github");
      clock.advance(1000);
    }
    expect(events).toEqual([
      { type: "webhook", source: "github", outcome: "refused", reason: "wrong signature" },
      {
        type: "webhook",
        source: "github",
        outcome: "refused",
        reason: "wrong signature; 5999 more before",
      },
    ]);
  });

  test("are limited by source and outcome", () => {
    const { events, report, refuse } = start();
    refuse("github");
    refuse("secret");
    refuse("registry");
    report({ source: "github", outcome: "ignored", reason: "event push" });
    report({ source: "github", outcome: "accepted" });
    expect(events).toHaveLength(5);
    refuse("github", "another reason");
    expect(events).toHaveLength(5);
  });

  test("of accepted webhooks come as often as polls", () => {
    const { clock, events, report } = start();
    report({ source: "github", outcome: "accepted" });
    report({ source: "github", outcome: "accepted" });
    clock.advance(WAKE_GAP_MS);
    report({ source: "github", outcome: "accepted" });
    clock.advance(REPORT_GAP_MS);
    report({ source: "github", outcome: "accepted" });
    expect(events.map((event) => ("reason" in event ? event.reason : event))).toEqual([
      undefined,
      "1 more before",
      undefined,
    ]);
  });
});
