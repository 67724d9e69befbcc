import { describe, expect, it } from "vitest";
import { type DeployPhase, HostError, RemoteError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { JournalEntry } from "../../src/journal/entry.ts";
import { JOURNAL_EVENTS } from "../../src/journal/recorded_events.ts";
import { Recorder } from "../../src/journal/recorder.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";

const alice = { user: "alice", message: "checkout fails" };

/** The entries of some events. */
function record(...events: readonly DewyEvent[]): JournalEntry[] {
  return recordWith(new Recorder(fakeClock(), String), events);
}

function recordWith(recorder: Recorder, events: readonly DewyEvent[]): JournalEntry[] {
  return events.flatMap((event) => recorder.record(event)?.entry ?? []);
}

function phases(tag: string, ...list: readonly [DeployPhase | "bake", number][]): DewyEvent[] {
  return list.flatMap(([phase, durationMs]): DewyEvent[] => [
    { type: "phase-started", phase, tag },
    { type: "phase", phase, tag, durationMs },
  ]);
}

function deployed(tag: string, more: Partial<Extract<DewyEvent, { type: "deployed" }>> = {}) {
  return {
    type: "deployed",
    command: "server",
    tag,
    previousTag: "v1.0.0",
    directory: "/d",
    durationMs: 5000,
    ...more,
  } satisfies DewyEvent;
}

function failed(
  error: HostError | RemoteError,
  { tag, phase = "resolve" }: { tag?: string; phase?: DeployPhase } = {},
): DewyEvent {
  return { type: "failed", phase, tag, error, count: 1, retryInMs: 10_000 };
}

function hook(exitCode: number | null, stderr = ""): DewyEvent {
  const result = {
    when: "before" as const,
    command: "./migrate --password hunter2",
    exitCode,
    stdout: "",
    stderr,
    durationMs: 250,
    timedOut: exitCode === null,
  };
  return { type: "hook", tag: "v1.1.0", result };
}

const unreachable = (reason: string): RemoteError =>
  new RemoteError(`Cannot reach the registry: ${reason}`, { method: "GET", url: "https://x" });

describe("the entries of a deploy", () => {
  it("have the durations of its phases, with the bake apart", () => {
    const [entry] = record(
      ...phases("v1.1.0", ["stage", 1200], ["before", 30], ["activate", 5], ["verify", 3000]),
      ...phases("v1.1.0", ["bake", 30_000], ["commit", 2]),
      deployed("v1.1.0"),
    );
    expect(entry).toMatchObject({
      event: "deployed",
      tag: "v1.1.0",
      previousTag: "v1.0.0",
      durationMs: 5000,
      phases: { stage: 1200, before: 30, activate: 5, verify: 3000, bake: 30_000, commit: 2 },
    });
  });

  it("have the duration of the phase that failed", () => {
    const error = new HostError("it crashed");
    const [entry] = record(
      ...phases("v1.1.0", ["stage", 1200], ["verify", 3000]),
      { type: "phase-started", phase: "bake", tag: "v1.1.0" },
      { type: "phase-failed", phase: "bake", tag: "v1.1.0", error, durationMs: 41_000 },
      failed(error, { tag: "v1.1.0", phase: "verify" }),
    );
    expect(entry?.phases).toEqual({ stage: 1200, verify: 3000, bake: 41_000 });
  });

  it("share an id, which the next attempt does not have", () => {
    const attempt: DewyEvent[] = [
      ...phases("v1.1.0", ["stage", 1]),
      hook(0),
      { type: "rolled-back", tag: "v1.1.0", to: "v1.0.0", reason: "it crashed" },
      failed(new HostError("it crashed"), { tag: "v1.1.0", phase: "verify" }),
    ];
    const entries = record(...attempt, ...phases("v1.1.0", ["stage", 1]), deployed("v1.1.0"));
    expect(entries.map(({ event }) => event)).toEqual([
      "hook",
      "rolled-back",
      "failed",
      "deployed",
    ]);
    const [first, ...rest] = entries.map(({ deploy }) => deploy);
    expect(first).toMatch(/^[0-9a-f]{8}$/);
    expect(rest.slice(0, 2)).toEqual([first, first]);
    expect(rest[2]).not.toBe(first);
  });

  it("do not mix the phases of two versions, nor those of an attempt that was given up", () => {
    const [one, other, again] = record(
      ...phases("v1.1.0", ["stage", 1], ["activate", 2], ["verify", 3]),
      ...phases("v1.2.0", ["stage", 10], ["activate", 20], ["verify", 30]),
      { type: "superseded", tag: "v1.1.0", by: "v1.2.0" },
      ...phases("v1.2.0", ["stage", 11], ["activate", 21], ["verify", 31], ["bake", 41]),
      deployed("v1.2.0"),
      ...phases("v1.3.0", ["activate", 1], ["verify", 2]),
      ...phases("v1.3.0", ["activate", 3], ["verify", 4]),
      deployed("v1.3.0"),
    );
    expect(one).toMatchObject({ by: "v1.2.0", phases: { stage: 1, activate: 2, verify: 3 } });
    expect(other?.phases).toEqual({ stage: 11, activate: 21, verify: 31, bake: 41 });
    expect(again?.phases).toEqual({ activate: 3, verify: 4 });
  });

  it("name the operator who asked for it, and how long a rollback took", () => {
    const clock = fakeClock();
    const recorder = new Recorder(clock, String);
    const back: DewyEvent = {
      type: "rolled-back",
      tag: "v1.1.0",
      to: "v1.0.0",
      reason: "asked",
      operator: alice,
    };
    const [ordered] = recordWith(recorder, [
      { type: "ordered", command: "rollback v1.0.0", operator: alice },
    ]);
    clock.advance(905);
    const [first, second] = recordWith(recorder, [back, back]);
    expect(ordered).toMatchObject({ command: "rollback v1.0.0", ...alice });
    expect(first).toMatchObject({ tag: "v1.1.0", to: "v1.0.0", durationMs: 905, ...alice });
    // An earlier process has begun it.
    expect(second).not.toHaveProperty("durationMs");
    expect(record(deployed("v1.1.0"))[0]).not.toHaveProperty("user");
  });

  it("are durable, as commands are; those about polls are not", () => {
    const recorder = new Recorder(fakeClock(), String);
    const isDurable = (event: DewyEvent): unknown => recorder.record(event)?.isDurable;
    expect(isDurable(deployed("v1.1.0"))).toBe(true);
    expect(isDurable({ type: "ordered", command: "pause", operator: { user: "bob" } })).toBe(true);
    expect(isDurable(failed(new HostError("no"), { tag: "v1" }))).toBe(true);
    expect(isDurable(failed(unreachable("refused")))).toBe(false);
    expect(isDurable({ type: "app-restart", signal: "SIGHUP" })).toBe(false);
  });
});

describe("a condition that lasts", () => {
  const waiting = (why: "pinned" | "window", reason: string): DewyEvent => ({
    type: "waiting",
    tag: "v2.0.0",
    why,
    reason,
    until: new Date(0),
  });

  it("is one entry, and another one when it changes", () => {
    const entries = record(
      waiting("pinned", "pinned to v1.0.0 by alice"),
      waiting("pinned", "pinned to v1.0.0 by alice"),
      waiting("window", "outside of the window"),
      waiting("pinned", "pinned to v1.0.0 by alice"),
      waiting("pinned", "pinned to v1.1.0 by bob"),
    );
    expect(entries.map(({ reason }) => reason)).toEqual([
      "pinned to v1.0.0 by alice",
      "outside of the window",
      "pinned to v1.1.0 by bob",
    ]);
    expect(entries[0]).toMatchObject({ why: "pinned", until: "1970-01-01T00:00:00.000Z" });
  });

  it("is not over when a poll finds its version baking", () => {
    const failure = failed(new HostError("out of memory"), { tag: "v2.0.0" });
    const baking: DewyEvent = { type: "polled", outcome: "fine", isOpen: true };
    const fine: DewyEvent = { type: "polled", outcome: "fine" };
    const entries = record(failure, baking, failure, fine, failure);
    expect(entries.map(({ event }) => event)).toEqual(["failed", "polled", "polled", "failed"]);
  });

  it("is one entry a day", () => {
    const clock = fakeClock();
    const recorder = new Recorder(clock, String);
    const again = waiting("pinned", "pinned to v1.0.0 by alice");
    const counts = [0, 23, 1, 24, 1].map((hours) => {
      clock.advance(hours * 3_600_000 + 1);
      return recordWith(recorder, [again, again]).length;
    });
    expect(counts).toEqual([1, 0, 1, 1, 0]);
  });

  it("is another entry if the system time was set back by more than a day", () => {
    const clock = fakeClock();
    const recorder = new Recorder(clock, String);
    const again = waiting("pinned", "pinned to v1.0.0 by alice");
    const counts = [0, 1, 24].map((hours) => {
      clock.setBack(hours * 3_600_000);
      return recordWith(recorder, [again]).length;
    });
    expect(counts).toEqual([1, 0, 1]);
  });

  it("is news again after a command or a deploy, but not after a mere poll", () => {
    const again = waiting("pinned", "pinned to v1.0.0 by alice");
    const ordered = (command: string): DewyEvent => ({
      type: "ordered",
      command,
      operator: { user: "alice" },
    });
    const events = record(
      again,
      ordered("poll"),
      again,
      ordered("pin v1.0.0"),
      again,
      deployed("v1.0.0"),
      again,
    ).map(({ event }) => event);
    expect(events.filter((event) => event === "waiting")).toHaveLength(3);
  });

  it("is one entry for a failure whose numbers differ, until a poll succeeds", () => {
    const entries = record(
      failed(unreachable("connection refused by 10.0.0.1 after 31 ms")),
      failed(unreachable("connection refused by 10.0.0.2 after 7 ms")),
      failed(unreachable("no such host")),
      failed(unreachable("connection refused by 10.0.0.1 after 31 ms")),
      { type: "succeeded-again", after: 4 },
      failed(unreachable("no such host")),
    );
    expect(entries.map(({ event }) => event)).toEqual([
      "failed",
      "failed",
      "succeeded-again",
      "failed",
    ]);
  });

  it("is not repeated as a bad version by the next poll", () => {
    const events = record(
      failed(new HostError("it crashed"), { tag: "v1", phase: "verify" }),
      { type: "known-bad", tag: "v1", reason: "it crashed" },
      { type: "known-bad", tag: "v0", reason: "it crashed" },
    );
    expect(events.map(({ event, tag }) => [event, tag])).toEqual([
      ["failed", "v1"],
      ["known-bad", "v0"],
    ]);
  });

  it("tells exit codes, phases and versions of failures apart", () => {
    const app = (code: number): HostError => new HostError(`exited with exit code ${code}`);
    const entries = record(
      failed(app(1), { tag: "v1", phase: "verify" }),
      failed(app(1), { tag: "v1", phase: "verify" }),
      failed(app(2), { tag: "v1", phase: "verify" }),
      failed(app(1), { tag: "v1", phase: "before" }),
      failed(app(1), { tag: "v2", phase: "verify" }),
    );
    expect(entries).toHaveLength(4);
  });

  it.each<DewyEvent>([
    { type: "held", tag: "v1", running: "v2", reason: "newer" },
    { type: "listing-stale", since: new Date(0), maxMs: 1_000 },
    { type: "known-bad", tag: "v1", reason: "it crashed" },
    { type: "bytes-changed", tag: "v1", artifact: "app.tgz" },
    { type: "would-deploy", tag: "v1", previousTag: undefined, directory: "/d" },
    { type: "start-failed", tag: "v1", reason: "no such file", retryInMs: 1000 },
    { type: "warning", important: true, message: "Cannot restart the app" },
    { type: "polled", outcome: "fine", nextAt: new Date(0) },
  ])("is one entry: $type", (event) => {
    expect(record(event, event, event)).toHaveLength(1);
  });

  it("has an entry for a poll only when its outcome changes", () => {
    const polled = (outcome: "fine" | "unreachable", error?: string): DewyEvent => ({
      type: "polled",
      outcome,
      error,
      nextAt: new Date(0),
    });
    const entries = record(
      polled("fine"),
      polled("fine"),
      polled("unreachable", "no route"),
      polled("unreachable", "no route"),
      polled("fine"),
    );
    expect(entries.map(({ outcome }) => outcome)).toEqual(["fine", "unreachable", "fine"]);
    expect(entries[1]?.reason).toBe("no route");
  });
});

describe("noise", () => {
  const exited: DewyEvent = {
    type: "app-exited",
    tag: "v1",
    generation: 1,
    pid: 7,
    code: null,
    signal: "SIGSEGV",
    lastLines: Array.from({ length: 200 }, (_, number) => `${number} ${"x".repeat(1000)}`),
    restartInMs: 1000,
  };

  it("of one kind is limited and counted; deploys are not", () => {
    const clock: FakeClock = fakeClock();
    const recorder = new Recorder(clock, String);
    const events = Array.from({ length: 100 }, () => [exited, deployed("v1")]).flat();
    const entries = recordWith(recorder, events);
    expect(entries.filter(({ event }) => event === "app-exited")).toHaveLength(20);
    expect(entries.filter(({ event }) => event === "deployed")).toHaveLength(100);
    clock.advance(5 * 60_000);
    expect(recordWith(recorder, [exited])).toMatchObject([{ omitted: 80 }]);
    expect(recordWith(recorder, [exited])).toEqual([]);
  });

  it("of webhooks is one entry a minute, and only if they were accepted", () => {
    const clock = fakeClock();
    const recorder = new Recorder(clock, String);
    const webhook = (outcome: "accepted" | "ignored" | "refused"): DewyEvent => ({
      type: "webhook",
      source: "github",
      outcome,
    });
    const outcomes = ["accepted", "accepted", "accepted", "ignored", "refused"] as const;
    expect(recordWith(recorder, outcomes.map(webhook))).toMatchObject([{ source: "github" }]);
    clock.advance(60_000);
    expect(recordWith(recorder, [webhook("accepted")])).toMatchObject([{ omitted: 2 }]);
  });

  it("of an app is bounded", () => {
    const [entry] = record(exited);
    expect(entry?.lastLines).toHaveLength(20);
    expect(entry?.lastLines?.at(-1)).toMatch(/^199 x{496}$/);
    expect(entry).toMatchObject({ signal: "SIGSEGV", retryInMs: 1000 });
    expect(entry).not.toHaveProperty("exitCode");
  });

  it("of a hook that passed is not among its last lines", () => {
    const [good, bad, late] = record(
      hook(0, "all is well"),
      hook(1, ["1", "2", "3", "4", "5", "no table"].join("\n")),
      hook(null),
    );
    expect(good).toMatchObject({ when: "before", exitCode: 0, durationMs: 250 });
    expect(good).not.toHaveProperty("lastLines");
    expect(bad?.lastLines).toEqual(["2", "3", "4", "5", "no table"]);
    expect(late).toMatchObject({ timedOut: true });
  });

  it("of a hook is bounded: its beginning and its end, without secrets that the cut would tear", () => {
    const redact = (text: string): string => text.replaceAll("hunter2-hunter2", "…");
    const lines = Array.from({ length: 600 }, (_, index) => `line ${index} hunter2-hunter2`);
    const { stdout = "", stderr = "" } =
      new Recorder(fakeClock(), redact).record(hook(1, lines.join("\n")))?.entry ?? {};
    expect(stdout).toBe("");
    expect(stderr.length).toBeLessThan(1_900);
    expect(stderr).not.toContain("hunter2-");
    expect(stderr).toMatch(/^line 0 …\nline 1 …\n/);
    expect(stderr).toMatch(/\nline \d+ …\n… \(\d+ characters left out\)\nline \d+ …\n/);
    expect(stderr).toMatch(/\nline 599 …$/);
    const whole = redact(lines.join("\n")).length;
    const left = Number(/(\d+) characters left out/.exec(stderr)?.[1]);
    expect(stderr.replace(/\n… \(.*\)\n/, "").length + left).toBe(whole);
  });

  it.each<DewyEvent>([
    { type: "unchanged", tag: "v1" },
    { type: "resolved", tag: "v1", artifact: "a", url: "u" },
    { type: "warning", message: "Request is slow" },
    { type: "uncaught", error: "TypeError: no", count: 2 },
  ])("has no entry: $type", (event) => {
    expect(record(event)).toEqual([]);
  });
});

it("JOURNAL_EVENTS has the names of all entries", () => {
  expect(JOURNAL_EVENTS).toContain("deployed");
  expect(JOURNAL_EVENTS).toContain("gap");
  expect(JOURNAL_EVENTS).not.toContain("phase");
  expect(JOURNAL_EVENTS).not.toContain("request");
});
