import { describe, expect, it } from "vitest";
import { DeployError, HostError } from "../../src/core/error.ts";
import { recover } from "../../src/deploy/recover.ts";
import { type DeployState, markBad } from "../../src/deploy/state.ts";
import { pollOutcome } from "../../src/deploy/tick.ts";
import { type BakingWorld, bakingWorld, until } from "./baking_world.ts";
import { eventsOf, never, ready } from "./world.ts";

const crashed = new DeployError("verify", "it crashed", { fault: "release" });

describe("a baking version", () => {
  it("does not delay the next poll, and counts as deployed when its bake ends", async () => {
    const world = await bakingWorld();
    world.hooks = { after: 0 };
    const taken = await world.publish("v1.1.0");
    expect(taken).toEqual({ deployed: false, live: "v1.1.0", isBaking: true });
    const again = await world.look();
    expect(again).toEqual({ deployed: false, live: "v1.1.0", isBaking: true });
    expect(pollOutcome(again)).toEqual({ kind: "waiting" });
    expect(eventsOf(world.events, "deployed")).toEqual([]);
    world.bake("v1.1.0").pass();
    await until(() => world.settled.length === 1);
    expect(world.settled).toEqual([{ deployed: true, live: "v1.1.0" }]);
    expect(eventsOf(world.events, "deployed")).toMatchObject([
      { tag: "v1.1.0", previousTag: "v1.0.0" },
    ]);
    expect(world.steps).toContain("hook after");
  });

  it("is rolled back if it fails, and reported as its own failure", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.bake("v1.1.0").fail(crashed);
    await until(() => world.settled.length === 1);
    expect(world.settled).toMatchObject([{ failure: { tag: "v1.1.0", retryAt: undefined } }]);
    expect(world.tagOf(world.live())).toBe("v1.0.0");
    expect(badTags(world)).toEqual(["v1.1.0"]);
    expect(world.state().switching).toBeUndefined();
  });

  it("is not reported as a known bad version before it has been rolled back", async () => {
    const world = await bakingWorld();
    const { restore } = world.io.deployer;
    let start = (): void => {};
    const isStarted = new Promise<void>((resolve) => {
      start = resolve;
    });
    world.io.deployer.restore = (directory) => restore(directory).then(() => isStarted);
    await world.publish("v1.1.0");
    world.bake("v1.1.0").fail(crashed);
    await until(() => world.tagOf(world.live()) === "v1.0.0");
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    await world.look();
    start();
    await until(() => world.settled.length === 1);
    await world.look();
    const told = world.events.map(({ type }) => type);
    const verdicts = told.filter((type) => type === "rolled-back" || type === "known-bad");
    expect(verdicts).toEqual(["rolled-back", "known-bad"]);
  });

  it("is rolled back at once while a newer version is staged, which continues", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    const hook = blockedHook(world);
    const newer = world.publish("v1.2.0");
    await hook.reached;
    world.bake("v1.1.0").fail(crashed);
    await until(() => world.settled.length === 1);
    expect(world.tagOf(world.live())).toBe("v1.0.0");
    hook.release();
    expect(await newer).toMatchObject({ live: "v1.2.0", isBaking: true });
    expect(switching(world)).toEqual({ to: "v1.2.0", from: "v1.0.0" });
  });

  it("is rolled back at once while a newer version gets ready, whose deploy is aborted for now", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.slow.add("v1.2.0");
    const newer = world.publish("v1.2.0");
    await world.gettingReady("v1.2.0");
    world.bake("v1.1.0").fail(crashed);
    const result = await newer;
    expect(result.failure?.error.message).toContain("given up, because v1.1.0 failed");
    expect(result.failure?.retryAt).toBeDefined();
    await until(() => world.settled.length === 1);
    expect(world.tagOf(world.live())).toBe("v1.0.0");
    expect(badTags(world)).toEqual(["v1.1.0"]);
    expect(world.steps.filter((step) => step.startsWith("restore"))).toEqual(["restore d1"]);
    expect(eventsOf(world.events, "rolled-back")).toMatchObject([{ tag: "v1.1.0", to: "v1.0.0" }]);
    world.slow.clear();
    expect(await world.look()).toMatchObject({ live: "v1.2.0", isBaking: true });
  });
});

