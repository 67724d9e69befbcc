import { expect, test } from "vitest";
import { CredentialError, type DewyEvent, NotFoundError, RemoteError } from "../../mod.ts";
import type { JournalEntry } from "../../src/journal/entry.ts";
import type { Notification, Notifier } from "../../src/notifiers/driver.ts";
import { type Letter, Outbox } from "../../src/notifiers/outbox.ts";
import { plainText } from "../../src/notifiers/rich_text.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import { note } from "./entries.ts";

const HOUR_MS = 3_600_000;

type Behave = (attempt: number, signal: AbortSignal) => Promise<void>;

interface Opened {
  outbox: Outbox;
  clock: FakeClock;
  events: DewyEvent[];
  /** The texts of all attempts. */
  texts: string[];
  settled: string[];
  letter(text: string, event?: string): Letter;
}

/** An outbox of a notifier that does with the nth attempt what the test says. */
function open(
  behave: Behave,
  notifier: Partial<Notifier> = {},
  { random = 0, recorded = async (): Promise<void> => {} } = {},
): Opened {
  const clock = fakeClock();
  const events: DewyEvent[] = [];
  const texts: string[] = [];
  const settled: string[] = [];
  const send = (notification: Notification, signal: AbortSignal): Promise<void> => {
    texts.push(plainText(notification.text));
    return behave(texts.length, signal);
  };
  const outbox = new Outbox({
    notifier: { send, ...notifier },
    label: "test://x",
    clock,
    emit: (event) => void events.push(event),
    redact: (text) => text.replaceAll("hunter2", "…"),
    onSettled: async ({ id = "" }, isUrgent) => {
      settled.push(id);
      if (isUrgent) await recorded();
    },
    random: () => random,
  });
  const letter = (text: string, event = "test"): Letter => {
    const entry: JournalEntry = { at: new Date(clock.now()).toISOString(), event, id: text };
    return { entry, notification: note([text], { entry }) };
  };
  return { outbox, clock, events, texts, settled, letter };
}

const never = (): Promise<void> => new Promise(() => {});

test("notifications leave one at a time, in order, and entries without one are settled", async () => {
  const { outbox, texts, settled, letter } = open(async () => {});
  outbox.push(letter("a"));
  outbox.push({ entry: letter("b").entry });
  outbox.push(letter("c"));
  await outbox.close(5_000);
  expect(texts).toEqual(["a", "c"]);
  expect(settled).toEqual(["a", "b", "c"]);
});

test("a notification waits until the previous delivery is recorded", async () => {
  let isRecorded = (): void => {};
  const recorded = (): Promise<void> => new Promise((resolve) => (isRecorded = resolve));
  const { outbox, texts, settled, letter } = open(async () => {}, {}, { recorded });
  outbox.push(letter("a"));
  outbox.push(letter("b"));
  await until(() => settled.length === 1);
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  expect(texts).toEqual(["a"]);
  isRecorded();
  await until(() => texts.length === 2);
});

test("of many that were given up, only the last one has to be recorded", async () => {
  let records = 0;
  const recorded = async (): Promise<void> => {
    records += 1;
  };
  const { outbox, clock, letter } = open(async () => {}, {}, { recorded });
  const old = new Date(clock.now() - 25 * HOUR_MS).toISOString();
  for (const name of ["1", "2", "3"]) {
    const { entry, notification } = letter(name);
    outbox.push({ entry: { ...entry, at: old }, notification, isEarlier: true });
  }
  outbox.push(letter("new"));
  await outbox.close(5_000);
  expect(outbox.status().lost).toBe(3);
  expect(records).toBe(2);
});

test("a release that went live is announced before the notifications about it", async () => {
  const order: string[] = [];
  const { outbox, letter } = open(async () => void order.push("sent"), {
    onActivated: async (directory) => void order.push(directory),
  });
  outbox.push(letter("a"));
  outbox.push({ entry: { ...letter("b").entry, event: "activated", directory: "/r/1" } });
  outbox.push(letter("c"));
  await outbox.close(5_000);
  expect(order).toEqual(["sent", "/r/1", "sent"]);
});

