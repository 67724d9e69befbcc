import { describe, expect, it } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import type { Resolution, ResolveOptions } from "../../src/core/types.ts";
import { chooseVersion, type VersionPolicy } from "../../src/deploy/choose.ts";
import { type DeployedRelease, type DeployState, EMPTY_STATE } from "../../src/deploy/state.ts";
import { never, nothing, ready, type TestRegistry, testRegistry } from "./world.ts";

const POLICY: VersionPolicy = {
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  acceptChanged: [],
};

function running(tag: string): DeployedRelease {
  const artifact = "app.tar.gz";
  return { id: "", tag, artifact, revision: `rev-${tag}`, directory: "d1", stagedAt: "" };
}

/** Chooses while a version is live. */
async function choose(
  registry: TestRegistry,
  tag: string | undefined,
  more: { policy?: Partial<VersionPolicy>; state?: Partial<DeployState> } = {},
) {
  const live = more.state?.releases?.[0] ?? (tag === undefined ? undefined : running(tag));
  const events: DewyEvent[] = [];
  const choice = await chooseVersion({
    registry,
    state: { ...EMPTY_STATE, releases: live === undefined ? [] : [live], ...more.state },
    live: live?.directory,
    running: live,
    policy: { ...POLICY, ...more.policy },
    emit: (event) => void events.push(event),
    now: Date.UTC(2026, 0, 1),
    signal: never(),
  });
  return { choice, events };
}

const missing = (tag: string): Resolution => ({
  kind: "none",
  reason: "artifact-missing",
  tag,
  message: `no artifact of ${tag}`,
});

describe("the choice of a version", () => {
  it("reports what the registry has answered, and that nothing has changed", async () => {
    const { choice, events } = await choose(testRegistry(ready("v1.0.0")), "v1.0.0");
    expect(choice).toEqual({ kind: "stay" });
    expect(events).toEqual([
      { type: "resolved", tag: "v1.0.0", artifact: "app.tar.gz", url: "test://v1.0.0" },
      { type: "unchanged", tag: "v1.0.0" },
    ]);
  });

  it("is to deploy a newer version, without notes if there are none", async () => {
    const { choice, events } = await choose(testRegistry(ready("v1.1.0")), "v1.0.0");
    expect(choice).toMatchObject({ kind: "deploy", candidate: { release: { tag: "v1.1.0" } } });
    expect(events.map(({ type }) => type)).toEqual(["resolved"]);
  });

  it("reports since when a version has been pending, if the registry says so", async () => {
    const since = new Date(0);
    const pending = { kind: "pending", tag: "v1.1.0", reason: "artifact-missing" } as const;
    expect((await choose(testRegistry({ ...pending, since }), "v1.0.0")).events).toEqual([
      { type: "pending", tag: "v1.1.0", since },
    ]);
    const [event] = (await choose(testRegistry(pending), "v1.0.0")).events;
    expect(event).toEqual({ type: "pending", tag: "v1.1.0" });
  });

  it("is a problem if there is no version at all", async () => {
    const { choice, events } = await choose(testRegistry(nothing()), "v1.0.0");
    expect(choice).toMatchObject({ kind: "problem", error: { message: "nothing: empty" } });
    expect(events).toEqual([{ type: "nothing", reason: "empty", message: "nothing: empty" }]);
  });

  it("is to stay without a problem if only bad versions are published", async () => {
    const bad = [{ tag: "v1.1.0", revision: "rev-v1.1.0", reason: "it crashed", at: "" }];
    const { choice, events } = await choose(testRegistry(ready("v1.1.0")), "v1.0.0", {
      state: { bad },
    });
    expect(choice).toEqual({ kind: "stay" });
    expect(events.map(({ type }) => type)).toEqual(["known-bad", "nothing"]);
  });

  it("is the problem of the newest version that has no artifact, and not of an older one", async () => {
    const registry = testRegistry(missing("v1.2.0"), missing("v1.1.0"), ready("v1.0.0"));
    const { choice } = await choose(registry, undefined);
    expect(choice).toMatchObject({
      kind: "problem",
      error: { message: "no artifact of v1.2.0" },
      candidate: { release: { tag: "v1.0.0" } },
    });
  });

  it("has no candidate beside the problem if nothing else is left", async () => {
    const { choice } = await choose(testRegistry(missing("v1.2.0")), undefined);
    expect(choice).toMatchObject({ kind: "problem", error: { message: "no artifact of v1.2.0" } });
    expect(choice).toMatchObject({ candidate: undefined });
  });

  it("asks for a fresh listing first, and then accepts the one of the same poll", async () => {
    const registry = testRegistry(missing("v1.1.0"), ready("v1.0.0"));
    const asked: ResolveOptions[] = [];
    const { resolve } = registry;
    registry.resolve = async (options = {}) => {
      asked.push({ ...options, exclude: [...(options.exclude ?? [])] });
      return resolve(options);
    };
    await choose(registry, undefined);
    expect(asked).toMatchObject([{ exclude: [] }, { exclude: ["v1.1.0"], maxAgeMs: 60_000 }]);
    expect(asked[0]).not.toHaveProperty("maxAgeMs");
  });
});

