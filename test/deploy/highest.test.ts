import { describe, expect, test } from "vitest";
import type { VersionPolicy } from "../../src/deploy/choose.ts";
import { newestTag, unskip, withHighest } from "../../src/deploy/decisions.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { orderBy, withOrderDone } from "../../src/deploy/order_state.ts";
import { carryOutDeploy } from "../../src/deploy/orders.ts";
import { type DeployedRelease, type DeployState, EMPTY_STATE } from "../../src/deploy/state.ts";
import { type TickResult, tick } from "../../src/deploy/tick.ts";
import { eventsOf, never, ready, type TestWorld, testRegistry, testWorld } from "./world.ts";

const AT = "2025-01-01T00:00:00.000Z";
const ALICE = { user: "alice" };

function release(tag: string): DeployedRelease {
  const artifact = { artifact: "app.tar.gz", revision: `rev-${tag}` };
  return { id: tag, tag, ...artifact, directory: `dir-${tag}`, stagedAt: AT, provenAt: AT };
}

function running(tag: string, state: Partial<DeployState>, ...offered: string[]): TestWorld {
  const world = testWorld(testRegistry(...offered.map((one) => ready(one))));
  world.setState({ ...EMPTY_STATE, releases: [release(tag)], ...state });
  world.directories.add(`dir-${tag}`);
  world.setLive(`dir-${tag}`);
  return world;
}

const POLICY: VersionPolicy = {
  ...{ preRelease: false, calver: "", constraint: "", slot: "", artifact: "", acceptChanged: [] },
};

function poll({ io }: TestWorld, policy: Partial<VersionPolicy> = {}): Promise<TickResult> {
  const failed = new FailedCandidates({ intervalMs: 10_000, clock: io.clock });
  return tick({ policy: { ...POLICY, ...policy }, failed }, io, never());
}

const waits = (world: TestWorld): string[] =>
  eventsOf(world.events, "waiting").map(({ tag, why }) => `${tag} ${why}`);

describe("the highest version", () => {
  test("is recorded once a version is deployed", async () => {
    const world = testWorld(testRegistry(ready("v1.2.0")));
    await poll(world);
    expect(world.state().highest).toBe("v1.2.0");
    world.registry.answers = [ready("v1.3.0")];
    await poll(world);
    expect(world.state().highest).toBe("v1.3.0");
  });

  test("is not the one that fails before it is deployed", async () => {
    const world = running("v1.0.0", { highest: "v1.0.0" }, "v9.0.0");
    world.fail.verify = new Error("it does not start");
    expect((await poll(world)).failure).toBeDefined();
    expect(world.state().highest).toBe("v1.0.0");
  });

  test("stays after an automatic downgrade", async () => {
    const world = running("v2.0.0", { highest: "v2.0.0" }, "v1.5.0");
    world.registry.gone.add("v2.0.0");
    expect(await poll(world)).toMatchObject({ deployed: true, live: "v1.5.0" });
    expect(world.state().highest).toBe("v2.0.0");
  });

  test("of a state without one is that of the releases that were deployed", async () => {
    const releases = [release("v2.0.0"), release("v1.0.0")];
    const world = running("v1.0.0", { releases }, "v1.5.0");
    expect(await poll(world, { noDowngrade: true })).toMatchObject({ deployed: false });
    expect(withHighest(world.state(), "v1.5.0", "").highest).toBe("v2.0.0");
  });

  test("is compared by the CalVer format, and nothing else counts as a version", () => {
    const at = (highest: string | undefined, tag: string, calver = ""): string | undefined =>
      withHighest({ ...EMPTY_STATE, highest }, tag, calver).highest;
    expect(at("2025.10", "2025.9", "YYYY.MM")).toBe("2025.10");
    expect(at("v1.0.0", "2025.9", "YYYY.MM")).toBe("2025.9");
    expect(at("v1.0.0", "nightly")).toBe("v1.0.0");
    expect(at(undefined, "nightly")).toBeUndefined();
    expect(newestTag(["nightly", "v1.9.0", "v1.10.0"], "")).toBe("v1.10.0");
  });
});

