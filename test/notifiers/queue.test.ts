import { expect, test } from "vitest";
import { type DewyEvent, RemoteError } from "../../mod.ts";
import type { Notification, Notifier } from "../../src/notifiers/driver.ts";
import { createQueue } from "../../src/notifiers/queue.ts";
import { plainText } from "../../src/notifiers/rich_text.ts";
import { fakeClock } from "../fakes/clock.ts";

const note = (text: string): Notification => ({
  entry: { at: "2026-01-01T00:00:00.000Z", event: "test" },
  kind: "message",
  text: [text],
});

/** A notifier that does with the nth attempt what the test says. */
function notifier(behave: (attempt: number, signal: AbortSignal) => Promise<void>): Notifier & {
  texts: string[];
} {
  const texts: string[] = [];
  return {
    texts,
    send: (notification, signal) => {
      texts.push(plainText(notification.text));
      return behave(texts.length, signal);
    },
  };
}

const never = (): Promise<void> => new Promise(() => {});

test("notifications leave one at a time, in order", async () => {
  const peer = notifier(async () => {});
  const queue = createQueue(peer, { clock: fakeClock(), emit: () => {} });
  for (const text of ["a", "b", "c"]) queue.push(note(text));
  await queue.close(5000);
  expect(peer.texts).toEqual(["a", "b", "c"]);
});

test("push returns at once, however slow the notifier is", () => {
  const queue = createQueue(notifier(never), { clock: fakeClock(), emit: () => {} });
  expect(queue.push(note("a"))).toBeUndefined();
});

test("a notifier that does not answer times out, and the next notification is sent", async () => {
  const clock = fakeClock({ skipUpTo: 3000 });
  const events: DewyEvent[] = [];
  const peer = notifier((attempt) => (attempt <= 3 ? never() : Promise.resolve()));
  const queue = createQueue(peer, { clock, emit: (event) => void events.push(event) });
  queue.push(note("a"));
  queue.push(note("b"));
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await clock.sleeping(10_000);
    clock.advance(10_000);
    if (attempt < 3) await until(() => peer.texts.length === attempt + 1);
  }
  await until(() => peer.texts.includes("b"));
  expect(events).toEqual([
    expect.objectContaining({ type: "warning", message: "Notification not delivered" }),
  ]);
});

test("a retryable failure is tried three times, after the requested pause", async () => {
  const clock = fakeClock();
  const peer = notifier(async (attempt) => {
    if (attempt < 3) throw new RemoteError("429", { status: 429, retryAfterMs: 30_000 });
  });
  const queue = createQueue(peer, { clock, emit: () => {} });
  queue.push(note("a"));
  for (const attempts of [2, 3]) {
    await clock.sleeping(30_000);
    clock.advance(30_000);
    await until(() => peer.texts.length === attempts);
  }
  await queue.close(5000);
  expect(clock.slept.filter((ms) => ms === 30_000)).toHaveLength(2);
});

test("a permanent failure is reported once and not retried", async () => {
  const events: DewyEvent[] = [];
  const peer = notifier(async () => {
    throw new RemoteError("channel_not_found", { retryable: false });
  });
  const queue = createQueue(peer, { clock: fakeClock(), emit: (event) => void events.push(event) });
  queue.push(note("a"));
  await queue.close(5000);
  expect(peer.texts).toEqual(["a"]);
  expect(events).toEqual([
    {
      type: "warning",
      message: "Notification not delivered",
      fields: { error: "channel_not_found" },
    },
  ]);
});

test("the oldest of too many are dropped, with one warning", async () => {
  const events: DewyEvent[] = [];
  let release = (): void => {};
  const peer = notifier(() => new Promise((resolve) => (release = resolve)));
  const queue = createQueue(peer, { clock: fakeClock(), emit: (event) => void events.push(event) });
  const texts = Array.from({ length: 103 }, (_, index) => String(index));
  for (const text of texts) queue.push(note(text));
  for (let count = 1; count <= 101; count += 1) {
    await until(() => peer.texts.length === count);
    release();
  }
  await queue.close(5000);
  expect(peer.texts).toEqual(["0", ...texts.slice(3)]);
  expect(events.filter((event) => event.type === "warning")).toHaveLength(1);
});

test("close waits for at most its timeout, aborts the attempt, and reports what is lost", async () => {
  const clock = fakeClock();
  const events: DewyEvent[] = [];
  let aborted = false;
  const peer = notifier((_, signal) => {
    signal.addEventListener("abort", () => {
      aborted = true;
    });
    return never();
  });
  const queue = createQueue(peer, { clock, emit: (event) => void events.push(event) });
  queue.push(note("a"));
  queue.push(note("b"));
  const closed = queue.close(5000);
  await clock.sleeping(5000);
  clock.advance(5000);
  await closed;
  expect(aborted).toBe(true);
  expect(events).toEqual([expect.objectContaining({ type: "warning", fields: { count: 2 } })]);
});

/** Lets other work go on until a condition holds. */
async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (condition()) return;
    await Promise.resolve();
  }
  throw new Error("the condition never held");
}
