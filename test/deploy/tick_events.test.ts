import { describe, expect, it } from "vitest";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { tick } from "../../src/deploy/tick.ts";
import { eventsOf, never, ready, testRegistry, testWorld } from "./world.ts";

describe("tick", () => {
  const look = (
    world: ReturnType<typeof testWorld>,
    acceptChanged: string[] = [],
    later?: Parameters<typeof tick>[0]["later"],
  ) => {
    const none = { calver: "", constraint: "", slot: "", artifact: "" };
    const policy = { ...none, preRelease: false, acceptChanged };
    const failed = new FailedCandidates({ intervalMs: 10_000, clock: world.io.clock });
    return tick({ policy, failed, later }, world.io, never());
  };

  it.each([
    [{ digest: "sha256:11" }, "sha256:11"],
    [{}, "rev-v1.0.0"],
    [{ revision: undefined }, ""],
  ])("warns of the artifact that --accept-changed accepts: %j", async (artifact, identity) => {
    const world = testWorld(testRegistry(ready("v1.0.0", artifact)));
    await look(world, ["v1.0.0"]);
    expect(eventsOf(world.events, "warning")).toEqual([
      {
        type: "warning",
        message: "Artifact accepted by --accept-changed",
        fields: { tag: "v1.0.0", artifact: "app.tar.gz", identity },
      },
    ]);
  });

  it("waits for the end of a bake unless it can report it later", async () => {
    const world = testWorld(testRegistry(ready("v1.0.0")));
    world.io.deployer.bake = async () => "proven";
    expect(await look(world)).toEqual({ deployed: true, live: "v1.0.0" });
    world.registry.answers.unshift(ready("v1.1.0"));
    let settled: Promise<unknown> | undefined;
    const result = await look(world, [], (promise) => {
      settled = promise;
    });
    expect(result).toEqual({ deployed: false, live: "v1.1.0", isBaking: true });
    expect(await settled).toEqual({ deployed: true, live: "v1.1.0" });
  });

  it("reports nothing later if there is no bake", async () => {
    const world = testWorld(testRegistry(ready("v1.0.0")));
    const later = (): never => {
      throw new Error("unexpected");
    };
    expect(await look(world, [], later)).toEqual({ deployed: true, live: "v1.0.0" });
  });
});
