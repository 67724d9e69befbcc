import { describe, expect, test } from "vitest";
import { type DewyEvent, RemoteError } from "../../mod.ts";
import type { JournalEntry } from "../../src/journal/entry.ts";
import { LAST_ERROR_NOTE, Limiter } from "../../src/notifiers/limit.ts";
import { mrkdwn } from "../../src/notifiers/slack/attachment.ts";
import vectors from "../vectors/notifier.json" with { type: "json" };
import { entryOf } from "./entries.ts";

const LOUD = { quiet: false };
const DAY_MS = 24 * 3_600_000;

const DOWNLOADED: DewyEvent = {
  type: "downloaded",
  tag: "v1",
  artifact: "a",
  bytes: 1,
  resumedFrom: 0,
  durationMs: 1,
};
const DEPLOYED: DewyEvent = {
  type: "deployed",
  command: "assets",
  tag: "v1",
  previousTag: undefined,
  directory: "/d",
  durationMs: 1,
};

function failed(count: number, message: string): DewyEvent {
  const error = new RemoteError(message);
  return { type: "failed", phase: "resolve", tag: undefined, error, count, retryInMs: undefined };
}

/** @param afterMs how long after the others it happens. */
function sentText(limiter: Limiter, event: DewyEvent, afterMs = 0): string | undefined {
  const entry = entryOf(event);
  return entry && textOf(limiter, later(entry, afterMs));
}

function later(entry: JournalEntry, ms: number): JournalEntry {
  return { ...entry, at: new Date(Date.parse(entry.at) + ms).toISOString() };
}

function textOf(limiter: Limiter, entry: JournalEntry): string | undefined {
  const admitted = limiter.admit(entry);
  return admitted && mrkdwn(admitted.text);
}

describe("the recorded sequences, with distinct errors", () => {
  // "start" cannot be set, and broadcasting is up to the notifier.
  const cases = vectors.filter((v) => v.op === "sequence" && v.in.start === 0 && !v.in.broadcast);
  test.each(cases)("$name", (vector) => {
    const limiter = new Limiter({ quiet: vector.in.quiet === true });
    let count = 0;
    const out = vector.out as { call: string; count: number; sent?: string[] }[];
    (vector.in.calls as string[]).forEach((call, index) => {
      const { sent } = out[index] ?? {};
      if (call === "reset") {
        sentText(limiter, { type: "polled", outcome: "fine" });
        count = 0;
      } else if (call === "error") {
        count += 1;
        const text = sentText(limiter, failed(count, `boom ${index}`));
        expect(text).toBe(sent?.[0]?.replace(/boom$/, `boom ${index}`));
      } else {
        const text = sentText(limiter, call === "important" ? DEPLOYED : DOWNLOADED);
        expect(text === undefined).toBe(sent === undefined);
      }
    });
  });
});

