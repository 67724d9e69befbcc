import { describe, expect, it } from "vitest";
import { HostError } from "../../src/core/error.ts";
import type { VersionPolicy } from "../../src/deploy/choose.ts";
import { tick } from "../../src/deploy/tick.ts";
import { eventsOf, never, nothing, ready, testRegistry, testWorld } from "./world.ts";

const policy: VersionPolicy = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
};

function worldWith(...answers: Parameters<typeof testRegistry>): {
  world: ReturnType<typeof testWorld>;
  look: (over?: Partial<VersionPolicy>) => ReturnType<typeof tick>;
} {
  const world = testWorld(testRegistry(...answers));
  return { world, look: (over) => tick({ ...policy, ...over }, world.io, never()) };
}

describe("tick", () => {
  it("deploys the newest version, then stays while nothing changes", async () => {
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

  it("waits for the artifact of the newest while something runs", async () => {
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

  it("says so when the grace period of the newest is over, and deploys the next newest when nothing runs", async () => {
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

  it("does not try a bad version again, but goes on with a newer one", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    world.fail.verify = new HostError("it crashed", { retryable: false });
    await expect(look()).rejects.toMatchObject({ phase: "verify" });
    world.fail = {};
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    world.registry.answers = [ready("v1.1.1"), ready("v1.1.0"), ready("v1.0.0")];
    expect(await look()).toEqual({ deployed: true, live: "v1.1.1" });
  });

  it("tries a bad version again when its bytes have changed", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.1.0"), ready("v1.0.0")];
    world.fail.verify = new HostError("it crashed", { retryable: false });
    await look().catch(() => {});
    world.fail = {};
    world.registry.answers = [ready("v1.1.0", { revision: "mended" }), ready("v1.0.0")];
    expect(await look()).toEqual({ deployed: true, live: "v1.1.0" });
  });

  it("deploys the next newest when the newest is bad and nothing runs", async () => {
    const { world, look } = worldWith(ready("v1.1.0"), ready("v1.0.0"));
    world.fail.verify = new HostError("it crashed", { retryable: false });
    await look().catch(() => {});
    world.fail = {};
    expect(await look()).toEqual({ deployed: true, live: "v1.0.0" });
  });

  it("settles on the newest that is left when the running release was deleted", async () => {
    const { world, look } = worldWith(ready("v1.1.0"));
    await look();
    world.registry.answers = [ready("v1.0.0")];
    world.registry.gone.add("v1.1.0");
    expect(await look()).toEqual({ deployed: true, live: "v1.0.0" });
  });

  it("does not downgrade when the listing is short but the running release still exists", async () => {
    const { world, look } = worldWith(ready("v1.1.0"));
    await look();
    world.registry.answers = [ready("v1.0.0")];
    expect(await look()).toEqual({ deployed: false, live: "v1.1.0" });
    expect(eventsOf(world.events, "held")).toMatchObject([{ tag: "v1.0.0", running: "v1.1.0" }]);
  });

  it("follows a registry that chooses by itself, also back, and to tags that are no versions", async () => {
    const { world, look } = worldWith(ready("v1.1.0"));
    delete world.registry.exists;
    await look();
    for (const tag of ["v1.0.0", "nightly-7", "nightly-6", "v1.1.0"]) {
      const answer = ready("v9.9.9");
      if (answer.kind !== "ready") throw new Error("not ready");
      world.registry.answers = [{ ...answer, release: { ...answer.release, tag } }];
      expect(await look()).toEqual({ deployed: true, live: tag });
    }
  });

  it("does not downgrade when the registry is suddenly empty, and says so", async () => {
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

  it("follows the operator to an older version when the running one no longer fits the policy", async () => {
    const { world, look } = worldWith(ready("v2.0.0"));
    await look();
    world.registry.answers = [ready("v1.9.0")];
    expect(await look({ constraint: "^1" })).toEqual({ deployed: true, live: "v1.9.0" });
  });

  it("warns and does not redeploy when the same tag has other bytes", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.0.0", { revision: "replaced" })];
    expect(await look()).toEqual({ deployed: false, live: "v1.0.0" });
    expect(eventsOf(world.events, "bytes-changed")).toHaveLength(1);
  });

  it("redeploys the same tag when the operator names another artifact", async () => {
    const { world, look } = worldWith(ready("v1.0.0"));
    await look();
    world.registry.answers = [ready("v1.0.0", { name: "other.tar.gz" })];
    expect(await look({ artifact: "other.tar.gz" })).toEqual({ deployed: true, live: "v1.0.0" });
  });

  it("ends when a registry ignores what is excluded", async () => {
    const { world, look } = worldWith();
    world.registry.current = async () => ({
      kind: "pending",
      tag: "v1.0.0",
      reason: "artifact-missing",
    });
    expect(await look()).toEqual({ deployed: false, live: undefined });
  });
});
