import { describe, expect, it } from "vitest";
import { DeployError, HostError } from "../../src/core/error.ts";
import { bakingWorld, until } from "./baking_world.ts";
import { candidate, deploy, eventsOf, never, type TestWorld, testWorld } from "./world.ts";

/** A directory of releases in which v1.0.0 is live. */
async function worldWithV1(): Promise<TestWorld> {
  const world = testWorld();
  await deploy(candidate("v1.0.0"), world.io, never());
  world.events.length = 0;
  world.steps.length = 0;
  return world;
}

const failureOf = (world: TestWorld, tag: string): Promise<unknown> =>
  deploy(candidate(tag), world.io, never()).catch((error: unknown) => error);

const warningsOf = (world: TestWorld) =>
  eventsOf(world.events, "warning").map(({ message, fields }) => ({ message, ...fields }));

describe("the events of a deploy", () => {
  it("come in order, with durations and paths", async () => {
    const world = await worldWithV1();
    const { deployer, clock } = world.io;
    const { stage } = deployer;
    deployer.stage = async (...args) => {
      await clock.sleep(1500);
      return stage(...args);
    };
    world.hooks = { before: 0, after: 0 };
    await deploy(candidate("v1.1.0"), world.io, never());
    const tag = "v1.1.0";
    const directory = "/app/releases/d2";
    const hook = (when: string) => ({ type: "hook", tag, result: { when, exitCode: 0 } });
    const phase = (name: string, durationMs = 0) => ({
      type: "phase",
      phase: name,
      tag,
      durationMs,
    });
    const start = (name: string) => ({ type: "phase-started", phase: name, tag });
    const expected = [
      start("stage"),
      phase("stage", 1500),
      start("before"),
      hook("before"),
      phase("before"),
      start("activate"),
      phase("activate"),
      { type: "activated", tag, directory },
      start("verify"),
      phase("verify"),
      start("commit"),
      phase("commit"),
      hook("after"),
      { type: "deployed", tag, previousTag: "v1.0.0", directory, durationMs: 1500 },
      { type: "reported", tag },
    ];
    expect(world.events).toMatchObject(expected);
    expect(world.events).toHaveLength(expected.length);
  });

  it("name the removed releases, if there are any", async () => {
    const world = await worldWithV1();
    for (let patch = 1; patch <= 8; patch += 1) {
      await deploy(candidate(`v1.0.${patch}`), world.io, never());
    }
    expect(eventsOf(world.events, "pruned")).toEqual([
      { type: "pruned", directories: ["d1"] },
      { type: "pruned", directories: ["d2"] },
    ]);
  });

  it("do not contain a hook or a report that does not exist", async () => {
    const world = await worldWithV1();
    const { report: _, ...registry } = world.registry;
    world.io.registry = registry;
    await deploy(candidate("v1.1.0"), world.io, never());
    expect(eventsOf(world.events, "hook")).toEqual([]);
    expect(eventsOf(world.events, "reported")).toEqual([]);
    expect(warningsOf(world)).toEqual([]);
  });

  it("do not call a failed deploy reported, though it is", async () => {
    const world = await worldWithV1();
    world.hooks.before = 1;
    await failureOf(world, "v1.1.0");
    expect(world.registry.reports.at(-1)).toMatchObject({ tag: "v1.1.0" });
    expect(eventsOf(world.events, "reported")).toEqual([]);
  });
});

