import { describe, expect, test } from "vitest";
import { type FleetStatus, fleetJson, fleetText } from "../../../src/cli/fleet/text.ts";
import { type HostView, hostViews, type SeenMember } from "../../../src/cli/fleet/view.ts";
import { terminalStyle } from "../../../src/cli/terminal.ts";
import type { Member, Rollout } from "../../../src/fleet/types.ts";

const NOW = Date.UTC(2026, 4, 1, 12, 0, 0);
const TTL = 600_000;

function seen(host: string, over: Partial<Member> = {}, agoMs = 12_000): SeenMember {
  const member = { revision: 1, host, instance: `${host}:1`, tag: "v1.2.0", ...over };
  return { member, silentMs: agoMs };
}

function rolloutOf(over: Partial<Rollout> = {}): Rollout {
  return {
    revision: 7,
    writer: "a",
    registry: "ghr://acme/app",
    tag: "v1.3.0",
    waves: [{ hosts: 1 }, { percent: 50 }, { percent: 100 }],
    maxFailures: 0,
    hosts: ["a", "b", "c", "d"],
    wave: 1,
    state: "running",
    passed: [],
    started: ["a", "b"],
    failed: [],
    lost: [],
    forgiven: [],
    previous: "v1.2.0",
    ...over,
  };
}

function statusOf(rollout: Rollout | undefined, members: readonly SeenMember[]): FleetStatus {
  const hosts = hostViews({ rollout, members, memberTtlMs: TTL });
  return { fleet: "web", rollout, hosts, now: NOW };
}

function viewOf(
  host: string,
  rollout: Rollout | undefined,
  members: readonly SeenMember[],
): HostView {
  const found = statusOf(rollout, members).hosts.find((one) => one.host === host);
  if (found === undefined) throw new Error(`no host ${host}`);
  return found;
}

const style = terminalStyle({ isTerminal: false, columns: 100 }, {});
const task = (phase: NonNullable<Member["task"]>["phase"], reason?: string) => ({
  tag: "v1.3.0",
  phase,
  reason,
});

describe("the hosts of a fleet", () => {
  test("are in the order of the rollout, with their waves; those that joined later come last", () => {
    const members = ["x", "c", "b", "a"].map((host) => seen(host));
    const { hosts } = statusOf(rolloutOf(), members);
    expect(hosts.map(({ host, wave }) => [host, wave])).toEqual([
      ["a", 1],
      ["b", 2],
      ["c", 3],
      ["d", 3],
      ["x", 3],
    ]);
  });

  test("move up for a host that is passed over", () => {
    const { hosts } = statusOf(rolloutOf({ passed: ["a"] }), []);
    expect(hosts.map(({ host, wave }) => [host, wave])).toEqual([
      ["a", undefined],
      ["b", 1],
      ["c", 2],
      ["d", 3],
    ]);
  });

  test("stand in for those that have failed before them", () => {
    const failed = ["a", "b"].map((host) => ({ host, reason: "exit code 1" }));
    const { hosts } = statusOf(rolloutOf({ failed, wave: 0 }), []);
    expect(hosts.map(({ host, wave }) => [host, wave])).toEqual([
      ["a", 1],
      ["b", 1],
      ["c", 1],
      ["d", 2],
    ]);
  });

  test("have the state that they report", () => {
    const state = (phase: NonNullable<Member["task"]>["phase"]) =>
      viewOf("a", rolloutOf(), [seen("a", { task: task(phase, "pinned") })]);
    expect(state("baking")).toMatchObject({ state: "baking", tag: "v1.2.0" });
    expect(state("held")).toMatchObject({ state: "held", reason: "pinned" });
  });

  test("of which the report is about another version, wait, or are done", () => {
    const old = { tag: "v1.2.0", phase: "done" as const };
    expect(viewOf("a", rolloutOf(), [seen("a", { task: old })])).toMatchObject({
      state: "waiting",
    });
    expect(viewOf("a", rolloutOf(), [seen("a", { tag: "v1.3.0" })])).toMatchObject({
      state: "done",
    });
    const halted = rolloutOf({ state: "halted" });
    expect(viewOf("a", halted, [seen("a")])).toMatchObject({ state: "idle" });
    expect(viewOf("a", undefined, [seen("a")])).toMatchObject({ state: "idle", wave: undefined });
  });

  test("that failed or vanished are what the rollout counts them as", () => {
    const failed = rolloutOf({ failed: [{ host: "a", reason: "exit code 1" }] });
    expect(viewOf("a", failed, [seen("a", { task: task("failed") })])).toMatchObject({
      state: "failed",
      reason: "exit code 1",
    });
    expect(viewOf("a", failed, [seen("a", { task: task("rolled-back", "halted") })])).toMatchObject(
      { state: "rolled-back", reason: "halted" },
    );
    const lost = rolloutOf({ lost: ["a"] });
    const silent = seen("a", { task: task("baking") }, TTL + 1);
    expect(viewOf("a", lost, [silent])).toMatchObject({ state: "lost" });
  });

  test("are gone after the time of members, and when there is no record", () => {
    const member = (agoMs: number) => viewOf("a", rolloutOf(), [seen("a", {}, agoMs)]).state;
    expect(member(TTL)).toBe("waiting");
    expect(member(TTL + 1)).toBe("gone");
    expect(viewOf("a", rolloutOf(), [])).toMatchObject({ state: "gone", silentMs: undefined });
  });
});

