import { expect, test } from "vitest";
import { advanceRollout, beginRollout, fleetVerdict, mayTake } from "../../src/fleet/rollout.ts";
import type { Member, MemberTask, Rollout } from "../../src/fleet/types.ts";

const HOSTS = Array.from({ length: 20 }, (_, index) => `host-${index}`);
const PLAN = { tag: "v2", waves: [{ hosts: 1 }, { percent: 10 }], maxFailures: 0 };
const TTL = 1000;

function begin(): Rollout {
  return beginRollout(PLAN, HOSTS, undefined, 0);
}

function first(phase: MemberTask["phase"], seenAt = 0): Member[] {
  return [{ host: begin().hosts[0] ?? "", seenAt, task: { tag: "v2", phase, since: 0 } }];
}

function admitted(rollout: Rollout): number {
  return HOSTS.filter((host) => mayTake(rollout, host)).length;
}

test("each wave admits its share of the members", () => {
  const counts = [0, 1, 2].map((wave) => admitted({ ...begin(), wave }));
  expect(counts).toEqual([1, 2, 20]);
});

test("the next wave begins when the first host has finished its bake", () => {
  expect(advanceRollout(begin(), first("baking"), 0, TTL).wave).toBe(0);
  expect(advanceRollout(begin(), first("done"), 0, TTL).wave).toBe(1);
});

test("a host that vanishes during its bake halts the rollout", () => {
  expect(advanceRollout(begin(), first("baking"), TTL + 1, TTL).state).toBe("halted");
});

test("hosts wait while a rollout is halted", () => {
  const halted = advanceRollout(begin(), first("failed"), 0, TTL);
  const asked = { tag: "v2", running: "v1", rollbackOnHalt: false };
  for (const host of HOSTS) expect(fleetVerdict(halted, host, asked).kind).toBe("wait");
});

test("a rollout without a wave complete stays as it is", () => {
  const rollout = begin();
  expect(advanceRollout(rollout, first("held"), 0, TTL)).toBe(rollout);
});

test("a last wave of 100% is not repeated", () => {
  const plan = { ...PLAN, waves: [{ hosts: 1 }, { percent: 100 }] };
  expect(beginRollout(plan, HOSTS, undefined, 0).waves).toEqual(plan.waves);
});
