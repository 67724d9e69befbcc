import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { directoryStatus, LiveStatus, runningStatus } from "../../src/agent/instance_status.ts";
import type { InstanceStatus } from "../../src/control/protocol.ts";
import { HostError } from "../../src/core/error.ts";
import { type DeployState, EMPTY_STATE } from "../../src/deploy/state.ts";
import { statePath } from "../../src/host/files/own_paths.ts";
import { stateFile } from "../../src/host/files/state_file.ts";
import { fakeClock } from "../fakes/clock.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const AT = "2026-05-01T12:00:00.000Z";
const NEXT = new Date("2026-05-01T12:10:00.000Z");

async function directoryWith(change: Partial<DeployState>): Promise<string> {
  const root = await tempDirectory();
  const state: DeployState = {
    ...EMPTY_STATE,
    releases: [release("v1.0.0", "20260501T100000Z"), release("v1.1.0", "20260501T110000Z")],
    ...change,
  };
  await stateFile(statePath(root), () => {}).update(() => state);
  for (const { directory } of state.releases) {
    await mkdir(join(root, "releases", directory), { recursive: true });
  }
  return root;
}

function release(tag: string, directory: string) {
  return { id: tag, tag, artifact: "app.tar.gz", directory, stagedAt: AT };
}

describe("directoryStatus", () => {
  test("shows what is live, since when, and what operators have decided", async () => {
    const root = await directoryWith({
      bad: [{ tag: "v1.2.0", reason: "it exited with exit code 3", at: AT }],
      pinned: { user: "alice", message: "until monday", at: AT, tag: "v1.0.0" },
      paused: { user: "bob", at: AT },
      skipped: [{ user: "bob", at: AT, tag: "v1.1.0", andEarlier: true }],
      signers: [{ kind: "ssh", signer: "SHA256:key", tag: "v1.0.0", at: AT }],
      order: {
        id: "1",
        kind: "rollback",
        user: "bob",
        at: AT,
        tag: "v1.0.0",
        directory: "20260501T100000Z",
      },
    });
    await symlink("releases/20260501T100000Z", join(root, "current"));
    expect(await directoryStatus({ name: "app", mode: "server", directory: root })).toEqual({
      name: "app",
      mode: "server",
      directory: root,
      live: {
        tag: "v1.0.0",
        directory: join(root, "releases", "20260501T100000Z"),
        since: expect.stringMatching(/^\d{4}-.*Z$/),
      },
      phase: { name: "stopped" },
      waiting: [],
      bad: [{ tag: "v1.2.0", reason: "it exited with exit code 3", at: AT }],
      pinned: { user: "alice", message: "until monday", at: AT, tag: "v1.0.0" },
      paused: { user: "bob", at: AT },
      skipped: [{ user: "bob", at: AT, tag: "v1.1.0", andEarlier: true }],
      signers: [{ kind: "ssh", signer: "SHA256:key", tag: "v1.0.0", at: AT }],
      order: { user: "bob", at: AT, kind: "rollback", tag: "v1.0.0" },
    });
  });

  test("says that a switch was interrupted", async () => {
    const root = await directoryWith({ switching: { to: "20260501T110000Z" } });
    const { phase, live } = await directoryStatus({ name: "app", directory: root });
    expect({ phase, live }).toEqual({
      phase: { name: "interrupted", tag: "v1.1.0" },
      live: undefined,
    });
  });

  test("does not touch an invalid state file", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, ".dewy"));
    await writeFile(statePath(root), "{");
    await directoryStatus({ name: "app", directory: root });
    expect(await readFile(statePath(root), "utf8")).toBe("{");
  });
});

function liveStatus() {
  const clock = fakeClock();
  const live = new LiveStatus(clock);
  const directory: InstanceStatus = {
    name: "app",
    directory: "/opt/app",
    phase: { name: "stopped" },
    waiting: [],
    bad: [],
    skipped: [],
  };
  const polled = (outcome: "fine" | "unreachable" = "fine", error?: string): void =>
    live.sink({ type: "polled", outcome, error, nextAt: NEXT });
  const waits = (tag: string, why: "pinned" | "window" = "window"): void =>
    live.sink({ type: "waiting", tag, why, reason: `${why} closed`, until: NEXT });
  const report = (status: Partial<InstanceStatus> = {}) => live.report({ ...directory, ...status });
  const tags = (status?: Partial<InstanceStatus>) => report(status).waiting.map(({ tag }) => tag);
  return { clock, live, polled, waits, report, tags };
}

