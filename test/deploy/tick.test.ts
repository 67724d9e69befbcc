import { describe, expect, it } from "vitest";
import {
  AbortedError,
  DeployError,
  HostError,
  NotFoundError,
  RemoteError,
} from "../../src/core/error.ts";
import type { Resolution } from "../../src/core/types.ts";
import type { VersionPolicy } from "../../src/deploy/choose.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { forgetAcceptances } from "../../src/deploy/state.ts";
import { pollOutcome, tick } from "../../src/deploy/tick.ts";
import { eventsOf, never, nothing, ready, testRegistry, testWorld } from "./world.ts";

const policy: VersionPolicy = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  acceptChanged: [],
};

function worldWith(...answers: Parameters<typeof testRegistry>): {
  world: ReturnType<typeof testWorld>;
  failed: FailedCandidates;
  look: (over?: Partial<VersionPolicy>) => ReturnType<typeof tick>;
} {
  const world = testWorld(testRegistry(...answers));
  const { clock } = world.io;
  const failed = new FailedCandidates({ intervalMs: 10_000, clock, random: () => 0.5 });
  return {
    world,
    failed,
    look: (over) => tick({ policy: { ...policy, ...over }, failed }, world.io, never()),
  };
}

describe("tick", () => {
  it("deploys the newest version, then does nothing while nothing changes", async () => {
    const { look } = worldWith(ready("v1.0.0"));
    expect(await look()).toEqual({ deployed: true, live: "v1.0.0" });
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
  });

  it("switches to a newer version", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    expect(await look()).toEqual({ deployed: true, live: "v1.1.0" });
  });

  it("waits for the artifact of the newest version while a version runs", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [
      { kind: "pending", tag: "v1.2.0", reason: "artifact-missing" },
      ready("v1.1.0"),
      ready("v1.0.0"),
    ];
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    expect(eventsOf(world.events, "pending")).toHaveLength(1);
  });

  it("deploys the next newest complete version when the newest is pending and nothing runs", async () => {
    const { look } = worldWith(
      { kind: "pending", tag: "v1.2.0", reason: "artifact-missing" },
      ready("v1.1.0"),
    );
    expect(await look()).toEqual({ deployed: true, live: "v1.1.0" });
  });

  it("reports the end of the newest version's grace period, and deploys the next newest if nothing runs", async () => {
    const missing = {
      kind: "none",
      reason: "artifact-missing",
      tag: "v1.2.0",
      message: "artifact not found",
    } as const;
    const { look } = worldWith(missing, ready("v1.1.0"));
    expect(await look()).toMatchObject({
      deployed: true,
      live: "v1.1.0",
      problem: { code: "not-found", message: "artifact not found" },
    });
    expect(await look()).toMatchObject({
      deployed: false,
      live: "v1.1.0",
      problem: { code: "not-found" },
    });
  });

  it("does not retry a bad version, but deploys a newer one", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    expect(await look()).toMatchObject({ live: "v1.0.0", failure: { error: { phase: "verify" } } });
    world.fail = {};
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    world.registry.answers = [ready("v1.1.1"), ready("v1.1.0"), ready("v1.0.0")];
    expect(await look()).toEqual({ deployed: true, live: "v1.1.1" });
  });

  it("rejects a bad version whose bytes have changed until the operator accepts them", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    await look();
    world.fail = {};
    world.registry.answers = [ready("v1.1.0", { revision: "fixed" }), ready("v1.0.0")];
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    expect(await look({ acceptChanged: ["v1.1.0"] })).toEqual({ deployed: true, live: "v1.1.0" });
  });

  it("deploys the next newest if the newest is bad and nothing runs", async () => {
    const { world, look } = worldWith(ready("v1.1.0"), ready("v1.0.0"));
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    await look();
    world.fail = {};
    expect(await look()).toEqual({ deployed: true, live: "v1.0.0" });
  });

  it("deploys the newest remaining version if the running release was deleted", async () => {
    const { world, look } = worldWith(ready("v1.1.0"));
    await look();
    world.registry.answers = [ready("v1.0.0")];
    world.registry.gone.add("v1.1.0");
    expect(await look()).toEqual({ deployed: true, live: "v1.0.0" });
  });

  it("does not downgrade if the listing is short but the running release still exists", async () => {
    const { world, look } = worldWith(ready("v1.1.0"));
    await look();
    world.registry.answers = [ready("v1.0.0")];
    expect(await look()).toEqual({ deployed: false, live: "v1.1.0" });
    expect(eventsOf(world.events, "held")).toMatchObject([{ tag: "v1.0.0", running: "v1.1.0" }]);
  });

  it("follows a registry that chooses by its own rules, backwards and to tags that are not versions", async () => {
    const { world, look } = worldWith(ready("v1.1.0"));
    delete world.registry.exists;
    await look();
    for (const tag of ["v1.0.0", "nightly-7", "nightly-6", "v1.1.0"]) {
      const answer = ready("v9.9.9", { revision: `rev-${tag}` });
      if (answer.kind !== "ready") throw new Error("not ready");
      world.registry.answers = [{ ...answer, release: { ...answer.release, tag } }];
      expect(await look()).toEqual({ deployed: true, live: tag });
    }
  });

  it("does not downgrade if the registry is suddenly empty, and reports that", async () => {
    const { world, look } = worldWith(ready("v1.1.0"));
    await look();
    world.registry.answers = [nothing("empty")];
    world.registry.gone.add("v1.1.0");
    expect(await look()).toMatchObject({
      deployed: false,
      live: "v1.1.0",
      problem: { code: "not-found" },
    });
  });

  it("deploys an older version if the running one does not match the changed policy", async () => {
    const { world, look } = worldWith(ready("v2.0.0"));
    await look();
    world.registry.answers = [ready("v1.9.0")];
    expect(await look({ constraint: "^1" })).toEqual({ deployed: true, live: "v1.9.0" });
  });

  it("warns and does not redeploy if the bytes of the tag have changed", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.0.0", { revision: "replaced" })];
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    expect(eventsOf(world.events, "bytes-changed")).toHaveLength(1);
  });

  describe("if the record of the live version is lost", () => {
    const missing = {
      kind: "none",
      reason: "artifact-missing",
      tag: "v1.2.0",
      message: "artifact not found",
    } as const;

    it.each<[string, Resolution]>([
      ["is pending", { kind: "pending", tag: "v1.2.0", reason: "artifact-missing" }],
      ["has no artifact for this machine", missing],
      ["is bad", ready("v1.2.0")],
      ["has changed", ready("v1.2.0", { name: "other.tar.gz" })],
    ])("does not deploy an older version because the newest %s", async (why, newest) => {
      const { world, look } = worldWith(newest, ready("v1.1.0"));
      world.directories.add("d0");
      world.setLive("d0");
      const known = { tag: "v1.2.0", artifact: "app.tar.gz" };
      const bad = { tag: "v1.2.0", reason: "it crashed", at: "" };
      if (why === "is bad") world.setState({ ...world.state(), bad: [bad] });
      if (why === "has changed") world.setState({ ...world.state(), known: [known] });
      expect(await look()).toMatchObject({ deployed: false });
      expect(world.live()).toBe("d0");
    });

    it("deploys the newest", async () => {
      const { world, look } = worldWith(ready("v1.2.0"), ready("v1.1.0"));
      world.directories.add("d0");
      world.setLive("d0");
      expect(await look()).toEqual({ deployed: true, live: "v1.2.0" });
    });
  });

  describe("when a tag stands for other bytes than those that were staged under it", () => {
    const changed = ready("v1.1.0", { revision: "other" });

    /** v1.1.0 was live, then deleted; v1.0.0 is live, and `again` is published. */
    async function detour(again: Resolution): Promise<ReturnType<typeof worldWith>> {
      const made = worldWith(ready("v1.1.0"), ready("v1.0.0"));
      await made.look();
      made.world.registry.answers = [ready("v1.0.0")];
      made.world.registry.gone.add("v1.1.0");
      expect(await made.look()).toEqual({ deployed: true, live: "v1.0.0" });
      made.world.registry.answers = [again, ready("v1.0.0")];
      return made;
    }

    it("rejects them, and reports that", async () => {
      const { world, look } = await detour(changed);
      expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
      expect(eventsOf(world.events, "bytes-changed")).toEqual([
        { type: "bytes-changed", tag: "v1.1.0", artifact: "app.tar.gz" },
      ]);
    });

    it("deploys the recorded bytes", async () => {
      const { look } = await detour(ready("v1.1.0"));
      expect(await look()).toEqual({ deployed: true, live: "v1.1.0" });
    });

    it("rejects an artifact of another name, unless the operator names it", async () => {
      const { look } = await detour(ready("v1.1.0", { name: "other.tar.gz" }));
      expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
      expect(await look({ artifact: "other.tar.gz" })).toEqual({ deployed: true, live: "v1.1.0" });
    });

    it("deploys a version above the live one", async () => {
      const { world, look } = await detour(changed);
      world.registry.answers = [changed, ready("v1.0.5"), ready("v1.0.0")];
      expect(await look()).toEqual({ deployed: true, live: "v1.0.5" });
    });

    it("keeps the record longer than the release itself", async () => {
      const { world, look } = await detour(changed);
      world.setState({ ...world.state(), releases: world.state().releases.slice(-1) });
      expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    });

    it("uses the digests of releases that were staged before bytes were recorded", async () => {
      const { world, look } = await detour(changed);
      world.setState({ ...world.state(), known: [] });
      expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    });

    it("deploys them if the operator accepts them for this tag", async () => {
      const { look } = await detour(changed);
      expect(await look({ acceptChanged: ["v1.0.0"] })).toMatchObject({ deployed: false });
      expect(await look({ acceptChanged: ["v1.1.0"] })).toEqual({ deployed: true, live: "v1.1.0" });
    });

    it("deploys those of the live version if the operator accepts them", async () => {
      const { world, look } = worldWith(ready("v1.1.0"));
      await look();
      world.registry.answers = [changed];
      expect(await look()).toEqual({ deployed: false, live: "v1.1.0" });
      expect(await look({ acceptChanged: ["v1.1.0"] })).toEqual({ deployed: true, live: "v1.1.0" });
      expect(world.live()).toBe("d2");
      expect(await look()).toEqual({ deployed: false, live: "v1.1.0" });
    });

    it("does not retry accepted bytes of the live version if they are bad", async () => {
      const { world, look } = worldWith(ready("v1.1.0"));
      await look();
      world.registry.answers = [changed];
      world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
      expect(await look({ acceptChanged: ["v1.1.0"] })).toHaveProperty("failure");
      world.fail = {};
      expect(await look({ acceptChanged: ["v1.1.0"] })).toEqual({
        deployed: false,
        live: "v1.1.0",
      });
      expect(world.live()).toBe("d1");
    });

    it("retries accepted bytes that failed for no fault of the release", async () => {
      const { world, look, failed } = await detour(changed);
      world.hooks.before = 1;
      expect(await look({ acceptChanged: ["v1.1.0"] })).toHaveProperty("failure");
      failed.hurry();
      world.hooks.before = 0;
      expect(await look()).toEqual({ deployed: true, live: "v1.1.0" });
    });

    it("accepts only the bytes of the first poll", async () => {
      const { world, look } = await detour(changed);
      const flag = { acceptChanged: ["v1.1.0"] };
      await look(flag);
      const again = ready("v1.1.0", { revision: "yet others" });
      world.registry.answers = [again];
      expect(await look(flag)).toEqual({ deployed: false, live: "v1.1.0" });
      expect(eventsOf(world.events, "bytes-changed")).toMatchObject([{ acceptedBefore: true }]);
    });

    it("uses up the acceptance even if the bytes were the known ones", async () => {
      const { world, look } = await detour(ready("v1.1.0"));
      const flag = { acceptChanged: ["v1.1.0"] };
      await look(flag);
      world.registry.answers = [changed];
      expect(await look(flag)).toEqual({ deployed: false, live: "v1.1.0" });
    });

    it("accepts again after a start without the flag", async () => {
      const { world, look } = await detour(changed);
      const flag = { acceptChanged: ["v1.1.0"] };
      await look(flag);
      world.registry.answers = [ready("v1.1.0", { revision: "yet others" })];
      world.setState(forgetAcceptances(world.state(), flag.acceptChanged));
      expect(await look(flag)).toEqual({ deployed: false, live: "v1.1.0" });
      world.setState(forgetAcceptances(world.state(), []));
      expect(await look(flag)).toEqual({ deployed: true, live: "v1.1.0" });
    });

    it("compares digests before it reports changed bytes if only the revision differs", async () => {
      const touched = ready("v1.1.0", { revision: "touched" });
      const { world, look } = await detour(touched);
      world.setState({
        ...world.state(),
        known: world.state().known.map((one) => ({ ...one, digest: "sha256:11" })),
      });
      let digest = "sha256:22";
      world.registry.digest = async () => digest;
      expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
      digest = "sha256:11";
      expect(await look()).toEqual({ deployed: true, live: "v1.1.0" });
    });
  });

  it("redeploys the same tag if the operator names another artifact", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.0.0", { name: "other.tar.gz" })];
    expect(await look({ artifact: "other.tar.gz" })).toEqual({ deployed: true, live: "v1.0.0" });
  });

  it("retries a failed rollback before anything else", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    world.fail.restore = new HostError("the disk is full");
    await look();
    expect(world.live()).toBe("d2");
    await expect(look()).rejects.toThrow("the disk is full");
    world.fail = {};
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    expect(world.live()).toBe("d1");
    expect(world.state().switching).toBeUndefined();
    expect(world.state().bad).toMatchObject([{ tag: "v1.1.0" }]);
  });

  it("runs an after hook that an earlier process has not run, once", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.hooks.after = 0;
    world.setState({ ...world.state(), afterHook: { directory: "d1", previousTag: "v0.9.0" } });
    await look();
    await look();
    expect(world.steps.filter((step) => step === "hook after")).toHaveLength(1);
    expect(world.hookContexts).toEqual([
      {
        tag: "v1.0.0",
        previousTag: "v0.9.0",
        releaseDirectory: "/app/releases/d1",
        command: "assets",
      },
    ]);
  });

  it("does not run the after hook of a version that is no longer live", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.1.0")];
    await look();
    world.hooks.after = 0;
    world.setState({ ...world.state(), afterHook: { directory: "d1" } });
    await look();
    expect(world.steps).not.toContain("hook after");
    expect(world.state().afterHook).toBeUndefined();
  });

  it("terminates if a registry ignores excluded tags", async () => {
    const { world, look } = worldWith();
    world.registry.resolve = async () => ({
      kind: "pending",
      tag: "v1.0.0",
      reason: "artifact-missing",
    });
    expect(await look()).toEqual({ deployed: false, live: undefined });
  });

  describe("after a version has failed before it was live", () => {
    const failure = new HostError("the disk is full");

    it("retries it with exponential backoff", async () => {
      const { world, look } = worldWith(ready("v1.0.0"));
      world.fail.stage = failure;
      const { clock } = world.io;
      const waits: number[] = [];
      for (let count = 0; count < 7; count += 1) {
        const { failure: failed, live } = await look();
        expect(live).toBeUndefined();
        expect(failed).toMatchObject({ tag: "v1.0.0", error: { phase: "stage" } });
        const retryAt = failed?.retryAt ?? 0;
        waits.push(retryAt - clock.now());
        await clock.sleep(retryAt - clock.now() - 1);
        const failedWith = "Cannot deploy v1.0.0: the disk is full";
        expect(await look()).toEqual({
          deployed: false,
          live: undefined,
          waitsUntil: retryAt,
          failedWith,
        });
        await clock.sleep(1);
      }
      expect(waits).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
      expect(world.steps.filter((step) => step !== "prune")).toEqual(Array(7).fill("stage v1.0.0"));
      world.fail = {};
      expect(await look()).toEqual({ deployed: true, live: "v1.0.0" });
    });

    it.each([
      ["a newer version", ready("v1.0.1", { revision: "rev-v1.0.0" }), "v1.0.1"],
      ["other bytes of it", ready("v1.0.0", { revision: "fixed" }), "v1.0.0"],
      ["another artifact of it", ready("v1.0.0", { name: "fixed.tar.gz" }), "v1.0.0"],
    ])("deploys %s at once", async (_, fixed, live) => {
      const { world, look } = worldWith(ready("v1.0.0"));
      world.fail.stage = failure;
      await look();
      world.fail = {};
      world.registry.answers = [fixed];
      expect(await look()).toEqual({ deployed: true, live });
    });

    it("remembers the failure if another version fails in between", async () => {
      const { world, look } = worldWith(ready("v1.1.0"));
      world.fail.stage = failure;
      await look();
      world.registry.answers = [ready("v1.0.0")];
      await look();
      world.registry.answers = [ready("v1.1.0")];
      expect(await look()).toMatchObject({ waitsUntil: expect.any(Number) });
    });

    it("resets the backoff after a successful deploy", async () => {
      const { world, look } = worldWith(ready("v1.1.0"));
      world.fail.stage = failure;
      const first = await look();
      world.registry.answers = [ready("v1.0.0")];
      world.fail = {};
      await look();
      world.registry.answers = [ready("v1.1.0")];
      world.fail.stage = failure;
      expect((await look()).failure?.retryAt).toBe(first.failure?.retryAt);
    });

    it("retries at once after hurry(), and then waits longer than before", async () => {
      const { world, look, failed } = worldWith(ready("v1.0.0"));
      world.hooks.before = 1;
      await look();
      failed.hurry();
      const again = await look();
      expect(again.failure?.error.message).toContain("exit code 1");
      expect((again.failure?.retryAt ?? 0) - world.io.clock.now()).toBe(20_000);
      expect(world.steps.filter((step) => step === "hook before")).toHaveLength(2);
    });

    it("respects the pause that the registry asked for during the download", async () => {
      const { world, look } = worldWith(ready("v1.0.0"));
      world.fail.stage = new RemoteError("slow down", { retryAfterMs: 900_000 });
      const { failure: failed } = await look();
      expect((failed?.retryAt ?? 0) - world.io.clock.now()).toBe(945_000);
    });

    it("does not retry a version that was live and is marked bad", async () => {
      const { world, look } = worldWith(ready("v1.0.0"));
      world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
      expect((await look()).failure).toMatchObject({ retryAt: undefined });
    });

    it("retries later a version that was rolled back for no fault of its own", async () => {
      const { world, look } = worldWith(ready("v1.0.0"));
      world.fail.verify = new HostError("the engine is down", { retryable: true });
      const { failure } = await look();
      expect((failure?.retryAt ?? 0) - world.io.clock.now()).toBe(10_000);
      expect(await look()).toMatchObject({ waitsUntil: failure?.retryAt });
    });

    it("rethrows an abort by the operator", async () => {
      const { world, look } = worldWith(ready("v1.0.0"));
      world.fail.stage = new AbortedError("Stopped");
      await expect(look()).rejects.toMatchObject({ code: "aborted" });
      world.fail = {};
      expect(await look()).toEqual({ deployed: true, live: "v1.0.0" });
    });
  });
});

describe("pollOutcome", () => {
  const problem = new NotFoundError("nothing there");
  const failure = { tag: "v1.0.0", error: new HostError("full"), retryAt: 5 };

  it.each([
    [{}, { kind: "waiting" }],
    [{ live: "v1.0.0" }, { kind: "fine" }],
    [{ problem }, { kind: "problem", error: problem }],
    [
      { problem, waitsUntil: 5 },
      { kind: "problem", error: problem },
    ],
    [
      { problem, failure },
      { kind: "failed", ...failure },
    ],
    [
      { waitsUntil: 5, failedWith: "full" },
      { kind: "waiting", retryAt: 5, failedWith: "full" },
    ],
  ])("of %o", (parts, outcome) => {
    expect(pollOutcome({ deployed: false, live: undefined, ...parts })).toEqual(outcome);
  });
});