describe("failures", () => {
  test("a repeated one is sent once", () => {
    const limiter = new Limiter(LOUD);
    const texts = [1, 2, 3, 4].map((count) => sentText(limiter, failed(count, "boom")));
    expect(texts).toEqual(["Error occurred (count: 1): boom", undefined, undefined, undefined]);
  });

  const successes: DewyEvent[] = [
    DEPLOYED,
    { type: "polled", outcome: "fine" },
    { type: "succeeded-again", after: 4 },
  ];
  test.each(successes)(
    "the third in a row is the last one sent, until a success: $type",
    (success) => {
      const limiter = new Limiter(LOUD);
      const tell = (count: number): string | undefined =>
        sentText(limiter, failed(count, `boom ${count}`));
      expect([1, 2, 3, 4].map(tell)).toEqual([
        "Error occurred (count: 1): boom 1",
        "Error occurred (count: 2): boom 2",
        `${LAST_ERROR_NOTE}Error occurred (count: 3): boom 3`,
        undefined,
      ]);
      sentText(limiter, success);
      expect(tell(1)).toBe("Error occurred (count: 1): boom 1");
    },
  );

  test("one that lasts is sent once a day, and does not silence others", () => {
    const limiter = new Limiter(LOUD);
    const sent = [0, 1, DAY_MS - 1, DAY_MS, 2 * DAY_MS - 1, 2 * DAY_MS, 3 * DAY_MS].map(
      (ms) => sentText(limiter, failed(1, "boom"), ms) !== undefined,
    );
    expect(sent).toEqual([true, false, false, true, false, true, true]);
    expect(sentText(limiter, failed(1, "bang"), 3 * DAY_MS)).toBe(
      "Error occurred (count: 1): bang",
    );
  });

  test("one that lasts is sent again if the system time was set back by more than a day", () => {
    const limiter = new Limiter(LOUD);
    const sent = [0, -DAY_MS + 1, -DAY_MS].map((ms) => sentText(limiter, failed(1, "bang"), ms));
    expect(sent.map((text) => text !== undefined)).toEqual([true, false, true]);
  });
  test("a version that keeps failing is sent once, although it bakes in between", () => {
    const limiter = new Limiter(LOUD);
    const baking: DewyEvent = { type: "polled", outcome: "fine", isOpen: true };
    const sent = [1, 2, 3, 4].map((count) => [
      sentText(limiter, failed(count, "the host is out of memory")),
      sentText(limiter, baking),
    ]);
    expect(sent.flat().filter((text) => text !== undefined)).toHaveLength(1);
  });
  test("after three, one a day is sent", () => {
    const limiter = new Limiter(LOUD);
    for (const count of [1, 2, 3]) sentText(limiter, failed(count, `boom ${count}`));
    expect(sentText(limiter, failed(4, "boom 4"), DAY_MS - 1)).toBeUndefined();
    expect(sentText(limiter, failed(5, "boom 5"), DAY_MS)).toContain("boom 5");
    expect(sentText(limiter, failed(6, "boom 6"), DAY_MS + 1)).toBeUndefined();
  });
});

describe("the end of three or more failures", () => {
  const recover = (after: number, ms: number, failures = after): string | undefined => {
    const limiter = new Limiter({ quiet: true });
    for (let count = 1; count <= Math.min(failures, 5); count += 1) {
      sentText(limiter, failed(count, `boom ${count}`));
    }
    const text = sentText(limiter, { type: "succeeded-again", after }, ms);
    expect(sentText(limiter, { type: "polled", outcome: "fine" }, ms)).toBeUndefined();
    return text;
  };

  test.each([
    [14, 2 * 3_600_000 + 5 * 60_000 + 20_000, "Recovered after 2h 5m (14 failures)"],
    [3, 30_000, "Recovered after 30s (3 failures)"],
    [9_000, 3 * DAY_MS + 60_000, "Recovered after 3d (9000 failures)"],
  ])("is sent: %i within %i ms", (after, ms, text) => {
    expect(recover(after, ms)).toBe(text);
  });

  test("is not sent after one or two, nor if none of them was sent", () => {
    expect(recover(2, 60_000)).toBeUndefined();
    expect(recover(7, 60_000, 0)).toBeUndefined();
  });

  test("counts from the first failure, also if a deploy by an operator comes in between", () => {
    const limiter = new Limiter(LOUD);
    for (const count of [1, 2, 3]) sentText(limiter, failed(count, `boom ${count}`));
    expect(sentText(limiter, DEPLOYED, 10_000)).toBe("Deployed `v1`");
    expect(sentText(limiter, { type: "succeeded-again", after: 3 }, 60_000)).toBe(
      "Recovered after 1m (3 failures)",
    );
  });
});

test("a download that is repeated for a retry is sent once", () => {
  const limiter = new Limiter(LOUD);
  expect(sentText(limiter, DOWNLOADED)).toBe("Downloaded artifact for `v1`");
  expect(sentText(limiter, DOWNLOADED)).toBeUndefined();
});