describe("a newer version", () => {
  it("that takes over at the moment the other one fails stays live, and only the other one is bad", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.slow.add("v1.2.0");
    const newer = world.publish("v1.2.0");
    const attempt = await world.gettingReady("v1.2.0");
    world.bake("v1.1.0").fail(crashed);
    attempt.succeed();
    expect(await newer).toMatchObject({ live: "v1.2.0", isBaking: true });
    await until(() => world.settled.length === 1);
    expect(world.settled).toMatchObject([{ failure: { tag: "v1.1.0" } }]);
    expect(world.tagOf(world.live())).toBe("v1.2.0");
    expect(switching(world)).toEqual({ to: "v1.2.0", from: "v1.0.0" });
    expect(badTags(world)).toEqual(["v1.1.0"]);
    expect(eventsOf(world.events, "rolled-back")).toEqual([]);
  });

  it("takes over during a bake; the other version counts neither as deployed nor as bad", async () => {
    const world = await bakingWorld();
    world.hooks = { before: 0, after: 0 };
    world.registry.reports.length = 0;
    await world.publish("v1.1.0");
    await world.publish("v1.2.0");
    await until(() => world.settled.length === 1);
    expect(world.settled).toEqual([undefined]);
    expect(eventsOf(world.events, "superseded")).toEqual([
      { type: "superseded", tag: "v1.1.0", by: "v1.2.0" },
    ]);
    expect(world.steps).not.toContain("hook after");
    expect(world.registry.reports).toEqual([]);
    expect(switching(world)).toEqual({ to: "v1.2.0", from: "v1.0.0" });
    expect(badTags(world)).toEqual([]);

    world.bake("v1.2.0").pass();
    await until(() => world.settled.length === 2);
    expect(world.tagOf(world.state().previous)).toBe("v1.0.0");
    expect(world.state().switching).toBeUndefined();
    expect(eventsOf(world.events, "deployed")).toMatchObject([
      { tag: "v1.2.0", previousTag: "v1.0.0" },
    ]);
    expect(world.registry.reports).toMatchObject([{ tag: "v1.2.0" }]);
    const told = world.hookContexts.filter(({ tag }) => tag === "v1.2.0");
    expect(told.map(({ previousTag }) => previousTag)).toEqual(["v1.0.0", "v1.0.0"]);
  });

  it("rolls back to the last version that passed its bake, after any number of others, which are retried", async () => {
    const world = await bakingWorld();
    for (const tag of ["v1.1.0", "v1.2.0", "v1.3.0"]) await world.publish(tag);
    world.bake("v1.3.0").fail(crashed);
    await until(() => world.settled.length === 3);
    expect(world.tagOf(world.live())).toBe("v1.0.0");
    expect(badTags(world)).toEqual(["v1.3.0"]);
    expect(eventsOf(world.events, "rolled-back")).toMatchObject([{ tag: "v1.3.0", to: "v1.0.0" }]);
    expect(await world.look()).toMatchObject({ live: "v1.2.0", isBaking: true });
    expect(switching(world)).toEqual({ to: "v1.2.0", from: "v1.0.0" });
  });

  it("that does not become ready does not affect the bake of the other version", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.slow.add("v1.2.0");
    const newer = world.publish("v1.2.0");
    (await world.gettingReady("v1.2.0")).fail(crashed);
    expect(await newer).toMatchObject({ live: "v1.1.0", failure: { tag: "v1.2.0" } });
    expect(world.tagOf(world.live())).toBe("v1.1.0");
    expect(switching(world)).toEqual({ to: "v1.1.0", from: "v1.0.0" });
    expect(badTags(world)).toEqual(["v1.2.0"]);
    world.bake("v1.1.0").pass();
    await until(() => world.settled.length === 1);
    expect(world.settled).toEqual([{ deployed: true, live: "v1.1.0" }]);
    expect(world.tagOf(world.state().previous)).toBe("v1.0.0");
  });

  it.each([
    ["becomes ready", true, "v1.2.0"],
    ["does not become ready", false, "v1.1.0"],
  ])(
    "that %s after the other one has passed its bake goes back to that one",
    async (_, isGood, live) => {
      const world = await bakingWorld();
      await world.publish("v1.1.0");
      world.slow.add("v1.2.0");
      const newer = world.publish("v1.2.0");
      const attempt = await world.gettingReady("v1.2.0");
      world.bake("v1.1.0").pass();
      await until(() => eventsOf(world.events, "deployed").length === 1);
      expect(switching(world)).toEqual({ to: "v1.2.0", from: "v1.1.0" });
      if (isGood) attempt.succeed();
      else attempt.fail(crashed);
      await newer;
      await until(() => world.settled.length === 1);
      expect(world.settled).toEqual([{ deployed: true, live: "v1.1.0" }]);
      expect(world.tagOf(world.live())).toBe(live);
      expect(world.tagOf(world.state().previous)).toBe("v1.0.0");
      expect(switching(world)).toEqual(isGood ? { to: "v1.2.0", from: "v1.1.0" } : undefined);
    },
  );

  it("is aborted when dewy stops, and the other version counts as good", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.slow.add("v1.2.0");
    const newer = world.publish("v1.2.0").catch(() => {});
    await world.gettingReady("v1.2.0");
    world.stop.abort();
    await newer;
    await until(() => world.settled.length === 1);
    expect(world.tagOf(world.live())).toBe("v1.1.0");
    expect(world.state().switching).toBeUndefined();
    expect(world.tagOf(world.state().previous)).toBe("v1.0.0");
    expect(badTags(world)).toEqual([]);
  });

  it("prunes old releases, but never the rollback target", async () => {
    const world = await bakingWorld();
    const kept: (string | undefined)[][] = [];
    world.io.deployer.prune = async (retention) => {
      const { keep } = await retention();
      kept.push([...keep].map(world.tagOf));
      return [];
    };
    for (let minor = 1; minor <= 9; minor += 1) {
      await world.publish(`v1.${minor}.0`);
      await until(() => kept.length === minor - 1);
    }
    const newest = [3, 4, 5, 6, 7, 8, 9].map((minor) => `v1.${minor}.0`);
    expect(kept.at(-1)?.sort()).toEqual(["v1.0.0", ...newest]);
  });

  it("does not mark a version bad that was rolled back for no fault of its own", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.bake("v1.1.0").fail(new HostError("the engine is gone"));
    await until(() => world.settled.length === 1);
    expect(badTags(world)).toEqual([]);
    expect(world.settled[0]?.failure?.retryAt).toBeDefined();
  });
});