describe("LiveStatus", () => {
  test("polls at first, then is idle until the next poll", () => {
    const { polled, report, clock } = liveStatus();
    expect(report().phase).toEqual({ name: "polling" });
    const at = new Date(clock.now()).toISOString();
    polled("unreachable", "no response");
    expect(report()).toEqual({
      phase: { name: "idle" },
      lastPoll: { at, outcome: "unreachable", error: "no response" },
      polls: [{ at, outcome: "unreachable", error: "no response" }],
      nextPollAt: NEXT.toISOString(),
      waiting: [],
    });
  });

  test("keeps the last thirty polls, the latest last", () => {
    const { polled, report, clock } = liveStatus();
    for (let poll = 1; poll <= 32; poll += 1) {
      clock.advance(60_000);
      polled(poll === 32 ? "fine" : "unreachable", poll === 32 ? undefined : `error ${poll}`);
    }
    const { polls = [], lastPoll } = report();
    expect(polls).toHaveLength(30);
    expect(polls[0]).toMatchObject({ outcome: "unreachable", error: "error 3" });
    expect(polls.at(-1)).toEqual(lastPoll);
    expect(lastPoll).toEqual({ at: new Date(clock.now()).toISOString(), outcome: "fine" });
  });

  test("shows the last rate limit of each host until it is reset", () => {
    const { live, report, clock } = liveStatus();
    const limited = (host: string, remaining: number, resetInMs: number): void =>
      live.sink({
        type: "rate-limit",
        host,
        remaining,
        limit: 60,
        resetAt: new Date(clock.now() + resetInMs),
        isRoutine: true,
      });
    expect(report().rateLimits).toBeUndefined();
    limited("api.github.com", 59, 60_000);
    limited("ghcr.io", 10, 120_000);
    limited("api.github.com", 58, 60_000);
    expect(report().rateLimits).toMatchObject([
      { host: "api.github.com", remaining: 58, limit: 60 },
      { host: "ghcr.io", remaining: 10, limit: 60 },
    ]);
    clock.advance(60_000);
    const resetAt = new Date(clock.now() + 60_000).toISOString();
    expect(report().rateLimits).toEqual([{ host: "ghcr.io", remaining: 10, limit: 60, resetAt }]);
  });

  test("is idle for good after the only poll of --once", () => {
    const { live, report } = liveStatus();
    live.sink({ type: "polled", outcome: "fine" });
    expect(report()).toMatchObject({ phase: { name: "idle" }, lastPoll: { outcome: "fine" } });
    expect(report().nextPollAt).toBeUndefined();
  });

  test("shows the phase of a deploy, and its bake", () => {
    const { live, report, polled } = liveStatus();
    const start = (phase: "stage" | "verify" | "bake" | "commit"): void =>
      live.sink({ type: "phase-started", phase, tag: "v1" });
    const end = (phase: "stage" | "verify" | "bake" | "commit"): void =>
      live.sink({ type: "phase", phase, tag: "v1", durationMs: 1 });
    const name = () =>
      report({ phase: { name: "interrupted", tag: "v1" } }).phase as { name: string; tag?: string };
    start("stage");
    expect(name()).toMatchObject({ name: "stage", tag: "v1" });
    end("stage");
    start("verify");
    expect(name()).toMatchObject({ name: "verify" });
    end("verify");
    start("bake");
    polled();
    expect(name()).toMatchObject({ name: "bake", tag: "v1" });
    end("bake");
    start("commit");
    end("commit");
    expect(name()).toMatchObject({ name: "after" });
    live.sink({
      type: "deployed",
      command: "server",
      tag: "v1",
      previousTag: undefined,
      directory: "",
      durationMs: 1,
    });
    expect(name().tag).toBeUndefined();
  });

  test("forgets a deploy that failed, and one that was given up without an event", () => {
    const { live, report, polled } = liveStatus();
    live.sink({ type: "phase-started", phase: "stage", tag: "v1" });
    const error = new HostError("the disk is full");
    live.sink({ type: "failed", phase: "stage", tag: "v1", error, count: 1, retryInMs: 1 });
    expect(report().phase.tag).toBeUndefined();
    live.sink({ type: "phase-started", phase: "stage", tag: "v2" });
    polled();
    expect(report().phase.tag).toBeUndefined();
    live.sink({ type: "phase-started", phase: "verify", tag: "v3" });
    expect(report().phase.tag).toBeUndefined(); // The state has no such switch.
  });

  test("shows what waits until a poll does not report it again", () => {
    const { polled, waits, tags } = liveStatus();
    waits("v2");
    expect(tags()).toEqual(["v2"]);
    polled();
    expect(tags()).toEqual(["v2"]);
    waits("v2");
    polled();
    expect(tags()).toEqual(["v2"]);
    polled();
    expect(tags()).toEqual([]);
  });

  test("knows since when a version is live, although the link moves for versions that fail", () => {
    const { live, report, clock } = liveStatus();
    const running = { pid: 7, dewy: "1.0.0", since: new Date(clock.now()).toISOString() };
    const link = new Date(clock.now() + 60_000).toISOString();
    const since = (tag: string) =>
      report({ process: running, live: { tag, directory: "", since: link } }).live?.since;
    const begin = (tag: string, phase: "verify" | "bake" = "verify") =>
      live.sink({ type: "phase-started", phase, tag });
    const back = (tag: string) => live.sink({ type: "rolled-back", tag, to: "v1", reason: "" });
    begin("v2");
    back("v2");
    expect(since("v1")).toBe(running.since);
    clock.advance(1_000);
    begin("v3");
    live.sink({ type: "phase", phase: "verify", tag: "v3", durationMs: 1 });
    const third = new Date(clock.now()).toISOString();
    expect(since("v3")).toBe(third);
    clock.advance(1_000);
    begin("v3", "bake");
    back("v3");
    expect(since("v1")).toBe(new Date(clock.now()).toISOString());
  });

  test("is stopping until it has ended", () => {
    const { live, report } = liveStatus();
    live.sink({ type: "stopping", signal: "SIGTERM" });
    expect(report().phase).toEqual({ name: "stopping" });
  });

  test("ignores an event that comes twice", () => {
    const { live, waits, tags } = liveStatus();
    waits("v2");
    const polled = { type: "polled", outcome: "fine", nextAt: NEXT } as const;
    live.sink(polled);
    live.sink(polled);
    expect(tags()).toEqual(["v2"]);
  });

  test("keeps what waits if a poll does not reach the registry", () => {
    const { polled, waits, tags } = liveStatus();
    waits("v2");
    polled();
    polled("unreachable");
    expect(tags()).toEqual(["v2"]);
  });

  test("drops what waits once it is live, or once its pin is lifted", () => {
    const { polled, waits, tags } = liveStatus();
    const pinned = { user: "alice", at: AT, tag: "v1" };
    waits("v2", "pinned");
    waits("v3");
    polled();
    expect(tags({ pinned })).toEqual(["v2", "v3"]);
    expect(tags()).toEqual(["v3"]);
    expect(tags({ live: { tag: "v3", directory: "" } })).toEqual([]);
  });
});