describe("the text of a fleet", () => {
  const members = [
    seen("a", { tag: "v1.3.0", task: task("done") }, 90_000),
    seen("b", { tag: "v1.3.0", task: task("baking") }, 0),
    seen("c", { task: task("held", "pinned to v1.2.0 by alice") }),
  ];

  test("shows the rollout and its hosts", () => {
    const rollout = rolloutOf({ next: "v1.4.0" });
    expect(fleetText(statusOf(rollout, members), style)).toBe(
      `fleet web
  rollout   v1.3.0, running
  wave      2 of 3 (1, 50%, 100%): 2 of 4 hosts
  failures  0, at most 0
  previous  v1.2.0
  next      v1.4.0
  hosts     1 done, 1 baking, 1 held, 1 gone

HOST  VERSION  WAVE  STATE   LAST SEEN  NOTES
a     v1.3.0   1     done    1 min ago
b     v1.3.0   2     baking  just now
c     v1.2.0   3     held    12 s ago   pinned to v1.2.0 by alice
d     none     3     gone    never
`,
    );
  });

  test("says why a rollout was halted, and what was forgiven", () => {
    const rollout = rolloutOf({
      state: "halted",
      reason: "2 hosts have failed, at most 0 may",
      failed: [{ host: "a", reason: "exit code 1" }],
      lost: ["b"],
      forgiven: ["a"],
    });
    const text = fleetText(statusOf(rollout, members), style);
    expect(text).toContain("rollout   v1.3.0, halted: 2 hosts have failed, at most 0 may\n");
    expect(text).toContain("failures  1, at most 0, 1 more forgiven\n");
  });

  test("shows a fleet before its first rollout", () => {
    const text = fleetText(statusOf(undefined, [seen("a")]), style);
    expect(text).toContain("fleet web\n  rollout  none yet\n  hosts    1 idle\n");
  });

  test("obeys no control characters of others", () => {
    const hostile = rolloutOf({ state: "halted", reason: "\u001b[2Jgone\n" });
    const text = fleetText(
      statusOf(hostile, [seen("a", { task: task("held", "\u001b]0;x") })]),
      style,
    );
    expect(text).not.toContain("\u001b");
  });
});

test("the JSON of a fleet has a value for each field", () => {
  const rollout = rolloutOf({ failed: [{ host: "a", reason: "exit code 1" }], state: "halted" });
  expect(fleetJson(statusOf(rollout, [seen("a")]))).toEqual({
    fleet: "web",
    rollout: {
      tag: "v1.3.0",
      state: "halted",
      reason: null,
      wave: 2,
      waves: ["1", "50%", "100%"],
      hosts: 4,
      failed: [{ host: "a", reason: "exit code 1" }],
      lost: [],
      forgiven: [],
      maxFailures: 0,
      previous: "v1.2.0",
      next: null,
      registry: "ghr://acme/app",
    },
    hosts: expect.arrayContaining([
      {
        host: "a",
        tag: "v1.2.0",
        wave: 1,
        state: "failed",
        reason: "exit code 1",
        seenAt: "2026-05-01T11:59:48.000Z",
      },
      { host: "d", tag: null, wave: 3, state: "gone", reason: null, seenAt: null },
    ]),
  });
  expect(fleetJson(statusOf(undefined, []))).toEqual({ fleet: "web", rollout: null, hosts: [] });
});