describe("a switch to a newer version that fails", () => {
  it("and cannot be undone at once does not affect the baking version", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.fail = { activate: new HostError("disk full"), restore: new HostError("disk full") };
    await world.publish("v1.2.0");
    world.fail = { activate: new HostError("disk full") };
    await world.look();
    expect(world.steps.filter((step) => step.startsWith("restore"))).not.toContain("restore d1");
    expect(world.tagOf(world.live())).toBe("v1.1.0");
    expect(switching(world)).toEqual({ to: "v1.1.0", from: "v1.0.0" });
    world.bake("v1.1.0").pass();
    await until(() => world.settled.length === 1);
    expect(world.tagOf(world.state().previous)).toBe("v1.0.0");
  });

  it.each([crashed, new HostError("the engine is gone")])(
    "before it has happened does not bring back a version whose bake has failed meanwhile: %s",
    async (failure) => {
      const world = await bakingWorld();
      await world.publish("v1.1.0");
      const hook = blockedHook(world);
      const newer = world.publish("v1.2.0");
      await hook.reached;
      world.fail = { restore: new HostError("disk full") };
      world.bake("v1.1.0").fail(failure);
      await until(() => world.settled.length === 1);
      world.fail = { activate: new HostError("disk full") };
      hook.release();
      await newer;
      expect(world.tagOf(world.live())).toBe("v1.0.0");
      expect(world.state().switching).toBeUndefined();
    },
  );

  it("leaves no switch on record if the previous version was marked bad during the switch", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.bake("v1.1.0").pass();
    await until(() => world.settled.length === 1);
    world.slow.add("v1.2.0");
    const newer = world.publish("v1.2.0");
    const attempt = await world.gettingReady("v1.2.0");
    const release = world.state().releases.find(({ tag }) => tag === "v1.1.0");
    if (release !== undefined) world.setState(markBad(world.state(), release, "it crashed", 0));
    attempt.fail(crashed);
    await newer;
    expect(world.tagOf(world.live())).toBe("v1.0.0");
    expect(world.state().switching).toBeUndefined();
  });
});

describe("a version that is redeployed before its last deploy has ended", () => {
  it("keeps baking when that deploy ends", async () => {
    const world = await bakingWorld();
    let answer = (): void => {};
    world.registry.report = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await world.publish("v1.1.0");
    world.bake("v1.1.0").fail(new HostError("the engine is gone"));
    await until(() => world.tagOf(world.live()) === "v1.0.0");
    await world.look();
    expect(world.tagOf(world.live())).toBe("v1.1.0");
    answer();
    await until(() => world.settled.length === 1);
    await world.look();
    expect(world.steps.filter((step) => step.startsWith("restore"))).toEqual(["restore d1"]);
    expect(switching(world)).toEqual({ to: "v1.1.0", from: "v1.0.0" });
  });
});