test("runningStatus masks secrets in errors and reasons", async () => {
  const root = await directoryWith({ bad: [{ tag: "v1", reason: "password hunter2", at: AT }] });
  const { live, polled } = liveStatus();
  polled("unreachable", "401 for hunter2");
  const status = await runningStatus({
    name: "app",
    mode: "server",
    directory: root,
    registry: "ghr://owner/repo",
    process: { pid: 7, dewy: "1.0.0", since: AT },
    live,
    redact: (text) => text.replaceAll("hunter2", "***"),
  });
  expect(JSON.stringify(status)).not.toContain("hunter2");
  expect(status).toMatchObject({ registry: "ghr://owner/repo", process: { pid: 7 } });
});

test("the status has the highest version, and since when the listing is the same", async () => {
  const listing = { hash: "00000000", changedAt: AT };
  const root = await directoryWith({ highest: "v2.0.0", listing });
  expect(await directoryStatus({ name: "app", directory: root })).toMatchObject({
    highest: "v2.0.0",
    listing: { changedAt: AT },
  });
});

test("runningStatus says when the next deploy window opens", async () => {
  const root = await directoryWith({});
  const { live } = liveStatus();
  const subject = {
    name: "app",
    mode: "server" as const,
    directory: root,
    registry: "ghr://owner/repo",
    process: { pid: 7, dewy: "1.0.0", since: AT },
    live,
    redact: (text: string) => text,
  };
  const closed = await runningStatus({ ...subject, opensAt: () => Date.parse(AT) });
  expect(closed.windowOpensAt).toBe(AT);
  expect((await runningStatus({ ...subject, opensAt: () => undefined })).windowOpensAt).toBe(
    undefined,
  );
});
