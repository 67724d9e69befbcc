import { describe, expect, test } from "vitest";
import { type DewyEvent, RemoteError } from "../../mod.ts";
import { createLimiter, LAST_ERROR_NOTE, type Limiter } from "../../src/notifiers/limit.ts";
import { mrkdwn } from "../../src/notifiers/slack/attachment.ts";
import { notificationOf } from "../../src/notifiers/texts.ts";
import vectors from "../vectors/notifier.json" with { type: "json" };

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

function sentText(limiter: Limiter, event: DewyEvent, quiet = false): string | undefined {
  const notification = notificationOf(event, quiet);
  const admitted = notification && limiter.admit(event, notification);
  return admitted && mrkdwn(admitted.text);
}

describe("the recorded sequences, with distinct errors", () => {
  // "start" cannot be set, and broadcasting is up to the notifier.
  const cases = vectors.filter((v) => v.op === "sequence" && v.in.start === 0 && !v.in.broadcast);
  test.each(cases)("$name", (vector) => {
    const quiet = vector.in.quiet === true;
    const limiter = createLimiter(quiet);
    let count = 0;
    const out = vector.out as { call: string; count: number; sent?: string[] }[];
    (vector.in.calls as string[]).forEach((call, index) => {
      const { sent } = out[index] ?? {};
      if (call === "reset") {
        limiter.reset();
        count = 0;
      } else if (call === "error") {
        count += 1;
        const text = sentText(limiter, failed(count, `boom ${index}`));
        expect(text).toBe(sent?.[0]?.replace(/boom$/, `boom ${index}`));
      } else {
        const text = sentText(limiter, call === "important" ? DEPLOYED : DOWNLOADED, quiet);
        expect(text === undefined).toBe(sent === undefined);
      }
    });
  });
});

test("a repeated failure is sent once", () => {
  const limiter = createLimiter(false);
  const texts = [1, 2, 3, 4].map((count) => sentText(limiter, failed(count, "boom")));
  expect(texts).toEqual(["Error occurred (count: 1): boom", undefined, undefined, undefined]);
});

test("the third consecutive failure is the last one sent, until a success", () => {
  const limiter = createLimiter(false);
  const tell = (count: number): string | undefined =>
    sentText(limiter, failed(count, `boom ${count}`));
  expect([1, 2, 3, 4].map(tell)).toEqual([
    "Error occurred (count: 1): boom 1",
    "Error occurred (count: 2): boom 2",
    `${LAST_ERROR_NOTE}Error occurred (count: 3): boom 3`,
    undefined,
  ]);
  limiter.reset();
  expect(tell(1)).toBe("Error occurred (count: 1): boom 1");
});

test("a download that is repeated for a retry is sent once", () => {
  const limiter = createLimiter(false);
  expect(sentText(limiter, DOWNLOADED)).toBe("Downloaded artifact for `v1`");
  expect(sentText(limiter, DOWNLOADED)).toBeUndefined();
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
    expect(sentText(createLimiter(true), event, true) !== undefined).toBe(passes);
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
  test("is sent once, however often polls succeed in between", () => {
    const limiter = createLimiter(false);
    const shown = [1_000, 2_000, 4_000, 60_000, 60_000].map((pause) => {
      limiter.reset();
      return sentText(limiter, exited(pause)) !== undefined;
    });
    expect(shown).toEqual([true, false, false, false, false]);
  });
  test("is sent again after it was stable, and when it is not restarted", () => {
    const limiter = createLimiter(true);
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
    const limiter = createLimiter(true);
    const failed = (retryInMs: number): DewyEvent => ({
      type: "start-failed",
      tag: "v1",
      reason: 'Cannot read --env-file "app.env"',
      retryInMs,
    });
    const shown = [1_000, 2_000, 60_000].map((pause) => {
      limiter.reset();
      return sentText(limiter, failed(pause)) !== undefined;
    });
    expect(shown).toEqual([true, false, false]);
  });
  test("is sent once as well when it runs in a container", () => {
    const limiter = createLimiter(true);
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