describe("the release that a deploy stages", () => {
  const again = async (world: TestWorld, tag: string, artifact = {}): Promise<string[]> => {
    await deploy(candidate(tag, artifact), world.io, never()).catch(() => {});
    return world.steps.filter((step) => step.startsWith("stage"));
  };

  /** v1.1.0 has been staged but has not been activated. */
  async function staged(artifact = {}): Promise<TestWorld> {
    const world = await worldWithV1();
    world.hooks.before = 1;
    await again(world, "v1.1.0", artifact);
    world.steps.length = 0;
    return world;
  }

  it("is the one that an earlier attempt has left", async () => {
    expect(await again(await staged(), "v1.1.0")).toEqual([]);
    const digest = { revision: undefined, digest: `sha256:${"1".repeat(64)}` };
    expect(await again(await staged(digest), "v1.1.0", digest)).toEqual([]);
  });

  it.each([
    ["is of another version", "v1.2.0", { revision: "rev-v1.1.0" }],
    ["was made from another artifact", "v1.1.0", { name: "other.tar.gz" }],
    ["was made from other bytes", "v1.1.0", { revision: "changed" }],
    ["is live", "v1.0.0", {}],
  ])("is a new one if the earlier one %s", async (_, tag, artifact) => {
    expect(await again(await staged(), tag, artifact)).toEqual([`stage ${tag}`]);
  });

  it("is a new one if the directory is gone or the bytes have no identity", async () => {
    const world = await staged();
    world.directories.delete("d2");
    expect(await again(world, "v1.1.0")).toEqual(["stage v1.1.0"]);
    const unknown = { revision: undefined };
    expect(await again(await staged(unknown), "v1.1.0", unknown)).toEqual(["stage v1.1.0"]);
  });

  it("is recorded with the digest of the download, unless the registry states one", async () => {
    const world = testWorld();
    const { stage } = world.io.deployer;
    const digest = `sha256:${"2".repeat(64)}`;
    world.io.deployer.stage = async (wanted, signal, record) => {
      const made = await stage(wanted, signal, async (one) => record({ ...one, digest }));
      return { ...made, digest };
    };
    await deploy(candidate("v1.0.0"), world.io, never());
    const stated = `sha256:${"3".repeat(64)}`;
    await deploy(candidate("v1.1.0", { digest: stated }), world.io, never());
    expect(world.state().releases).toMatchObject([{ digest }, { digest: stated }]);
  });

  it("is not recorded with a digest that neither states", async () => {
    const world = await worldWithV1();
    expect(world.state().releases[0]?.digest).toBeUndefined();
  });
});

describe("the error of a failed deploy", () => {
  it("says how the before-deploy hook ended", async () => {
    const world = await worldWithV1();
    world.hooks.before = 3;
    expect(await failureOf(world, "v1.1.0")).toMatchObject({
      message: "Cannot deploy v1.1.0: the before-deploy hook exited with exit code 3",
    });
    const { runHook } = world.io;
    world.io.runHook = async (...args) => {
      const result = await runHook(...args);
      return result && { ...result, timedOut: true };
    };
    expect(await failureOf(world, "v1.1.0")).toMatchObject({
      message: "Cannot deploy v1.1.0: the before-deploy hook took too long",
    });
  });

  it("says that the release was removed before it could be activated", async () => {
    const world = await worldWithV1();
    const { runHook } = world.io;
    world.io.runHook = async (when, ...rest) => {
      if (when === "before") world.directories.delete("d2");
      return runHook(when, ...rest);
    };
    expect(await failureOf(world, "v1.1.0")).toMatchObject({
      phase: "activate",
      message: expect.stringContaining("/app/releases/d2 was removed in the meantime"),
    });
    expect(world.steps).not.toContain("activate v1.1.0");
    expect(world.live()).toBe("d1");
  });

  it("can be retried only if its cause can", async () => {
    const world = await worldWithV1();
    for (const [cause, retryable] of [
      [new HostError("busy", { retryable: true }), true],
      [new HostError("broken", { retryable: false }), false],
      [new TypeError("a bug"), false],
    ] as const) {
      world.fail.stage = cause;
      expect(await failureOf(world, "v1.1.0")).toMatchObject({ retryable, cause });
    }
  });
});