test("failures are retried with a backoff of up to five minutes, and reported twice", async () => {
  const pauses = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map(
    (seconds) => seconds * 1_000,
  );
  const { outbox, clock, events, texts, letter } = open(async (attempt) => {
    if (attempt <= pauses.length) throw new RemoteError("no hunter2", { status: 500 });
  });
  outbox.push(letter("a"));
  const failingSince = new Date(clock.now()).toISOString();
  for (const pause of pauses) {
    await clock.sleeping(pause);
    const retryAt = new Date(clock.now() + pause).toISOString();
    expect(outbox.status()).toMatchObject({
      state: "failing",
      error: "no …",
      since: failingSince,
      waiting: 1,
      retryAt,
    });
    clock.advance(pause);
  }
  await until(() => outbox.status().state === "fine");
  expect(texts).toHaveLength(pauses.length + 1);
  expect(outbox.status()).toEqual({ notifier: "test://x", state: "fine", waiting: 0, lost: 0 });
  const message = "Notification not delivered yet";
  expect(events).toMatchObject([
    { message, important: false },
    // After a quarter of an hour.
    { message, important: true },
    { message: "Notifications are delivered again" },
  ]);
});

test("a token that is refused during an outage is reported, too", async () => {
  const { outbox, clock, events, letter } = open(async (attempt) => {
    if (attempt === 1) throw new RemoteError("no", { status: 500 });
    throw new CredentialError("invalid_auth");
  });
  outbox.push(letter("a"));
  await clock.sleeping(1_000);
  clock.advance(1_000);
  await until(() => events.length === 2);
  expect(events).toMatchObject([{ important: false }, { important: true }]);
});

test("jitter shortens a pause by up to a quarter", async () => {
  const failing = async (): Promise<void> => {
    throw new RemoteError("no", { status: 500 });
  };
  const { outbox, clock, letter } = open(failing, {}, { random: 1 });
  outbox.push(letter("a"));
  await clock.sleeping(750);
});

test("a pause that the service asks for is respected", async () => {
  const { outbox, clock, texts, letter } = open(async (attempt) => {
    if (attempt === 1) throw new RemoteError("429", { status: 429, retryAfterMs: 900_000 });
  });
  outbox.push(letter("a"));
  await clock.sleeping(900_000);
  clock.advance(900_000);
  await until(() => texts.length === 2);
});

test.each([
  ["a refused token", new CredentialError("invalid_auth")],
  ["a place that does not exist", new NotFoundError("404")],
])("after %s the pauses grow to an hour, and nothing is lost", async (_, error) => {
  const { outbox, clock, events, letter } = open(async () => {
    throw error;
  });
  outbox.push(letter("a"));
  for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
    await clock.sleeping(minutes * 60_000);
    clock.advance(minutes * 60_000);
  }
  expect(outbox.status()).toMatchObject({ state: "failing", waiting: 1, lost: 0 });
  expect(events).toMatchObject([{ type: "warning", important: true }]);
});

test.each([
  ["a refusal", new RemoteError("too long: hunter2", { status: 400, retryable: false })],
  ["a bug of the driver", new TypeError("too long: hunter2")],
])("%s gives up this notification at once, and the next one is sent", async (_, error) => {
  const { outbox, events, texts, settled, letter } = open(async (attempt) => {
    if (attempt === 1) throw error;
  });
  outbox.push(letter("a"));
  outbox.push(letter("b"));
  await outbox.close(5_000);
  expect(texts).toEqual(["a", "b"]);
  expect(settled).toEqual(["a", "b"]);
  expect(events).toEqual([
    { type: "notifications-lost", notifier: "test://x", count: 1, reason: "too long: …" },
  ]);
  expect(outbox.status()).toMatchObject({ state: "fine", waiting: 0, lost: 1 });
});

