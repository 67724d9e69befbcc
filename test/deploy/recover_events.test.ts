import { describe, expect, it } from "vitest";
import { AbortedError, HostError } from "../../src/core/error.ts";
import { recover, settle } from "../../src/deploy/recover.ts";
import { EMPTY_STATE } from "../../src/deploy/state.ts";
import { candidate, deploy, eventsOf, never, testWorld } from "./world.ts";

describe("recover", () => {
  it("says what it has done with an interrupted switch", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    await deploy(candidate("v1.1.0"), world.io, never());
    world.setState({ ...world.state(), switching: { to: "d2", from: "d1" } });
    world.events.length = 0;
    await recover(world.io, never());
    expect(eventsOf(world.events, "recovered")).toEqual([
      { type: "recovered", tag: "v1.1.0", action: "resumed a switch that was interrupted" },
    ]);
    world.setLive("d1");
    world.events.length = 0;
    await recover(world.io, never());
    expect(eventsOf(world.events, "recovered")).toEqual([
      { type: "recovered", tag: "v1.1.0", action: "undid a switch that had not happened" },
    ]);
  });

  it("warns of a live version without a record only if there is one, with its path", async () => {
    const world = testWorld();
    await recover(world.io, never());
    expect(eventsOf(world.events, "warning")).toEqual([]);
    await deploy(candidate("v1.0.0"), world.io, never());
    await recover(world.io, never());
    expect(eventsOf(world.events, "warning")).toEqual([]);
    world.directories.add("live");
    world.setLive("live");
    await recover(world.io, never());
    expect(eventsOf(world.events, "warning")).toEqual([
      {
        type: "warning",
        message: "Live version unknown: there is no record of it",
        fields: { directory: "/app/releases/live" },
      },
    ]);
  });

  it("ends with the reason if dewy is stopped while it resumes a switch", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    await deploy(candidate("v1.1.0"), world.io, never());
    world.setState({ ...world.state(), switching: { to: "d2", from: "d1" } });
    world.fail.verify = new AbortedError("stopped");
    await expect(recover(world.io, never())).rejects.toMatchObject({ code: "aborted" });
    expect(eventsOf(world.events, "failed")).toEqual([]);
  });

  it("writes nothing if every directory on record is there", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.save = new HostError("the disk is full");
    await recover(world.io, never());
    expect(world.live()).toBe("d1");
  });
});

describe("settle", () => {
  it("runs the after-deploy hook of its own release, not of the first one on record", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    await deploy(candidate("v1.1.0"), world.io, never());
    world.hooks.after = 0;
    world.setState({ ...world.state(), afterHook: { directory: "d2", previousTag: "v1.0.0" } });
    await settle(world.io, never());
    expect(world.hookContexts).toMatchObject([{ tag: "v1.1.0", previousTag: "v1.0.0" }]);
  });

  it("forgets the after-deploy hook of a release without a record", async () => {
    const world = testWorld();
    world.setLive("live");
    world.setState({ ...EMPTY_STATE, afterHook: { directory: "live" } });
    await settle(world.io, never());
    expect(world.state().afterHook).toBeUndefined();
  });
});
