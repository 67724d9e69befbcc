import { describe, expect, it } from "vitest";
import { DeployError, HostError } from "../../src/core/error.ts";
import type { DeployContext } from "../../src/deploy/deployer.ts";
import { recover as recoverUntilServing, settle } from "../../src/deploy/recover.ts";
import { bakeAndCommit } from "../../src/deploy/sequence.ts";
import { markBad } from "../../src/deploy/state.ts";
import { candidate, deploy, eventsOf, never, testWorld } from "./world.ts";

const KILLED = new Error("killed");

/** Deploys v1.0.0, then v1.1.0 until `at`, as if the process had been killed there. */
async function killedAt(at: "activate" | "verify"): Promise<ReturnType<typeof testWorld>> {
  const world = testWorld();
  await deploy(candidate("v1.0.0"), world.io, never());
  const { deployer } = world.io;
  const { activate, verify } = deployer;
  let frozen: { state: ReturnType<typeof world.state>; live: string | undefined } | undefined;
  const die = async (): Promise<never> => {
    frozen = { state: world.state(), live: world.live() };
    throw KILLED;
  };
  if (at === "activate") deployer.activate = die;
  else deployer.verify = die;
  await deploy(candidate("v1.1.0"), world.io, never()).catch(() => {});
  if (frozen === undefined) throw new Error("did not get there");
  world.setState(frozen.state);
  world.setLive(frozen.live);
  Object.assign(deployer, { activate, verify });
  world.events.length = 0;
  world.steps.length = 0;
  return world;
}

async function recover(io: DeployContext, signal: AbortSignal): Promise<void> {
  const trial = await recoverUntilServing(io, signal);
  if (trial !== undefined) await bakeAndCommit(trial, io, signal);
}

describe("recover", () => {
  it("only cleans up after a regular end", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.steps.length = 0;
    await recover(world.io, never());
    expect(world.steps).toEqual(["clean", "prune"]);
    expect(world.live()).toBe("d1");
  });

  it("undoes a switch that was recorded but had not happened", async () => {
    const world = await killedAt("activate");
    await recover(world.io, never());
    expect(world.live()).toBe("d1");
    expect(world.state().switching).toBeUndefined();
    expect(eventsOf(world.events, "recovered")).toHaveLength(1);
  });

  it("verifies, commits and finishes a switch that had happened", async () => {
    const world = await killedAt("verify");
    world.hooks = { before: 0, after: 0 };
    await recover(world.io, never());
    expect(world.live()).toBe("d2");
    expect(world.state().switching).toBeUndefined();
    expect(world.state().previous).toBe("d1");
    expect(world.steps).toEqual(["clean", "prune", "verify v1.1.0", "hook after", "prune"]);
    expect(world.hookContexts[0]).toMatchObject({ tag: "v1.1.0", previousTag: "v1.0.0" });
    expect(eventsOf(world.events, "deployed")).toMatchObject([{ tag: "v1.1.0" }]);
  });

  it("takes back a switch that had happened when the new version does not bakeAndCommit itself", async () => {
    const world = await killedAt("verify");
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    await recover(world.io, never());
    expect(world.live()).toBe("d1");
    expect(world.state().bad).toMatchObject([{ tag: "v1.1.0" }]);
  });

  it("does not retry a release that was marked bad before dewy was killed", async () => {
    const world = await killedAt("verify");
    const [, release] = world.state().releases;
    if (release !== undefined) world.setState(markBad(world.state(), release, "it crashed", 0));
    await recover(world.io, never());
    expect(world.live()).toBe("d1");
    expect(world.state().switching).toBeUndefined();
    expect(world.steps).not.toContain("verify v1.1.0");
  });

  it("rolls back from a crash-looping release if dewy was killed before the rollback", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    const release = await deploy(candidate("v1.1.0"), world.io, never());
    world.setState(markBad(world.state(), release, "it crashed 5 times", 0));
    await recover(world.io, never());
    expect(world.live()).toBe("d1");
    expect(eventsOf(world.events, "recovered")).toMatchObject([
      { tag: "v1.1.0", action: "went back to the previous version" },
    ]);
  });

  it("reports why a switch that had happened is rolled back, even if it will be retried", async () => {
    const world = await killedAt("verify");
    world.fail.verify = new HostError("the engine is down");
    await recover(world.io, never());
    expect(world.live()).toBe("d1");
    expect(world.state().bad).toEqual([]);
    expect(eventsOf(world.events, "failed")).toMatchObject([
      { tag: "v1.1.0", error: { message: expect.stringContaining("the engine is down") } },
    ]);
  });

  it("removes complete releases without a record, but not the live one", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.directories.add("orphan").add("live");
    world.setLive("live");
    await recover(world.io, never());
    expect([...world.directories]).toEqual(["d1", "live"]);
  });

  it("removes nothing if all records are lost", async () => {
    const world = testWorld();
    world.directories.add("one").add("two").add("live");
    world.setLive("live");
    await recover(world.io, never());
    expect([...world.directories]).toEqual(["one", "two", "live"]);
    expect(eventsOf(world.events, "warning")).toMatchObject([
      { message: "Live version unknown: there is no record of it" },
    ]);
  });

  it("forgets releases whose directories are gone", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    await deploy(candidate("v1.1.0"), world.io, never());
    world.directories.delete("d1");
    await recover(world.io, never());
    expect(world.state().releases.map(({ tag }) => tag)).toEqual(["v1.1.0"]);
  });

  it("never rolls back to a release whose directory is gone", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    await deploy(candidate("v1.1.0"), world.io, never());
    await deploy(candidate("v1.2.0"), world.io, never());
    world.setState({ ...world.state(), switching: { to: "d3", from: "d2" }, previous: "d1" });
    world.directories.delete("d2");
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    await recover(world.io, never());
    expect(world.live()).toBe("d1");
    expect(world.state().switching).toBeUndefined();
  });
});

describe("settle", () => {
  it("keeps a pending after hook while the newer version can still be rolled back", async () => {
    const world = testWorld();
    world.hooks.after = 0;
    await deploy(candidate("v1.0.0"), world.io, never());
    const afterHook = { directory: "d1" };
    world.setState({ ...world.state(), afterHook, switching: { to: "d2", from: "d1" } });
    world.setLive("d2");
    const underway = { directory: "d2" };
    world.io.switches.underway.add(underway);
    await settle(world.io, never());
    expect(world.state().afterHook).toEqual(afterHook);
    world.io.switches.underway.delete(underway);
    world.steps.length = 0;
    await settle(world.io, never());
    expect(world.steps).toEqual(["restore d1", "hook after"]);
    expect(world.state().afterHook).toBeUndefined();
  });
});