test("a service that refuses a notification works again", async () => {
  const { outbox, clock, letter } = open(async (attempt) => {
    throw new RemoteError("no", { status: 500, retryable: attempt === 1 });
  });
  outbox.push(letter("a"));
  await clock.sleeping(1_000);
  expect(outbox.status().state).toBe("failing");
  clock.advance(1_000);
  await until(() => outbox.status().lost === 1);
  expect(outbox.status().state).toBe("fine");
});

test("the loss of a notification about a loss does not cause another one", async () => {
  const { outbox, events, letter } = open(async () => {
    throw new RemoteError("no", { retryable: false });
  });
  outbox.push(letter("a", "notifications-lost"));
  await outbox.close(5_000);
  expect(events.map(({ type }) => type)).toEqual(["warning"]);
  expect(outbox.status().lost).toBe(1);
});

test("what is older than a day is given up together, with the last error as the reason", async () => {
  const { outbox, clock, events, texts, letter } = open(async (attempt) => {
    if (attempt <= 2) throw new RemoteError("down", { status: 503, retryAfterMs: 13 * HOUR_MS });
  });
  outbox.push(letter("a"));
  outbox.push(letter("b"));
  await clock.sleeping(13 * HOUR_MS);
  clock.advance(13 * HOUR_MS);
  await until(() => texts.length === 2);
  outbox.push(letter("c"));
  await clock.sleeping(13 * HOUR_MS);
  clock.advance(13 * HOUR_MS);
  await until(() => outbox.status().waiting === 0);
  expect(texts.at(-1)).toMatch(/^\[2026-01-02 16:04 UTC\] c$/);
  expect(events).toContainEqual({
    type: "notifications-lost",
    notifier: "test://x",
    count: 2,
    reason: "down",
  });
});

test("an attempt without an answer is aborted after ten seconds", async () => {
  let isAborted = false;
  const { outbox, clock, texts, letter } = open((attempt, signal) => {
    if (attempt > 1) return Promise.resolve();
    signal.addEventListener("abort", () => {
      isAborted = true;
    });
    return never();
  });
  outbox.push(letter("a"));
  await clock.sleeping(10_000);
  clock.advance(10_000);
  await clock.sleeping(1_000);
  expect(isAborted).toBe(true);
  clock.advance(1_000);
  await until(() => texts.length === 2);
});

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => `${from + index}`);

test("the oldest of too many are given up together, and pass the cursor in their order", async () => {
  const { outbox, events, texts, settled, letter } = open(async () => {});
  for (const name of numbers(0, 10_000)) outbox.push(letter(name));
  await outbox.close(5_000);
  expect(texts).toEqual(numbers(9_550, 10_000));
  expect(settled).toEqual(numbers(0, 10_000));
  expect(outbox.status().lost).toBe(9_550);
  expect(events).toEqual([
    {
      type: "notifications-lost",
      notifier: "test://x",
      count: 9_550,
      reason: "too many notifications waited",
    },
  ]);
});

test("in an outage, the loss of many is reported once, and the next one is tried at once", async () => {
  let isDown = true;
  const { outbox, clock, events, texts, letter } = open(async () => {
    if (isDown) throw new RemoteError("down", { status: 503 });
  });
  outbox.push(letter("0"));
  await clock.sleeping(1_000);
  for (const name of numbers(1, 500)) outbox.push(letter(name));
  expect(outbox.status()).toMatchObject({ waiting: 500, lost: 0 });
  outbox.push(letter("500"));
  isDown = false;
  await until(() => outbox.status().waiting === 0);
  expect(texts).toEqual(["0", ...numbers(51, 501)]);
  const lost = events.filter(({ type }) => type === "notifications-lost");
  expect(lost).toEqual([
    { type: "notifications-lost", notifier: "test://x", count: 51, reason: "down" },
  ]);
});

test("the one that may be arriving is not given up", async () => {
  let release = (): void => {};
  const first = new Promise<void>((resolve) => (release = resolve));
  const { outbox, texts, letter } = open((attempt) => (attempt === 1 ? first : Promise.resolve()));
  outbox.push(letter("0"));
  await until(() => texts.length === 1);
  for (const name of numbers(1, 501)) outbox.push(letter(name));
  release();
  await until(() => outbox.status().waiting === 0);
  expect(texts).toEqual(["0", ...numbers(52, 501)]);
  expect(outbox.status().lost).toBe(51);
});