test("a version that waits is news again after a command, but not after a mere poll", () => {
  const limiter = new Limiter(LOUD);
  const operator = { user: "al" };
  const waiting: DewyEvent = { type: "waiting", tag: "v2", why: "pinned", reason: "pinned to v1" };
  expect(sentText(limiter, waiting)).toBeDefined();
  sentText(limiter, { type: "ordered", command: "poll", operator });
  expect(sentText(limiter, waiting)).toBeUndefined();
  sentText(limiter, { type: "ordered", command: "pin v1", operator });
  expect(sentText(limiter, waiting)).toBeDefined();
});

test("what an operator does is sent each time", () => {
  const limiter = new Limiter(LOUD);
  const ordered: DewyEvent = { type: "ordered", command: "pause", operator: { user: "al" } };
  const acts: DewyEvent[] = [ordered, { type: "app-restart", signal: "SIGHUP" }, DEPLOYED];
  for (const act of [...acts, ...acts]) expect(sentText(limiter, act)).toBeDefined();
});

describe("quiet", () => {
  const hook = (exitCode: number): DewyEvent => ({
    type: "hook",
    tag: "v1",
    result: {
      when: "before",
      command: "x",
      exitCode,
      stdout: "",
      stderr: "",
      durationMs: 1,
      timedOut: false,
    },
  });
  test.each([
    ["successes", DEPLOYED, true],
    ["errors", failed(1, "boom"), true],
    ["failed hooks", hook(1), true],
    ["rollbacks", { type: "rolled-back", tag: "v2", to: "v1", reason: "r" } as const, true],
    ["passed hooks", hook(0), false],
    ["downloads", DOWNLOADED, false],
    [
      "the start",
      { type: "started", version: "1", command: "assets", registry: "", directory: "" } as const,
      false,
    ],
    ["the end", { type: "stopping", signal: "SIGTERM" } as const, false],
  ])("%s", (_, event, passes) => {
    expect(sentText(new Limiter({ quiet: true }), event) !== undefined).toBe(passes);
  });
});

describe("an app that keeps crashing", () => {
  const exited = (restartInMs: number | undefined): DewyEvent => ({
    type: "app-exited",
    tag: "v1",
    generation: 1,
    pid: 7,
    code: 1,
    signal: null,
    lastLines: [`at ${Math.random()}`],
    restartInMs,
  });
  const poll = (limiter: Limiter): unknown =>
    sentText(limiter, { type: "polled", outcome: "fine" });
  test("is sent once, however often polls succeed in between, and again the next day", () => {
    const limiter = new Limiter(LOUD);
    const shown = [1_000, 2_000, 4_000, 60_000, 60_000].map((pause) => {
      poll(limiter);
      return sentText(limiter, exited(pause)) !== undefined;
    });
    expect(shown).toEqual([true, false, false, false, false]);
    expect(sentText(limiter, exited(60_000), DAY_MS)).toBeDefined();
  });
  test("is sent again after it was stable, and when it is not restarted", () => {
    const limiter = new Limiter({ quiet: true });
    const pauses = [1_000, 2_000, 1_000, 2_000, undefined];
    expect(pauses.map((pause) => sentText(limiter, exited(pause)) !== undefined)).toEqual([
      true,
      false,
      true,
      false,
      true,
    ]);
  });
  test("is sent once as well when it cannot be started", () => {
    const limiter = new Limiter({ quiet: true });
    const failed = (retryInMs: number): DewyEvent => ({
      type: "start-failed",
      tag: "v1",
      reason: 'Cannot read --env-file "app.env"',
      retryInMs,
    });
    const shown = [1_000, 2_000, 60_000].map((pause) => {
      poll(limiter);
      return sentText(limiter, failed(pause)) !== undefined;
    });
    expect(shown).toEqual([true, false, false]);
  });
  test("is sent once as well when it runs in a container", () => {
    const limiter = new Limiter({ quiet: true });
    const pauses = [1_000, 2_000, 4_000, 1_000];
    const lost = (replaceInMs: number): DewyEvent => ({
      type: "replica-lost",
      tag: "v1",
      container: `app-${Math.random()}-0`,
      reason: "exited with exit code 1",
      lastLines: [],
      replaceInMs,
    });
    expect(pauses.map((pause) => sentText(limiter, lost(pause)) !== undefined)).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });
});