describe("a step that may fail without harm", () => {
  it("is named in a warning: the after-deploy hook", async () => {
    const world = await worldWithV1();
    const { runHook } = world.io;
    world.io.runHook = async (when, ...rest) => {
      if (when === "after") throw new HostError("no shell");
      return runHook(when, ...rest);
    };
    await deploy(candidate("v1.1.0"), world.io, never());
    expect(warningsOf(world)).toEqual([
      { message: "Cannot run the after-deploy hook", error: "no shell" },
    ]);
    expect(world.state().afterHook).toMatchObject({ directory: "d2" });
  });

  it("is named in a warning: the after-deploy hook of a dewy that is stopping", async () => {
    const world = await worldWithV1();
    const stop = new AbortController();
    world.hooks.after = 0;
    world.io.deployer.verify = async () => stop.abort();
    await deploy(candidate("v1.1.0"), world.io, stop.signal);
    expect(warningsOf(world)[0]).toEqual({
      message: "After-deploy hook postponed to the next start",
      tag: "v1.1.0",
    });
  });

  it("is named in a warning: the reports and the removal of old releases", async () => {
    const world = await worldWithV1();
    world.registry.reportError = new Error("HTTP 503");
    world.fail.prune = new HostError("busy");
    await deploy(candidate("v1.1.0"), world.io, never());
    world.hooks.before = 1;
    await failureOf(world, "v1.2.0");
    expect(warningsOf(world)).toEqual([
      {
        message: "Cannot leave an audit record; it will be retried",
        tag: "v1.1.0",
        error: "HTTP 503",
      },
      { message: "Cannot remove old releases", error: "busy" },
      {
        message: "Cannot report the failed deploy; it will be retried",
        tag: "v1.2.0",
        error: "HTTP 503",
      },
      { message: "Cannot remove old releases", error: "busy" },
    ]);
  });

  it("is named in a warning: the records of a version that failed", async () => {
    const world = await worldWithV1();
    world.io.deployer.verify = async () => {
      world.fail.save = new HostError("the disk is full");
      throw new DeployError("verify", "it crashed", { fault: "release" });
    };
    expect(await failureOf(world, "v1.1.0")).toMatchObject({ phase: "verify" });
    expect(world.live()).toBe("d1");
    expect(warningsOf(world)).toEqual([
      { message: "Cannot remember the bad version", error: "the disk is full" },
      { message: "Cannot clear the switch that was rolled back", error: "the disk is full" },
      { message: "Cannot save the report of the deploy", error: "the disk is full" },
    ]);
  });

  it("is named in an important warning: a rollback", async () => {
    const world = await worldWithV1();
    world.fail.verify = new HostError("the engine is down");
    world.fail.restore = new HostError("the disk is full");
    await failureOf(world, "v1.1.0");
    expect(eventsOf(world.events, "warning")).toMatchObject([
      {
        important: true,
        message: "Cannot roll back to the previous version; the next poll tries again",
        fields: { tag: "v1.1.0", error: "the disk is full" },
      },
    ]);
  });
});

describe("the warning of a rollback without a verdict", () => {
  it("names both versions", async () => {
    const world = await worldWithV1();
    world.fail.verify = new HostError("the engine is down");
    await failureOf(world, "v1.1.0");
    expect(warningsOf(world)).toEqual([
      { message: "Version rolled back", tag: "v1.1.0", to: "v1.0.0" },
    ]);
  });

  it("names no other version if there was none", async () => {
    const world = testWorld();
    world.fail.verify = new HostError("the engine is down");
    await failureOf(world, "v1.0.0");
    const [warning] = eventsOf(world.events, "warning");
    expect(Object.keys(warning?.fields ?? {})).toEqual(["tag"]);
  });

  it("gives the reason why a newer version's attempt was aborted", async () => {
    const world = await bakingWorld();
    await world.publish("v1.1.0");
    world.slow.add("v1.2.0");
    const looked = world.publish("v1.2.0");
    await world.gettingReady("v1.2.0");
    world.bake("v1.1.0").fail(new DeployError("verify", "it crashed", { fault: "release" }));
    await looked;
    await until(() => world.settled.length > 0);
    expect(warningsOf(world)).toContainEqual({
      message: "Deploy aborted; it will be retried",
      tag: "v1.2.0",
      to: expect.any(String),
      reason: expect.stringContaining("it was given up, because v1.1.0 failed"),
    });
  });
});

it("a bake is timed apart from the verification", async () => {
  const world = testWorld();
  world.io.deployer.bake = async () => {
    await Promise.resolve();
    await world.io.clock.sleep(60_000);
    return "proven";
  };
  await deploy(candidate("v1.0.0"), world.io, never());
  const timed = eventsOf(world.events, "phase").map(({ phase, durationMs }) => [phase, durationMs]);
  expect(Object.fromEntries(timed)).toMatchObject({ verify: 0, bake: 60_000 });
});

it("a release that fails its bake while dewy is stopping is not reported", async () => {
  const world = await worldWithV1();
  const stop = new AbortController();
  world.registry.reports.length = 0;
  world.io.deployer.bake = async () => {
    stop.abort();
    throw new DeployError("verify", "it was killed", { fault: "release" });
  };
  await deploy(candidate("v1.1.0"), world.io, stop.signal).catch(() => {});
  expect(world.registry.reports).toEqual([]);
  expect(world.state().bad).toEqual([]);
});

it("a report that hangs does not hold dewy up that is stopped meanwhile", async () => {
  const world = testWorld();
  const stop = new AbortController();
  world.registry.report = () => {
    setImmediate(() => stop.abort());
    return new Promise(() => {});
  };
  await deploy(candidate("v1.0.0"), world.io, stop.signal);
  expect(warningsOf(world)[0]).toEqual({
    message: "Cannot leave an audit record; it will be retried",
    tag: "v1.0.0",
    error: "it took too long while dewy was stopping",
  });
});
