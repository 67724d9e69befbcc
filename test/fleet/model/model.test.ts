import { expect, test } from "vitest";
import { RemoteError } from "../../../src/core/error.ts";
import type { RolloutCheck } from "../../../src/fleet/check/types.ts";
import { abortRollout, resumeRollout } from "../../../src/fleet/rollout.ts";
import type { Rollout } from "../../../src/fleet/types.ts";
import type { Fate } from "../world/host.ts";
import type { World } from "../world/world.ts";
import { explore, type Scenario } from "./explore.ts";

/** `npm run soak` tries every single deviation, and a fiftieth of the pairs of them: about an hour. */
const IS_SOAK = process.env.DEWY_SOAK === "1";
const SEED = Number(process.env.DEWY_FLEET_SEED ?? (IS_SOAK ? Date.now() % 2 ** 31 : 14));
const SHARES = IS_SOAK ? [1, 0.02] : [0.25, 0.001];
const timeout = (IS_SOAK ? 60 : 5) * 60_000;

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const scenarios: Scenario[] = [
  {
    name: "a version that is good",
    options: { hosts: 2 },
    minutes: 20,
    script: (world) => world.time.after(5 * SECOND, () => world.publish("v1.1.0")),
  },
  {
    name: "a version that fails on each host",
    options: { hosts: 3, waves: [{ hosts: 1 }, { hosts: 2 }, { percent: 100 }] },
    minutes: 20,
    script: (world) => world.time.after(5 * SECOND, () => world.publish("v1.1.0", () => "unready")),
  },
  {
    name: "a version that crashes on one host in its bake, where one failure is allowed",
    options: { hosts: 3, waves: [{ hosts: 2 }, { percent: 100 }], maxFailures: 1 },
    minutes: 20,
    script: (world) => {
      const fate = (host: string) => (host === "web-2" ? "crashes in its bake" : "good");
      world.time.after(5 * SECOND, () => world.publish("v1.1.0", fate));
    },
  },
  {
    name: "a newer version during the first wave",
    options: { hosts: 2 },
    minutes: 20,
    script: (world) => {
      world.time.after(5 * SECOND, () => world.publish("v1.1.0"));
      world.time.after(35 * SECOND, () => world.publish("v1.2.0"));
    },
  },
  {
    name: "a newer version after a failed one",
    options: { hosts: 2 },
    minutes: 20,
    script: (world) => {
      world.time.after(5 * SECOND, () => world.publish("v1.1.0", () => "unready"));
      world.time.after(60 * SECOND, () => world.publish("v1.2.0"));
    },
  },
  {
    name: "machines on which nothing runs",
    options: { hosts: 2, running: undefined },
    minutes: 20,
    script: (world) => {
      world.time.after(5 * SECOND, () => world.publish("v1.1.0"));
      world.time.after(MINUTE, () => world.join("web-3", undefined));
    },
  },
  {
    name: "a machine that is pinned for a while",
    options: { hosts: 3 },
    minutes: 20,
    script: (world) => {
      for (const host of ["web-1", "web-2"]) world.hosts.get(host)?.hold("pinned");
      world.time.after(5 * SECOND, () => world.publish("v1.1.0"));
      world.time.after(50 * SECOND, () => world.hosts.get("web-1")?.hold(undefined));
    },
  },
  {
    name: "a machine that dies for good",
    options: { hosts: 3, maxFailures: 1 },
    minutes: 30,
    script: (world) => {
      world.time.after(5 * SECOND, () => world.publish("v1.1.0"));
      world.time.after(33 * SECOND, () => world.hosts.get("web-2")?.kill());
    },
  },
  {
    name: "a version that fails on the first host, and an operator who resumes",
    options: { hosts: 3 },
    minutes: 20,
    script: (world) => {
      publishFailingFirst(world);
      world.time.after(3 * MINUTE, () => world.operate("fleet resume", resumeRollout));
    },
  },
  {
    name: "an operator who aborts a running rollout",
    options: { hosts: 3 },
    minutes: 20,
    script: (world) => {
      world.time.after(5 * SECOND, () => world.publish("v1.1.0"));
      const abort = (rollout: Rollout) => abortRollout(rollout, "by alice");
      world.time.after(35 * SECOND, () => world.operate("fleet abort", abort));
    },
  },
  {
    name: "hosts that go back when a rollout is halted, and an operator who resumes",
    options: { hosts: 3, waves: [{ hosts: 2 }, { percent: 100 }], rollbackOnHalt: true },
    minutes: 20,
    script: (world) => {
      publishFailingFirst(world, "crashes in its bake");
      world.time.after(3 * MINUTE, () => world.operate("fleet resume", resumeRollout));
    },
  },
  {
    name: "a check that first gives no answer, then finds the version unhealthy",
    options: { hosts: 2, rollbackOnHalt: true, check: refusingLater() },
    minutes: 20,
    script: (world) => world.time.after(5 * SECOND, () => world.publish("v1.1.0")),
  },
];

function publishFailingFirst(world: World, fate: Fate = "unready"): void {
  let first: string | undefined;
  const fateOf = (host: string): Fate => {
    first ??= host;
    return host === first ? fate : "good";
  };
  world.time.after(5 * SECOND, () => world.publish("v1.1.0", fateOf));
}

function refusingLater(): RolloutCheck {
  let count = 0;
  return async () => {
    count += 1;
    if (count % 2 === 1) throw new RemoteError("Prometheus does not answer");
    return { ok: false, reason: "too many errors" };
  };
}

test.each(scenarios)(
  `the invariants hold with $name (seed ${SEED})`,
  {
    timeout,
  },
  async (scenario) => {
    const runs = await explore(scenario, { shares: SHARES, seed: SEED });
    expect(runs).toBeGreaterThan(process.env.DEWY_FLEET_PLAN === undefined ? 50 : 0);
  },
);
