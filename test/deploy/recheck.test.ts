import { describe, expect, test } from "vitest";
import type { VersionPolicy } from "../../src/deploy/choose.ts";
import { pause, pinTo, skip } from "../../src/deploy/decisions.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { type DeployState, EMPTY_STATE } from "../../src/deploy/state.ts";
import { type TickResult, tick } from "../../src/deploy/tick.ts";
import { eventsOf, never, ready, type TestWorld, testRegistry, testWorld } from "./world.ts";

const NOW = Date.UTC(2026, 0, 1);
const AT = "2026-01-01T00:00:00.000Z";
const ALICE = { user: "alice" };
const POLICY: VersionPolicy = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  acceptChanged: [],
};

type Decide = (state: DeployState) => DeployState;

const DECISIONS: readonly [string, Decide, string | undefined][] = [
  ["a pause", (state) => pause(state, ALICE, NOW), "paused"],
  [
    "a pin to the running version",
    (state) => pinTo(state, "v1.0.0", ALICE, { now: NOW, calver: "" }),
    "pinned",
  ],
  ["a skip of the version", (state) => skip(state, "v2.0.0", ALICE, NOW), "skipped"],
  [
    "an order",
    (state) => ({
      ...state,
      order: {
        ...ALICE,
        kind: "rollback",
        id: "1",
        at: AT,
        tag: "v0.9.0",
        directory: "dir-v0.9.0",
      },
    }),
    undefined,
  ],
];

/** v1.0.0 runs, and the registry has v2.0.0. */
function worldWithNews(): TestWorld {
  const world = testWorld(testRegistry(ready("v2.0.0"), ready("v1.0.0")));
  const running = { id: "1", tag: "v1.0.0", artifact: "app.tar.gz", revision: "rev-v1.0.0" };
  world.setState({
    ...EMPTY_STATE,
    releases: [{ ...running, directory: "dir-v1.0.0", stagedAt: AT }],
  });
  world.directories.add("dir-v1.0.0");
  world.setLive("dir-v1.0.0");
  world.hooks = { before: 0, after: 0 };
  return world;
}

/** Something happens once the version is staged, or while the before-deploy hook runs. */
function meanwhile(world: TestWorld, when: "stage" | "hook", happens: () => void): void {
  const { deployer, runHook } = world.io;
  let isDone = false;
  const once = (): void => {
    if (!isDone) happens();
    isDone = true;
  };
  if (when === "hook") {
    world.io.runHook = (...call) => {
      once();
      return runHook(...call);
    };
    return;
  }
  const { stage } = deployer;
  deployer.stage = async (...call) => {
    const staged = await stage(...call);
    once();
    return staged;
  };
}

function poll(world: TestWorld, policy: Partial<VersionPolicy> = {}): Promise<TickResult> {
  const { clock } = world.io;
  const failed = new FailedCandidates({ intervalMs: 10_000, clock });
  return tick({ policy: { ...POLICY, ...policy }, failed }, world.io, never());
}

describe.each(DECISIONS)("%s during a deploy of a poll", (_, decide, why) => {
  test.each(["stage", "hook"] as const)("keeps current where it is, after the %s", async (when) => {
    const world = worldWithNews();
    meanwhile(world, when, () => world.setState(decide(world.state())));
    const result = await poll(world);
    expect(result).toMatchObject({ deployed: false, live: "v1.0.0" });
    expect(result.failure).toBeUndefined();
    expect(world.live()).toBe("dir-v1.0.0");
    expect(world.state().switching).toBeUndefined();
    expect(world.steps.some((step) => step.startsWith("activate"))).toBe(false);
    expect(world.steps.includes("hook before")).toBe(when === "hook");
    const reasons = eventsOf(world.events, "waiting").map((one) => one.why);
    expect(reasons).toEqual(why === undefined ? [] : [why]);
  });

  test("is not a failure of the version, which comes as soon as it may", async () => {
    const world = worldWithNews();
    const before = world.state();
    meanwhile(world, "stage", () => world.setState(decide(world.state())));
    await poll(world);
    expect(world.state().bad).toEqual([]);
    expect(world.registry.reports).toEqual([]);
    expect(eventsOf(world.events, "failed")).toEqual([]);
    world.setState({ ...before, releases: world.state().releases });
    expect(await poll(world)).toMatchObject({ deployed: true, live: "v2.0.0" });
    expect(world.steps.filter((step) => step.startsWith("stage"))).toHaveLength(1);
  });
});

describe("a window that closes", () => {
  test("while a version is staged keeps it for the next one", async () => {
    const world = worldWithNews();
    let isClosed = false;
    meanwhile(world, "stage", () => {
      isClosed = true;
    });
    const opensAt = () => (isClosed ? NOW + 3_600_000 : undefined);
    expect(await poll(world, { opensAt })).toMatchObject({ deployed: false, live: "v1.0.0" });
    expect(world.steps).not.toContain("hook before");
    expect(eventsOf(world.events, "waiting")).toMatchObject([{ why: "window" }]);
    expect(await poll(world)).toMatchObject({ deployed: true, live: "v2.0.0" });
    expect(world.steps.filter((step) => step.startsWith("stage"))).toHaveLength(1);
  });

  test("once the before-deploy hook runs does not hold the switch back", async () => {
    const world = worldWithNews();
    let isClosed = false;
    meanwhile(world, "hook", () => {
      isClosed = true;
    });
    const opensAt = () => (isClosed ? NOW + 3_600_000 : undefined);
    expect(await poll(world, { opensAt })).toMatchObject({ deployed: true, live: "v2.0.0" });
  });
});

describe("another version that became live meanwhile", () => {
  test.each([
    ["v3.0.0", false],
    ["v2.0.0", false],
    ["v0.9.0", true],
  ])("%s: the deploy goes on: %s", async (tag, goesOn) => {
    const world = worldWithNews();
    meanwhile(world, "stage", () => {
      const artifact = { artifact: "app.tar.gz", revision: `rev-${tag}` };
      const release = { id: tag, tag, ...artifact, directory: `other-${tag}`, stagedAt: AT };
      world.setState({ ...world.state(), releases: [...world.state().releases, release] });
      world.directories.add(release.directory);
      world.setLive(release.directory);
    });
    expect((await poll(world)).deployed).toBe(goesOn);
    expect(world.live() === `other-${tag}`).toBe(!goesOn);
  });
});
