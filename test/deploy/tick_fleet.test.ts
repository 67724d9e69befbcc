import { describe, expect, it } from "vitest";
import type { VersionPolicy } from "../../src/deploy/choose.ts";
import { pinTo } from "../../src/deploy/decisions.ts";
import type { FleetVerdict } from "../../src/deploy/deployer.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { pollOutcome, tick } from "../../src/deploy/tick.ts";
import { eventsOf, never, ready, type TestWorld, testRegistry, testWorld } from "./world.ts";

const policy: VersionPolicy = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  acceptChanged: [],
};

type Asked = { tag: string; running: string | undefined };

interface FleetHost {
  world: TestWorld;
  asked: Asked[];
  look: () => ReturnType<typeof tick>;
}

/** A host whose fleet answers with `verdicts` in turn; the last one stays. */
function hostOfFleet(tags: readonly string[], ...verdicts: FleetVerdict[]): FleetHost {
  const world = testWorld(testRegistry(...tags.map((tag) => ready(tag))));
  const { clock } = world.io;
  const failed = new FailedCandidates({ intervalMs: 10_000, clock, random: () => 0.5 });
  const asked: Asked[] = [];
  world.io.fleet = {
    admit: async (version) => {
      asked.push(version);
      return (verdicts.length > 1 ? verdicts.shift() : verdicts[0]) ?? { kind: "go" };
    },
  };
  return { world, asked, look: () => tick({ policy, failed }, world.io, never()) };
}

const WAIT: FleetVerdict = { kind: "wait", reason: "wave 1 of 3 has this turn" };

describe("a poll of a host in a fleet", () => {
  it("deploys what the fleet admits", async () => {
    const { asked, look } = hostOfFleet(["v1.0.0"], { kind: "go" });
    expect(await look()).toMatchObject({ deployed: true, live: "v1.0.0" });
    expect(asked).toEqual([{ tag: "v1.0.0", running: undefined }]);
  });

  it("waits for its turn, and says why", async () => {
    const { world, asked, look } = hostOfFleet(["v1.0.0"], { kind: "go" }, WAIT);
    await look();
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    const result = await look();
    const wait = { type: "waiting", tag: "v1.1.0", why: "fleet", reason: WAIT.reason };
    expect(result).toMatchObject({ deployed: false, live: "v1.0.0", waiting: [wait] });
    expect(pollOutcome(result)).toEqual({ kind: "fine", isHolding: true });
    expect(eventsOf(world.events, "waiting")).toEqual([wait]);
    expect(asked.at(-1)).toEqual({ tag: "v1.1.0", running: "v1.0.0" });
    expect(world.steps).not.toContain("stage v1.1.0");
  });

  it("starts the version last rolled out if nothing runs", async () => {
    const instead: FleetVerdict = { kind: "instead", tag: "v1.0.0", reason: "v1.1.0 is at wave 1" };
    const { world, look } = hostOfFleet(["v1.1.0", "v1.0.0"], instead);
    expect(await look()).toMatchObject({ deployed: true, live: "v1.0.0" });
    expect(eventsOf(world.events, "waiting")).toMatchObject([{ tag: "v1.1.0", why: "fleet" }]);
  });

  it("reports a version last rolled out that the registry does not have any more", async () => {
    const { look } = hostOfFleet(["v1.1.0"], { kind: "instead", tag: "v1.0.0", reason: "wave 1" });
    const { live, problem } = await look();
    expect(live).toBeUndefined();
    expect(problem?.message).toMatch(/^Cannot deploy the version last rolled out "v1\.0\.0"/);
  });

  it("does not ask about a version that its own gates hold back", async () => {
    const { world, asked, look } = hostOfFleet(["v1.0.0"], { kind: "go" });
    await look();
    const operator = { user: "alice" };
    world.setState(pinTo(world.state(), "v1.0.0", operator, { now: 0, calver: "" }));
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    await look();
    expect(asked).toHaveLength(1);
  });

  it("gives the deploy up if the rollout was halted while the version was downloaded", async () => {
    const { world, asked, look } = hostOfFleet(["v1.0.0"], { kind: "go" }, WAIT);
    const { deployer, clock } = world.io;
    const { stage } = deployer;
    deployer.stage = async (...call) => {
      await clock.sleep(60_000);
      return stage(...call);
    };
    expect(await look()).toMatchObject({ deployed: false, isGivenUp: true });
    expect(asked).toHaveLength(2);
    expect(world.live()).toBeUndefined();
    expect(eventsOf(world.events, "given-up")).toMatchObject([{ tag: "v1.0.0" }]);
    expect(eventsOf(world.events, "failed")).toEqual([]);
  });

  it("gives the deploy up if the rollout was halted during the before-deploy hook", async () => {
    const { world, look } = hostOfFleet(["v1.0.0"], { kind: "go" }, WAIT);
    const { clock, runHook } = world.io;
    world.io.runHook = async (...call) => {
      await clock.sleep(60_000);
      return runHook(...call);
    };
    expect(await look()).toMatchObject({ deployed: false, isGivenUp: true });
    expect(world.steps).not.toContain("activate v1.0.0");
  });
});
