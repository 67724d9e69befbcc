import { expect, test } from "vitest";
import {
  abortRollout,
  beginRollout,
  failHost,
  nextWave,
  observe,
  resumeRollout,
  type Sighting,
  startHost,
  stepFor,
  waveMembers,
} from "../../src/fleet/rollout.ts";
import type { MemberTask, Rollout } from "../../src/fleet/types.ts";

const HOSTS = Array.from({ length: 20 }, (_, index) => `host-${index}`);
const PLAN = {
  registry: "ghr://owner/app",
  tag: "v2",
  waves: [{ hosts: 1 }, { percent: 10 }],
  maxFailures: 0,
};
const RANKED = begin().hosts;
const [CANARY = "", SECOND = "", THIRD = ""] = RANKED;

function begin(plan: Partial<typeof PLAN> = {}): Rollout {
  return beginRollout({ ...PLAN, ...plan }, HOSTS, undefined, "v1");
}

function started(rollout: Rollout, ...hosts: string[]): Rollout {
  return hosts.reduce((now, host) => startHost(now, host) ?? expect.fail(host), rollout);
}

type Phases = Readonly<Record<string, MemberTask["phase"] | "gone">>;

function seen(phases: Phases): Map<string, Sighting> {
  const all = HOSTS.map((host) => [host, { isAlive: true, tag: "v1" } as Sighting] as const);
  const sightings = new Map<string, Sighting>(all);
  for (const [host, phase] of Object.entries(phases)) {
    const task = phase === "gone" ? undefined : { tag: "v2", phase };
    sightings.set(host, { isAlive: phase !== "gone", task });
  }
  return sightings;
}

test("each wave has its share of the members, and the last one all", () => {
  const counts = [0, 1, 2].map((wave) => waveMembers({ ...begin(), wave }).length);
  expect(counts).toEqual([1, 2, 20]);
});

test("a last wave of 100% is not repeated", () => {
  const waves = [{ hosts: 1 }, { percent: 100 }];
  expect(begin({ waves }).waves).toEqual(waves);
});

test("a wave takes no more hosts than it has places", () => {
  const wave = started({ ...begin(), wave: 1 }, CANARY, SECOND);
  expect(HOSTS.filter((host) => !wave.started.includes(host) && startHost(wave, host))).toEqual([]);
});

test("a host that stands in does not give its place back", () => {
  const { rollout } = observe(begin(), seen({ [CANARY]: "held" }));
  expect(rollout.passed).toContain(CANARY);
  const taken = started(rollout, SECOND);
  const { rollout: later } = observe(taken, seen({ [SECOND]: "baking", [CANARY]: "waiting" }));
  expect(later.passed).not.toContain(CANARY);
  expect(startHost(later, CANARY)).toBeUndefined();
});

test.each(["deploying", "baking"] as const)("the wave stays open while a host is %s", (phase) => {
  expect(observe(started(begin(), CANARY), seen({ [CANARY]: phase })).wave).toBe("open");
});

test("the wave is complete when its host has finished its bake", () => {
  expect(observe(started(begin(), CANARY), seen({ [CANARY]: "done" })).wave).toBe("complete");
});

test("a wave of which no host has finished is not complete", () => {
  expect(observe(begin(), seen({ [CANARY]: "gone" })).wave).toBe("open");
});

test("a host that vanishes during its bake counts as failed until it reports again", () => {
  const rollout = started(begin({ maxFailures: 1 }), CANARY);
  const gone = observe({ ...rollout, wave: 1 }, seen({ [CANARY]: "gone" })).rollout;
  expect(gone.lost).toEqual([CANARY]);
  expect(observe(gone, seen({ [CANARY]: "baking" })).rollout.lost).toEqual([]);
});

test("a failure beyond the limit halts the rollout, and nobody else takes the version", () => {
  const halted = failHost(started(begin(), CANARY), CANARY, "exited with 1");
  expect(halted).toMatchObject({
    state: "halted",
    reason: expect.stringContaining("exited with 1"),
  });
  expect(HOSTS.filter((host) => startHost(halted, host) !== undefined)).toEqual([]);
});

test("a failure within the limit leaves its place to the next rank", () => {
  const rollout = failHost(started(begin({ maxFailures: 1 }), CANARY), CANARY, "exited with 1");
  expect(rollout.state).toBe("running");
  expect(startHost(rollout, CANARY)).toBeUndefined();
  expect(startHost(rollout, SECOND)?.started).toEqual([CANARY, SECOND]);
});

test("a failure that only the host's own record shows halts as well", () => {
  const { rollout } = observe(started(begin(), CANARY), seen({ [CANARY]: "failed" }));
  expect(rollout.state).toBe("halted");
});

test("a wave whose hosts have all vanished halts", () => {
  const lost = started(begin({ maxFailures: 5 }), CANARY);
  expect(observe(lost, seen({ [CANARY]: "gone" })).rollout).toMatchObject({
    state: "halted",
    reason: expect.stringContaining("wave 1"),
  });
});

test("resuming forgives the failures so far, and the next one halts again", () => {
  const halted = failHost(
    started({ ...begin(), wave: 1 }, CANARY, SECOND),
    CANARY,
    "exited with 1",
  );
  const resumed = resumeRollout(halted);
  expect(observe(resumed, seen({ [CANARY]: "failed", [SECOND]: "baking" })).rollout.state).toBe(
    "running",
  );
  expect(failHost(resumed, SECOND, "exited with 1").state).toBe("halted");
});

const asked = {
  host: THIRD,
  registry: PLAN.registry,
  tag: "v2",
  running: "v1",
  compare: (a: string, b: string): -1 | 0 | 1 => (a === b ? 0 : a < b ? -1 : 1),
};

test.each<[string, Rollout | undefined, Partial<typeof asked> | { running: undefined }, object]>([
  ["the first version begins a rollout", undefined, {}, { kind: "begin" }],
  ["a host outside the wave waits", begin(), {}, { kind: "wait" }],
  ["a host of the wave takes its place", begin(), { host: CANARY }, { kind: "start" }],
  ["the last wave needs no place", { ...begin(), wave: 2 }, {}, { kind: "announce" }],
  ["a version rolled out completely is free", { ...begin(), state: "done" }, {}, { kind: "go" }],
  ["a halted version is not taken", { ...begin(), state: "halted" }, {}, { kind: "wait" }],
  ["an aborted version is not begun again", abortRollout(begin(), "x"), {}, { kind: "wait" }],
  ["a newer version is the next", begin(), { tag: "v3" }, { kind: "note" }],
  [
    "a newer version replaces a halted one",
    { ...begin(), state: "halted" },
    { tag: "v3" },
    { kind: "begin" },
  ],
  ["an older version waits", begin(), { tag: "v0" }, { kind: "wait" }],
  [
    "going back to the version before is free",
    begin(),
    { tag: "v1", running: "v2" },
    { kind: "go" },
  ],
  [
    "nothing runs: the version before",
    begin(),
    { running: undefined },
    { kind: "instead", tag: "v1" },
  ],
  ["another app has the fleet", begin(), { registry: "ghr://owner/other" }, { kind: "wait" }],
])("%s", (_, rollout, change, step) => {
  expect(stepFor(rollout, { ...asked, ...change })).toMatchObject(step);
});

test("the waves follow each other until the rollout is done", () => {
  const last = nextWave(nextWave(begin()));
  expect(last).toMatchObject({ wave: 2, state: "running" });
  expect(nextWave(last).state).toBe("done");
});
