import { describe, expect, it } from "vitest";
import { HostError } from "../../src/core/error.ts";
import { carryOutRollback, type OrderRun } from "../../src/deploy/orders.ts";
import { planRollback } from "../../src/deploy/rollback_plan.ts";
import { findRelease, type RollbackOrder } from "../../src/deploy/state.ts";
import { candidate, deploy, eventsOf, never, type TestWorld, testWorld } from "./world.ts";

/** These versions have been deployed, the last one is live. */
async function deployed(...tags: string[]): Promise<TestWorld> {
  const world = testWorld();
  world.hooks = { before: 0, after: 0 };
  for (const tag of tags) await deploy(candidate(tag), world.io, never());
  world.events.length = 0;
  world.steps.length = 0;
  world.hookContexts.length = 0;
  world.registry.reports.length = 0;
  return world;
}

async function rollBack(world: TestWorld, tag?: string, signal = never()): Promise<void> {
  const plan = await planRollback(tag, world.io);
  if (plan.kind !== "rollback") throw new Error(`${plan.tag} is live`);
  const { target, left } = plan;
  const order: RollbackOrder = {
    ...{ id: "1", user: "alice", at: "2026-01-01T00:00:00Z", kind: "rollback" },
    ...{ tag: target.tag, directory: target.directory, left },
  };
  world.setState({ ...world.state(), order });
  const work: Promise<unknown>[] = [];
  const run: OrderRun = {
    context: world.io,
    signal,
    stop: signal,
    progress: () => {},
    background: (one) => void work.push(one),
  };
  await carryOutRollback(order, run);
  await Promise.all(work);
}

function liveTag(world: TestWorld): string | undefined {
  return findRelease(world.state(), world.live())?.tag;
}

describe("an operator's rollback", () => {
  it("downloads nothing, runs no hook before, and commits at once", async () => {
    const world = await deployed("v1.0.0", "v1.1.0");
    const provenAt = world.state().releases[0]?.provenAt;
    await rollBack(world);
    expect(world.steps).toEqual(["activate v1.0.0", "hook after", "prune"]);
    expect(world.hookContexts).toMatchObject([{ tag: "v1.0.0", previousTag: "v1.1.0" }]);
    expect(world.registry.reports).toMatchObject([{ tag: "v1.0.0" }]);
    const { switching, afterHook, order, releases, skipped } = world.state();
    expect([switching, afterHook, order]).toEqual([undefined, undefined, undefined]);
    expect(releases[0]?.provenAt).toBe(provenAt);
    expect(skipped).toMatchObject([{ tag: "v1.1.0", andEarlier: true, user: "alice" }]);
  });

  it("goes one version further back each time, and a crash loop never falls back forward", async () => {
    const world = await deployed("v1.0.0", "v1.1.0", "v1.2.0");
    await rollBack(world);
    expect(liveTag(world)).toBe("v1.1.0");
    expect(findRelease(world.state(), world.state().previous)?.tag).toBe("v1.0.0");
    await rollBack(world);
    expect(liveTag(world)).toBe("v1.0.0");
    expect(world.state().previous).toBeUndefined();
    await expect(rollBack(world)).rejects.toThrow("no earlier version");
  });

  it("goes to the version that is asked for, even to one that was marked bad", async () => {
    const world = await deployed("v1.0.0", "v1.1.0", "v1.2.0");
    const bad = [{ tag: "v1.0.0", reason: "it crashed", at: "2026-01-01T00:00:00Z" }];
    world.setState({ ...world.state(), bad });
    await rollBack(world, "v1.0.0");
    expect(liveTag(world)).toBe("v1.0.0");
    expect(world.state().bad).toEqual([]);
    await expect(rollBack(world, "v1.2.0")).rejects.toThrow(
      "it is newer than v1.0.0, which is live; use dewy deploy v1.2.0",
    );
    await expect(rollBack(world, "v0.9.0")).rejects.toThrow("it is not on this machine");
  });

  it.each(["activate", "save-commit"] as const)(
    "leaves the later version live if %s fails",
    async (step) => {
      const world = await deployed("v1.0.0", "v1.1.0");
      world.fail[step] = new HostError("the disk is full");
      const failure = rollBack(world);
      await expect(failure).rejects.toThrow("Cannot roll back to v1.0.0: the disk is full");
      expect(liveTag(world)).toBe("v1.1.0");
      expect(eventsOf(world.events, "rolled-back")).toEqual([]);
      expect(world.state().skipped).toBeUndefined();
      expect(world.state().bad).toEqual([]);
    },
  );

  it("stays on record if dewy stops meanwhile", async () => {
    const world = await deployed("v1.0.0", "v1.1.0");
    const stop = new AbortController();
    world.io.deployer.takeBack = async () => {
      stop.abort(new Error("dewy stops"));
      throw stop.signal.reason;
    };
    await expect(rollBack(world, undefined, stop.signal)).rejects.toThrow("dewy stops");
    expect(world.state().order).toMatchObject({ kind: "rollback" });
    expect(world.state().switching).toMatchObject({ to: world.live() });
  });
});
