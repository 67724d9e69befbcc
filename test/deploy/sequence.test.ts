import { describe, expect, it } from "vitest";
import {
  AbortedError,
  ArchiveError,
  ConfigError,
  DeployError,
  HostError,
  RemoteError,
} from "../../src/core/error.ts";
import type { Staged } from "../../src/deploy/deployer.ts";
import { deployedRelease, withRelease } from "../../src/deploy/state.ts";
import { candidate, deploy, eventsOf, never, testWorld } from "./world.ts";

describe("deploy", () => {
  it("runs the steps in the documented order", async () => {
    const world = testWorld();
    world.hooks = { before: 0, after: 0 };
    await deploy(candidate("v1.0.0"), world.io, never());
    expect(world.steps).toEqual([
      "stage v1.0.0",
      "hook before",
      "activate v1.0.0",
      "verify v1.0.0",
      "hook after",
      "prune",
    ]);
    expect(world.live()).toBe("d1");
  });

  it("passes version, previous version and release directory to both hooks", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.hooks = { before: 0, after: 0 };
    await deploy(candidate("v1.1.0"), world.io, never());
    const context = {
      tag: "v1.1.0",
      previousTag: "v1.0.0",
      releaseDirectory: "/app/releases/d2",
      command: "assets",
    };
    expect(world.hookContexts).toEqual([context, context]);
  });

  it("passes the rollback target that was set during the before hook as the previous version", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    await deploy(candidate("v1.1.0"), world.io, never());
    world.hooks = { before: 0, after: 0 };
    const { runHook } = world.io;
    world.io.runHook = async (when, ...rest) => {
      if (when === "before") {
        await world.io.store.update((state) => ({
          ...state,
          bad: [{ tag: "v1.1.0", reason: "it crashed 5 times", at: "2026-01-01T00:00:00.000Z" }],
        }));
      }
      return runHook(when, ...rest);
    };
    await deploy(candidate("v1.2.0"), world.io, never());
    expect(world.hookContexts.map(({ previousTag }) => previousTag)).toEqual(["v1.1.0", "v1.0.0"]);
    expect(eventsOf(world.events, "deployed").at(-1)).toMatchObject({ previousTag: "v1.0.0" });
  });

  it("records the switch before it happens and clears it on commit", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    const { activate } = world.io.deployer;
    let seen: unknown;
    world.io.deployer.activate = async (release, signal) => {
      seen = world.state().switching;
      return activate(release, signal);
    };
    await deploy(candidate("v1.1.0"), world.io, never());
    expect(seen).toEqual({ to: "d2", from: "d1" });
    expect(world.state().switching).toBeUndefined();
    expect(world.state().previous).toBe("d1");
  });

  it("leaves the running version alone if staging fails", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.stage = new ArchiveError("a link leaves the directory");
    const error = await deploy(candidate("v1.1.0"), world.io, never()).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DeployError);
    expect(error).toMatchObject({ phase: "stage", cause: { code: "archive" } });
    expect(String(error)).toContain("v1.1.0");
    expect(world.live()).toBe("d1");
    expect(world.state().bad).toEqual([]);
  });

  it("changes nothing if the before hook fails", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.hooks = { before: 3, after: 0 };
    const error = await deploy(candidate("v1.1.0"), world.io, never()).catch((e: unknown) => e);
    expect(error).toMatchObject({ phase: "before" });
    expect(String(error)).toContain("exit code 3");
    expect(world.live()).toBe("d1");
    expect(world.steps).not.toContain("activate v1.1.0");
    expect(world.steps).not.toContain("hook after");
    expect(eventsOf(world.events, "hook")).toHaveLength(1);
  });

  it("reuses a release that was staged for a failed attempt", async () => {
    const world = testWorld();
    world.hooks.before = 1;
    await deploy(candidate("v1.0.0"), world.io, never()).catch(() => {});
    world.hooks.before = 0;
    await deploy(candidate("v1.0.0"), world.io, never());
    expect(world.steps.filter((step) => step.startsWith("stage"))).toEqual(["stage v1.0.0"]);
  });

  it("stages again if the bytes of the tag have changed", async () => {
    const world = testWorld();
    world.hooks.before = 1;
    await deploy(candidate("v1.0.0"), world.io, never()).catch(() => {});
    world.hooks.before = 0;
    await deploy(candidate("v1.0.0", { revision: "other" }), world.io, never());
    expect(world.live()).toBe("d2");
  });

  it("rolls back and marks the version bad if it does not become ready", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    const error = await deploy(candidate("v1.1.0"), world.io, never()).catch((e: unknown) => e);
    expect(error).toMatchObject({ phase: "verify" });
    expect(world.live()).toBe("d1");
    expect(world.state().switching).toBeUndefined();
    expect(world.state().bad).toMatchObject([{ tag: "v1.1.0", revision: "rev-v1.1.0" }]);
    expect(eventsOf(world.events, "rolled-back")).toMatchObject([{ tag: "v1.1.0", to: "v1.0.0" }]);
  });

  it("reports a rollback only if there is a version to roll back to", async () => {
    const world = testWorld();
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    await deploy(candidate("v1.0.0"), world.io, never()).catch(() => {});
    expect(world.state().bad).toMatchObject([{ tag: "v1.0.0" }]);
    expect(eventsOf(world.events, "rolled-back")).toEqual([]);
  });

  it("does not report a rollback of a version that will be retried", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.verify = new HostError("the engine does not answer");
    await deploy(candidate("v1.1.0"), world.io, never()).catch(() => {});
    expect(world.live()).toBe("d1");
    expect(eventsOf(world.events, "rolled-back")).toEqual([]);
  });

  it("keeps the mark and the original error if the rollback fails", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.verify = new DeployError("verify", "it crashed", { fault: "release" });
    world.fail.restore = new HostError("the disk is full");
    await expect(deploy(candidate("v1.1.0"), world.io, never())).rejects.toThrow("it crashed");
    expect(world.state().bad).toMatchObject([{ tag: "v1.1.0" }]);
    expect(eventsOf(world.events, "rolled-back")).toEqual([]);
    expect(eventsOf(world.events, "warning")).toContainEqual(
      expect.objectContaining({
        important: true,
        fields: expect.objectContaining({ tag: "v1.1.0" }),
      }),
    );
  });

  it.each([
    ["this machine", new HostError("the engine does not answer", { retryable: false })],
    ["the operator", new ConfigError("there is no such option")],
    ["a remote service", new RemoteError("the registry hung up", { retryable: false })],
    ["nobody in particular", new TypeError("x is undefined")],
  ])("rolls back and marks nothing bad if the fault lies with %s", async (_whose, error) => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.verify = error;
    await expect(deploy(candidate("v2.0.0"), world.io, never())).rejects.toThrow(error.message);
    expect(world.live()).toBe("d1");
    expect(world.state().bad).toEqual([]);
  });

  it("rolls back without marking the version bad if dewy is stopped while it verifies", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    const stop = new AbortController();
    world.io.deployer.verify = async () => {
      stop.abort();
      throw new AbortedError("stopped");
    };
    const error = await deploy(candidate("v1.1.0"), world.io, stop.signal).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "aborted" });
    expect(world.live()).toBe("d1");
    expect(world.state().bad).toEqual([]);
    expect(eventsOf(world.events, "rolled-back")).toEqual([]);
    expect(eventsOf(world.events, "warning")).toMatchObject([
      { message: "Deploy aborted: dewy is stopping", fields: { tag: "v1.1.0", to: "v1.0.0" } },
    ]);
    expect(world.registry.reports).toHaveLength(1);
  });

  it("rolls back without marking the version bad if the commit fails", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail["save-commit"] = new HostError("the disk is full");
    const error = await deploy(candidate("v1.1.0"), world.io, never()).catch((e: unknown) => e);
    expect(error).toMatchObject({ phase: "commit" });
    expect(world.live()).toBe("d1");
    expect(world.state().bad).toEqual([]);
  });

  it("rolls back if activation fails halfway", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.activate = new HostError("no");
    await expect(deploy(candidate("v1.1.0"), world.io, never())).rejects.toMatchObject({
      phase: "activate",
    });
    expect(world.live()).toBe("d1");
    expect(world.state().switching).toBeUndefined();
  });

  it.each([
    ["the after hook fails", (world: ReturnType<typeof testWorld>) => (world.hooks.after = 1)],
    [
      "the audit record fails",
      (world: ReturnType<typeof testWorld>) => (world.registry.reportError = new Error("no")),
    ],
    [
      "pruning fails",
      (world: ReturnType<typeof testWorld>) => (world.fail.prune = new HostError("no")),
    ],
  ])("stays deployed if %s", async (_, breakIt) => {
    const world = testWorld();
    breakIt(world);
    await deploy(candidate("v1.0.0"), world.io, never());
    expect(world.live()).toBe("d1");
    expect(eventsOf(world.events, "deployed")).toHaveLength(1);
  });

  it("reports a deploy, and a failed deploy with its error", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    world.fail.stage = new HostError("the disk is full");
    await deploy(candidate("v1.1.0"), world.io, never()).catch(() => {});
    expect(world.registry.reports).toMatchObject([
      { id: "id-v1.0.0", tag: "v1.0.0", command: "assets", host: "Web-1" },
      { tag: "v1.1.0", error: expect.stringContaining("the disk is full") },
    ]);
    expect(world.registry.reports[0]).not.toHaveProperty("error");
  });

  it("never prunes the live release or the rollback target, and keeps the last seven staged", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    await deploy(candidate("v1.1.0"), world.io, never());
    world.hooks.before = 1;
    for (let patch = 1; patch <= 14; patch += 1) {
      await deploy(candidate(`v1.1.${patch}`), world.io, never()).catch(() => {});
    }
    expect([...world.directories]).toEqual([
      ...["d1", "d2"],
      ...["d10", "d11", "d12", "d13", "d14", "d15", "d16"],
    ]);
    expect(world.state().releases.map(({ directory }) => directory)).toEqual([
      ...world.directories,
    ]);
  });

  it("does not prune a release that is staged at the same time", async () => {
    const world = testWorld();
    for (let minor = 0; minor < 8; minor++) {
      await deploy(candidate(`v1.${minor}.0`), world.io, never());
    }
    const { deployer } = world.io;
    const { prune } = deployer;
    const record = async ({ directory }: Staged): Promise<void> => {
      const { release, artifact } = candidate("v2.0.0");
      const staged = deployedRelease(release, artifact, directory, 0);
      world.setState(withRelease(world.state(), staged));
    };
    deployer.prune = async (retention) => {
      await deployer.stage(candidate("v2.0.0"), never(), record);
      return prune(retention);
    };
    await deploy(candidate("v1.8.0"), world.io, never());
    const staged = world.state().releases.at(-1);
    expect(staged).toMatchObject({ tag: "v2.0.0" });
    expect([...world.directories]).toContain(staged?.directory);
  });

  it("does not accumulate attempts at a version whose bytes the registry cannot identify", async () => {
    const world = testWorld();
    const { revision: _, ...artifact } = candidate("v1.0.0").artifact;
    world.hooks.before = 1;
    for (let attempt = 1; attempt <= 14; attempt += 1) {
      await deploy({ ...candidate("v1.0.0"), artifact }, world.io, never()).catch(() => {});
    }
    expect(world.directories.size).toBe(7);
  });

  it("leaves no release behind that cannot be recorded", async () => {
    const world = testWorld();
    world.fail.save = new HostError("the disk is full");
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await expect(deploy(candidate("v1.0.0"), world.io, never())).rejects.toMatchObject({
        phase: "stage",
      });
    }
    expect([...world.directories]).toEqual([]);
  });

  it("orders releases by when they were staged, not by the names of their directories", async () => {
    const world = testWorld();
    const names = ["2040", "2036", "2025-1", "2025-2", "2025-3", "2025-4", "2025-5", "2025-6"];
    for (const [index, name] of [...names, "2015-1", "2015-2"].entries()) {
      world.io.deployer.stage = async (_, _signal, record) => {
        await record({ directory: name });
        world.directories.add(name);
        return { directory: name };
      };
      await deploy(candidate(`v1.0.${index}`), world.io, never());
    }
    expect([...world.directories]).toEqual([...names.slice(3), "2015-1", "2015-2"]);
  });

  it("records that the after hook has not run if dewy is stopped before it", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    const stop = new AbortController();
    world.hooks.after = 0;
    world.io.deployer.verify = async () => stop.abort();
    await deploy(candidate("v1.1.0"), world.io, stop.signal);
    expect(world.live()).toBe("d2");
    expect(world.steps).not.toContain("hook after");
    expect(world.state().afterHook).toEqual({ directory: "d2", previousTag: "v1.0.0" });
    expect(eventsOf(world.events, "deployed")).toHaveLength(2);
  });

  it("clears the after hook once it has run, whatever its result", async () => {
    const world = testWorld();
    world.hooks.after = 1;
    await deploy(candidate("v1.0.0"), world.io, never());
    expect(world.steps).toContain("hook after");
    expect(world.state().afterHook).toBeUndefined();
  });

  it.each(["a deploy", "a failed deploy"])(
    "ends soon after dewy is stopped although the report of %s hangs",
    async (what) => {
      const world = testWorld();
      if (what === "a failed deploy") world.fail.stage = new HostError("the disk is full");
      const stop = new AbortController();
      world.registry.report = () => {
        stop.abort();
        return new Promise(() => {});
      };
      await deploy(candidate("v1.0.0"), world.io, stop.signal).catch(() => {});
      expect(eventsOf(world.events, "warning")[0]).toMatchObject({
        message: expect.stringMatching(/Cannot (report|leave)/),
        fields: { error: "it took too long while dewy was stopping" },
      });
    },
  );

  it("times every phase", async () => {
    const world = testWorld();
    await deploy(candidate("v1.0.0"), world.io, never());
    expect(eventsOf(world.events, "phase").map(({ phase }) => phase)).toEqual([
      "stage",
      "before",
      "activate",
      "verify",
      "commit",
    ]);
  });
});