test("entries without a notification do not pile up behind one that waits", async () => {
  const { outbox, clock, settled, letter } = open(async (attempt) => {
    if (attempt === 1) throw new RemoteError("down", { status: 503 });
  });
  outbox.push(letter("a"));
  const { entry } = letter("idle");
  for (const id of numbers(0, 10_000)) outbox.push({ entry: { ...entry, id } });
  outbox.push({ entry: { ...entry, id: "live", event: "activated", directory: "/r/1" } });
  outbox.push({ entry: { ...entry, id: "last" } });
  await clock.sleeping(1_000);
  clock.advance(1_000);
  await until(() => settled.includes("last"));
  expect(settled).toEqual(["a", "9999", "live", "last"]);
});

test("one that is pushed in the very moment in which the others are done is delivered", async () => {
  for (let turns = 0; turns < 10; turns += 1) {
    const { outbox, texts, letter } = open(async () => {});
    outbox.push(letter("a"));
    await until(() => texts.length === 1);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    outbox.push(letter("b"));
    await until(() => texts.length === 2);
  }
});

test("a step of the system time gives up nothing that has just happened", async () => {
  const { outbox, clock, texts, letter } = open(async (attempt) => {
    if (attempt === 1) throw new RemoteError("no network yet", { status: 503 });
  });
  outbox.push(letter("a"));
  await clock.sleeping(1_000);
  clock.setBack(-30 * 24 * HOUR_MS);
  clock.advance(1_000);
  await until(() => outbox.status().state === "fine");
  expect(texts).toEqual(["a", "[2026-01-02 03:04 UTC] a"]);
  expect(outbox.status().lost).toBe(0);
});

test("what waits while the system time is set back is late, and is given up after a day", async () => {
  const { outbox, clock, texts, letter } = open(async () => {
    throw new RemoteError("down", { status: 503 });
  });
  outbox.push(letter("a"));
  await clock.sleeping(1_000);
  clock.setBack(30 * 24 * HOUR_MS);
  clock.advance(6 * 60_000);
  await until(() => texts.length === 2);
  expect(texts).toEqual(["a", "[2026-01-02 03:04 UTC] a"]);
  await clock.sleeping(2_000);
  clock.advance(24 * HOUR_MS);
  await until(() => outbox.status().lost === 1);
});

test("closing closes the connections of the notifier", async () => {
  let isClosed = false;
  const close = async (): Promise<void> => {
    isClosed = true;
    throw new Error("it was closed before");
  };
  const { outbox } = open(async () => {}, { close });
  await outbox.close(5_000);
  expect(isClosed).toBe(true);
});

test("closing makes a last attempt at what waits for a retry", async () => {
  const { outbox, clock, texts, settled, letter } = open(async (attempt) => {
    if (attempt === 1) throw new RemoteError("no", { status: 500 });
  });
  outbox.push(letter("a"));
  outbox.push(letter("b"));
  await clock.sleeping(1_000);
  await outbox.close(5_000);
  expect(texts).toEqual(["a", "a", "b"]);
  expect(settled).toEqual(["a", "b"]);
});

test("closing aborts the attempt after its timeout, and leaves the rest unsettled", async () => {
  let isAborted = false;
  const { outbox, clock, events, settled, letter } = open((_, signal) => {
    signal.addEventListener("abort", () => {
      isAborted = true;
    });
    return never();
  });
  outbox.push(letter("a"));
  outbox.push(letter("b"));
  const closed = outbox.close(5_000);
  await clock.sleeping(5_000);
  clock.advance(5_000);
  await closed;
  expect(isAborted).toBe(true);
  expect(settled).toEqual([]);
  expect(events).toMatchObject([
    { message: "Notifications wait for the next start", fields: { count: 2 } },
  ]);
});

/** Lets other work go on until a condition holds. */
async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000; turn += 1) {
    if (condition()) return;
    await Promise.resolve();
  }
  throw new Error("the condition never held");
}