describe("--no-downgrade", () => {
  test("counts from the highest version, also if a lower one runs", async () => {
    const bad = [{ tag: "v2.0.0", revision: "rev-v2.0.0", reason: "crashed", at: AT }];
    const world = running("v1.0.0", { highest: "v2.0.0", bad }, "v2.0.0", "v1.5.0");
    expect(await poll(world, { noDowngrade: true })).toMatchObject({ deployed: false });
    expect(eventsOf(world.events, "waiting")).toMatchObject([
      {
        tag: "v1.5.0",
        why: "no-downgrade",
        reason:
          "older than v2.0.0, the highest version deployed here; only dewy deploy v1.5.0 goes back to it",
      },
    ]);
    world.registry.answers = [ready("v2.0.1")];
    expect(await poll(world, { noDowngrade: true })).toMatchObject({ live: "v2.0.1" });
  });

  test("holds on a machine on which nothing is live any more", async () => {
    const world = testWorld(testRegistry(ready("v1.0.0")));
    world.setState({ ...EMPTY_STATE, highest: "v2.0.0" });
    await poll(world, { noDowngrade: true });
    expect(waits(world)).toEqual(["v1.0.0 no-downgrade"]);
    expect(world.live()).toBeUndefined();
  });

  test("lets another artifact of the running version come, and the pinned version", async () => {
    const world = running("v1.0.0", { highest: "v2.0.0" });
    world.registry.answers = [ready("v1.0.0", { name: "other.zip" })];
    const policy = { noDowngrade: true, artifact: "other.zip" };
    expect(await poll(world, policy)).toMatchObject({ deployed: true, live: "v1.0.0" });
    const pinned = { ...ALICE, at: AT, tag: "v1.5.0" };
    const other = running("v1.0.0", { highest: "v2.0.0", pinned }, "v1.5.0");
    expect(await poll(other, { noDowngrade: true })).toMatchObject({ live: "v1.5.0" });
  });

  test("counts from the version that an operator has deployed", async () => {
    const world = running("v99.0.0", { highest: "v99.0.0" }, "v2.1.0");
    const { io } = world;
    const order = {
      ...orderBy(ALICE, io),
      kind: "deploy",
      tag: "v2.1.0",
      left: "v99.0.0",
    } as const;
    await io.store.update((state) => ({ ...state, order }));
    const background = (): void => {};
    const signals = { signal: never(), stop: never() };
    await carryOutDeploy(order, { context: io, ...signals, progress: () => {}, background });
    expect(world.state()).toMatchObject({ highest: "v2.1.0" });
    world.registry.answers = [ready("v2.2.0")];
    await poll(world, { noDowngrade: true });
    expect(waits(world)).toEqual(["v2.2.0 skipped"]);
    await io.store.update((state) => unskip(state, undefined));
    expect(await poll(world, { noDowngrade: true })).toMatchObject({ live: "v2.2.0" });
  });

  test("does not count from a restart, nor from a tag that is not a version", () => {
    const state = { ...EMPTY_STATE, highest: "v2.0.0" };
    const context = { clock: { now: () => 0 } };
    const base = orderBy(ALICE, context);
    const after = [
      withOrderDone(state, { ...base, kind: "restart" }, context),
      withOrderDone(state, { ...base, kind: "deploy", tag: "nightly" }, context),
    ];
    expect(after.map(({ highest }) => highest)).toEqual(["v2.0.0", "v2.0.0"]);
  });
});

describe("--confirm-major", () => {
  const policy = { confirmMajor: true };

  test("holds back a jump of more than one major version, and lets others come", async () => {
    const world = running("v1.0.0", {}, "v9007199254740991.0.0", "v1.0.1");
    expect(await poll(world, policy)).toMatchObject({ deployed: true, live: "v1.0.1" });
    expect(eventsOf(world.events, "waiting")).toEqual([
      {
        type: "waiting",
        tag: "v9007199254740991.0.0",
        why: "major",
        reason:
          "more than one major version above v1.0.0, the highest version deployed here; dewy deploy v9007199254740991.0.0 confirms it",
      },
    ]);
  });

  test.each(["v2.0.0", "v2.9.0", "v1.9.9"])("lets %s come after v1.0.0", async (tag) => {
    const world = running("v1.0.0", {}, tag);
    expect(await poll(world, policy)).toMatchObject({ deployed: true, live: tag });
  });

  test("counts from the highest version, not from the running one", async () => {
    const world = running("v1.0.0", { highest: "v3.0.0" }, "v4.0.0");
    expect(await poll(world, policy)).toMatchObject({ live: "v4.0.0" });
  });

  test("does not go back while a jump waits", async () => {
    const world = running("v1.0.0", {}, "v5.0.0", "v0.9.0");
    world.registry.gone.add("v1.0.0");
    expect(await poll(world, policy)).toMatchObject({ deployed: false, live: "v1.0.0" });
    expect(waits(world)).toEqual(["v5.0.0 major"]);
  });

  test("holds nothing back on a new machine, nor a pinned version, nor without the flag", async () => {
    const fresh = testWorld(testRegistry(ready("v7.0.0")));
    expect(await poll(fresh, policy)).toMatchObject({ live: "v7.0.0" });
    const pinned = { ...ALICE, at: AT, tag: "v5.0.0" };
    const world = running("v1.0.0", { pinned }, "v5.0.0");
    expect(await poll(world, policy)).toMatchObject({ live: "v5.0.0" });
    expect(await poll(running("v1.0.0", {}, "v5.0.0"))).toMatchObject({ live: "v5.0.0" });
  });

  test("counts the first part of a CalVer tag", async () => {
    const world = running("2024.10", {});
    const answer = ready("v1.0.0");
    if (answer.kind !== "ready") throw new Error("not ready");
    world.registry.answers = [{ ...answer, release: { ...answer.release, tag: "2026.1" } }];
    expect(await poll(world, { ...policy, calver: "YYYY.MM" })).toMatchObject({ deployed: false });
    expect(waits(world)).toEqual(["2026.1 major"]);
  });
});
