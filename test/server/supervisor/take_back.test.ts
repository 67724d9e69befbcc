import { describe, expect, it } from "vitest";
import { until, world } from "./world.ts";

const never = new AbortController().signal;
const v1 = { tag: "v1.0.0", directory: "d1" };
const v2 = { tag: "v1.1.0", directory: "d2" };

describe("Supervisor.takeBack", () => {
  it("starts an earlier release, which takes over once it is ready, and stops the later one", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v2);
    await supervisor.takeBack(v1, never);
    expect(supervisor.release).toEqual(v1);
    await until(() => generations[0]?.hasEnded === true);
    expect(generations.map(({ release, hasEnded }) => [release.tag, hasEnded])).toEqual([
      ["v1.1.0", true],
      ["v1.0.0", false],
    ]);
  });

  it("lets the generation on standby serve again at once, and ends the bake of the later release", async () => {
    const { supervisor, generations } = world({ overlapMs: 600_000 });
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    const baking = supervisor.bake(v2, 600_000, never);
    await supervisor.takeBack(v1, never);
    await expect(baking).resolves.toBe("superseded");
    expect(supervisor.running?.generation).toBe(1);
    await until(() => generations[1]?.hasEnded === true);
    expect(generations).toHaveLength(2);
    expect(generations[0]?.hasEnded).toBe(false);
  });

  it("rejects if the release does not become ready, and the later one keeps serving and baking", async () => {
    const { supervisor, generations, broken } = world();
    await supervisor.deploy(v2, never);
    const baking = supervisor.bake(v2, 10_000, never);
    broken.add("v1.0.0");
    await expect(supervisor.takeBack(v1, never)).rejects.toThrow("exit code 3");
    expect(supervisor.release).toEqual(v2);
    await supervisor.rollback(v2);
    await expect(baking).resolves.toBe("proven");
    expect(generations[0]?.signals).toEqual([]);
  });

  it("starts the later release again if the two cannot run side by side", async () => {
    const { supervisor, broken, generations } = world({ handoff: { overlaps: false } });
    await supervisor.ensureRunning(v2);
    broken.add("v1.0.0");
    await expect(supervisor.takeBack(v1, never)).rejects.toThrow("exit code 3");
    await supervisor.rollback(v2);
    expect(supervisor.release).toEqual(v2);
    expect(generations.at(-1)?.hasEnded).toBe(false);
  });

  it("restarts the earlier release when it crashes, and not the later one", async () => {
    const { supervisor, generations } = world();
    await supervisor.deploy(v2, never);
    const baking = supervisor.bake(v2, 600_000, never);
    await supervisor.takeBack(v1, never);
    await baking;
    generations[1]?.exit({ code: 1 });
    await until(() => generations.length === 3);
    expect(generations[2]?.release).toEqual(v1);
  });

  it("replaces a crashed release that waits for its restart", async () => {
    const { supervisor, generations, clock } = world();
    await supervisor.ensureRunning(v2);
    generations[0]?.exit({ code: 1 });
    await supervisor.takeBack(v1, never);
    await clock.sleep(120_000);
    expect(generations.map(({ release }) => release.tag)).toEqual(["v1.1.0", "v1.0.0"]);
  });

  it("does nothing if the release serves already", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.takeBack(v1, never);
    expect(generations).toHaveLength(1);
  });
});
