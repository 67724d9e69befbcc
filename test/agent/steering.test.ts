import { describe, expect, it, onTestFinished } from "vitest";
import { eventsOf } from "../deploy/world.ts";
import { type Steered, steeredAgent } from "./steered_agent.ts";

const MODES = ["assets", "server"] as const;

async function running(mode: (typeof MODES)[number], ...tags: string[]): Promise<Steered> {
  const agent = await steeredAgent({ mode });
  for (const tag of tags) {
    agent.publish(tag);
    if (tag === tags[0]) await agent.start();
    else await agent.steer({ command: "poll" });
  }
  expect(await agent.live()).toBe(tags.at(-1));
  return agent;
}

describe.each(MODES)("the commands of operators to dewy %s", (mode) => {
  it("rolls back, and the version left behind does not come again by itself, but a newer one does", async () => {
    const agent = await running(mode, "v1.0.0", "v1.1.0", "v1.2.0");
    const { text } = await agent.steer({ command: "rollback" });
    expect(text).toBe("rolled back from v1.2.0 to v1.1.0");
    expect(await agent.live()).toBe("v1.1.0");
    const rolledBack = eventsOf(agent.events, "rolled-back");
    expect(rolledBack).toEqual([
      {
        type: "rolled-back",
        tag: "v1.2.0",
        to: "v1.1.0",
        reason: "asked for by alice",
        operator: { user: "alice" },
      },
    ]);
    expect((await agent.steer({ command: "poll" })).text).toMatch(
      /^v1\.1\.0 .*v1\.2\.0 waits: skipped/,
    );
    const again = await agent.steer({ command: "rollback" });
    expect(again.text).toBe("rolled back from v1.1.0 to v1.0.0");
    await expect(agent.steer({ command: "rollback" })).rejects.toThrow(
      /Cannot roll back from v1\.0\.0: no earlier version/,
    );
    const [refusal, ...more] = eventsOf(agent.events, "refused");
    expect(refusal).toMatchObject({ command: "rollback", operator: { user: "alice" } });
    expect(refusal?.reason).toMatch(/^Cannot roll back from v1\.0\.0/);
    expect(more).toEqual([]);
    expect(await agent.live()).toBe("v1.0.0");
    agent.publish("v1.3.0");
    expect((await agent.steer({ command: "poll" })).text).toBe("v1.3.0 deployed");
    const state = await agent.state();
    expect(state.order).toBeUndefined();
    expect(state.bad).toEqual([]);
  });

  it("says each step of a rollback once", async () => {
    const agent = await running(mode, "v1.0.0", "v1.1.0");
    const { progress } = await agent.steer({ command: "rollback" });
    expect(progress.filter((text) => text === "Starting v1.0.0…")).toHaveLength(1);
  });

  it("takes many commands at once without a warning of the runtime", async () => {
    const agent = await running(mode, "v1.0.0");
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on("warning", warn);
    onTestFinished(() => void process.off("warning", warn));
    await Promise.all(Array.from({ length: 20 }, () => agent.steer({ command: "pause" })));
    expect(warnings).toEqual([]);
  });

  it("deploys an older version, which leaves the newer one behind, and lifts that with deploy", async () => {
    const agent = await running(mode, "v1.0.0", "v1.1.0");
    expect((await agent.steer({ command: "deploy", tag: "v1.0.0" })).text).toBe("v1.0.0 deployed");
    expect(await agent.live()).toBe("v1.0.0");
    expect((await agent.steer({ command: "poll" })).text).toMatch(/v1\.1\.0 waits/);
    expect((await agent.steer({ command: "deploy", tag: "v1.1.0" })).text).toBe("v1.1.0 deployed");
    expect((await agent.state()).skipped).toBeUndefined();
    const [deployed] = eventsOf(agent.events, "deployed").slice(-1);
    expect(deployed).toMatchObject({ tag: "v1.1.0", operator: { user: "alice" } });
    expect((await agent.steer({ command: "deploy", tag: "v1.1.0" })).text).toBe("v1.1.0 is live");
    await expect(agent.steer({ command: "deploy", tag: "v9.0.0" })).rejects.toThrow(
      "Cannot deploy v9.0.0: the registry has no v9.0.0",
    );
    expect((await agent.state()).order).toBeUndefined();
  });

  it("pins a version: newer ones wait until unpin", async () => {
    const agent = await running(mode, "v1.0.0", "v1.1.0");
    expect((await agent.steer({ command: "pin", tag: "v1.0.0" })).text).toBe(
      "pinned to v1.0.0; v1.0.0 deployed",
    );
    expect(await agent.live()).toBe("v1.0.0");
    agent.publish("v1.2.0");
    expect((await agent.steer({ command: "poll" })).text).toMatch(
      /v1\.2\.0 waits: pinned to v1\.0\.0/,
    );
    await expect(agent.steer({ command: "deploy", tag: "v1.2.0" })).rejects.toThrow(
      "Cannot deploy v1.2.0: pinned to v1.0.0 by alice; unpin first",
    );
    expect((await agent.state()).skipped).toBeUndefined();
    await agent.steer({ command: "unpin" });
    expect((await agent.steer({ command: "poll" })).text).toBe("v1.2.0 deployed");
  });

  it("accepts a version with another signer, and polls at once", async () => {
    const agent = await running(mode, "v1.0.0");
    agent.publish("v2.0.0");
    expect((await agent.steer({ command: "trust accept", tag: "v2.0.0" })).text).toBe(
      "v2.0.0 is accepted with any signer or none; later versions must have its signers, if it has any",
    );
    expect((await agent.state()).accepted).toMatchObject([{ tag: "v2.0.0", user: "alice" }]);
    await expect.poll(() => agent.live(), { timeout: 10_000, interval: 5 }).toBe("v2.0.0");
    expect(eventsOf(agent.events, "ordered")).toContainEqual({
      type: "ordered",
      command: "trust accept v2.0.0",
      operator: { user: "alice", message: undefined },
    });
  });

  it("says that an acceptance does not replace what --verify names", async () => {
    const agent = await steeredAgent({ mode, argv: ["--verify", "checksums"] });
    agent.publish("v1.0.0");
    await agent.start();
    expect((await agent.steer({ command: "trust accept", tag: "v2.0.0" })).text).toMatch(
      /^v2\.0\.0 is accepted.*; --verify checksums still applies$/,
    );
  });

  it("keeps what was decided over a restart", async () => {
    const agent = await running(mode, "v1.0.0");
    await agent.steer({ command: "pause" });
    expect(await agent.stop()).toBe(0);
    agent.publish("v1.1.0");
    await agent.start();
    expect(await agent.live()).toBe("v1.0.0");
    expect((await agent.steer({ command: "resume" })).text).toMatch(
      /^resumed; it was paused by alice/,
    );
    expect((await agent.steer({ command: "poll" })).text).toBe("v1.1.0 deployed");
  });
});

describe("dewy restart", () => {
  it("says which version does not become ready, and leaves no order behind", async () => {
    const agent = await running("server", "v1.0.0");
    agent.runner.broken.add("v1.0.0");
    await expect(agent.steer({ command: "restart" })).rejects.toThrow(
      /^Cannot restart v1\.0\.0: .*exit/,
    );
    expect((await agent.state()).order).toBeUndefined();
    expect((await agent.state()).bad).toEqual([]);
    agent.runner.broken.clear();
    expect((await agent.steer({ command: "restart" })).text).toBe("v1.0.0 restarted");
  });
});