describe("an older version", () => {
  it("is held back while the live one is still published", async () => {
    const { choice, events } = await choose(testRegistry(ready("v1.0.0")), "v1.1.0");
    expect(choice).toEqual({ kind: "stay" });
    expect(events.at(-1)).toEqual({
      type: "held",
      tag: "v1.0.0",
      running: "v1.1.0",
      reason: "the running version is newer and still published",
    });
  });

  it("is deployed once the live one is gone", async () => {
    const registry = testRegistry(ready("v1.0.0"));
    registry.gone.add("v1.1.0");
    expect((await choose(registry, "v1.1.0")).choice).toMatchObject({ kind: "deploy" });
  });

  it("is deployed if the registry cannot look up a version: it has chosen by itself", async () => {
    const { exists: _, ...registry } = testRegistry(ready("v1.0.0"));
    expect((await choose(registry as TestRegistry, "v1.1.0")).choice).toMatchObject({
      kind: "deploy",
    });
  });

  it("of the same precedence is held back like an older one", async () => {
    const { events } = await choose(testRegistry(ready("v1.0.0+green")), "v1.0.0+blue");
    expect(events.at(-1)).toMatchObject({ type: "held" });
  });

  it("is distinguished from a newer one by the CalVer format", async () => {
    const policy = { calver: "YYYY.MM" };
    const deployed = await choose(testRegistry(ready("v2026.11.0")), "v2026.9", {
      policy: { calver: "" },
    });
    expect(deployed.choice).toMatchObject({ kind: "deploy" });
    const answer = ready("v1.0.0");
    if (answer.kind !== "ready") throw new Error(answer.kind);
    const calver = (tag: string): Resolution => ({
      ...answer,
      release: { ...answer.release, tag },
    });
    const newer = await choose(testRegistry(calver("2026.11")), "2026.9", { policy });
    expect(newer.choice).toMatchObject({ kind: "deploy" });
    const older = await choose(testRegistry(calver("2026.9")), "2026.11", { policy });
    expect(older.choice).toEqual({ kind: "stay" });
  });
});

describe("the bytes of the live version", () => {
  it("stay although they are marked bad: going back is not a matter of choice", async () => {
    const bad = [{ tag: "v1.0.0", revision: "rev-v1.0.0", reason: "it crashed", at: "" }];
    const { choice, events } = await choose(testRegistry(ready("v1.0.0")), "v1.0.0", {
      state: { bad },
    });
    expect(choice).toEqual({ kind: "stay" });
    expect(events.map(({ type }) => type)).toEqual(["resolved", "unchanged"]);
  });

  it("are not read again if the registry states a digest", async () => {
    const registry = testRegistry(ready("v1.0.0", { digest: `sha256:${"1".repeat(64)}` }));
    registry.digest = () => Promise.reject(new Error("unexpected download"));
    const live = { ...running("v1.0.0"), digest: `sha256:${"2".repeat(64)}` };
    const { choice, events } = await choose(registry, "v1.0.0", { state: { releases: [live] } });
    expect(choice).toEqual({ kind: "stay" });
    expect(events.map(({ type }) => type)).toContain("bytes-changed");
  });

  it("are not read again if no digest of them is known", async () => {
    const registry = testRegistry(ready("v1.0.0", { revision: "touched" }));
    registry.digest = () => Promise.reject(new Error("unexpected download"));
    const { events } = await choose(registry, "v1.0.0");
    expect(events.map(({ type }) => type)).toContain("bytes-changed");
  });
});