describe("a good version that takes over again because the newer version is gone", () => {
  it("is not its own rollback target", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.registry.answers.shift();
    world.registry.gone.add("v1.1.0");
    await world.look();
    expect(world.tagOf(world.live())).toBe("v1.0.0");
    world.bake("v1.0.0").fail(crashed);
    await until(() => world.settled.length === 2);
    expect(world.steps.at(-2)).toBe("restore nothing");
    expect(world.live()).toBeUndefined();
  });
});

describe("a version that replaces a crash-looping one", () => {
  /** v1.1.0 is live and marked as bad: it has crashed too often, and going back has not happened yet. */
  async function crashing(): Promise<BakingWorld> {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.bake("v1.1.0").pass();
    await until(() => world.settled.length === 1);
    const release = world.state().releases.at(-1);
    if (release !== undefined) world.setState(markBad(world.state(), release, "it crashed", 0));
    return world;
  }

  it("has the good version before that as its previous version", async () => {
    const world = await crashing();
    await world.publish("v1.2.0");
    expect(switching(world)).toEqual({ to: "v1.2.0", from: "v1.0.0" });
    world.bake("v1.2.0").pass();
    await until(() => world.settled.length === 2);
    expect(world.tagOf(world.state().previous)).toBe("v1.0.0");
    expect(eventsOf(world.events, "deployed").at(-1)).toMatchObject({ previousTag: "v1.0.0" });
  });

  it("rolls back to the good version if it does not become ready", async () => {
    const world = await crashing();
    world.fail.verify = crashed;
    await world.publish("v1.2.0");
    expect(world.tagOf(world.live())).toBe("v1.0.0");
  });
});

describe("dewy, killed", () => {
  it("at any moment of two switches, leaves a state that the next start repairs, whatever happens to the newest version", async () => {
    const moments = await recordMoments();
    expect(moments.length).toBeGreaterThan(8);
    for (const isGood of [true, false]) {
      for (const { state, live } of moments) {
        const world = await bakingWorld();
        for (const { directory } of state.releases) world.directories.add(directory);
        world.setState(state);
        world.setLive(live);
        world.registry.answers = [ready("v1.2.0"), ready("v1.1.0"), ready("v1.0.0")];
        if (!isGood) world.fail.verify = crashed;
        const about = JSON.stringify({ isGood, state, live });
        const trial = await recover(world.io, never());
        const settled = world.live();
        expect(["v1.0.0", "v1.1.0", "v1.2.0"], about).toContain(world.tagOf(settled));
        expect(world.state().switching?.to, about).toBe(trial === undefined ? undefined : settled);
        expect(world.tagOf(world.state().switching?.from) ?? "v1.0.0", about).toBe("v1.0.0");
        if (!isGood) expect(world.tagOf(settled), about).toBe("v1.0.0");
        else {
          await world.look();
          const newest = badTags(world).length === 0 ? "v1.2.0" : "v1.1.0";
          expect(world.tagOf(world.live()), about).toBe(newest);
        }
      }
    }
  });
});

/** What is on disk at every moment while v1.2.0 supersedes v1.1.0 and then fails. */
async function recordMoments(): Promise<{ state: DeployState; live: string | undefined }[]> {
  const world = await bakingWorld();
  const moments: { state: DeployState; live: string | undefined }[] = [];
  const record = (): void => void moments.push({ state: world.state(), live: world.live() });
  const { store, deployer } = world.io;
  const { update } = store;
  const { activate, restore } = deployer;
  store.update = (change) => update(change).finally(record);
  deployer.activate = (...call) => activate(...call).finally(record);
  deployer.restore = (...call) => restore(...call).finally(record);
  await world.publish("v1.1.0");
  await world.publish("v1.2.0");
  world.bake("v1.2.0").fail(crashed);
  await until(() => world.settled.length === 2);
  return moments;
}

function switching(world: BakingWorld): { to?: string; from?: string } | undefined {
  const { switching: found } = world.state();
  if (found === undefined) return undefined;
  const [to = "", from = ""] = [world.tagOf(found.to), world.tagOf(found.from)];
  return { to, from };
}

function badTags(world: BakingWorld): string[] {
  return world.state().bad.map(({ tag }) => tag);
}

/** Lets the before hook wait. */
function blockedHook(world: BakingWorld): { reached: Promise<void>; release(): void } {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    world.io.runHook = async (when) => {
      if (when === "after") return undefined;
      resolve();
      await released;
      return undefined;
    };
  });
  return { reached, release };
}
