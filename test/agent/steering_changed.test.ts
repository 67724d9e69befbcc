import { describe, expect, it } from "vitest";
import { eventsOf, ready } from "../deploy/world.ts";
import { type Steered, steeredAgent } from "./steered_agent.ts";

/** v1.1.0 is live; the registry has other bytes for v1.0.0 by now. */
async function withChangedBytes(): Promise<Steered> {
  const agent = await steeredAgent();
  agent.publish("v1.0.0");
  await agent.start();
  agent.publish("v1.1.0");
  await agent.steer({ command: "poll" });
  change(agent, "v1.0.0", "other");
  return agent;
}

function change({ registry }: Steered, tag: string, revision: string): void {
  registry.answers = registry.answers.map((one) =>
    one.kind === "ready" && one.release.tag === tag ? ready(tag, { revision }) : one,
  );
}

describe("dewy deploy of a tag with other bytes than before", () => {
  const deploy = { command: "deploy", tag: "v1.0.0" } as const;

  it("is refused, and so is its --dry-run; the earlier bytes are still there for a rollback", async () => {
    const agent = await withChangedBytes();
    const refusal =
      "Cannot deploy v1.0.0: app.tar.gz has changed in the registry since this machine last had it; " +
      "start dewy with --accept-changed v1.0.0 to deploy it; " +
      "to go back to the one on this machine: dewy rollback v1.0.0";
    await expect(agent.steer(deploy)).rejects.toThrow(refusal);
    await expect(agent.steer({ ...deploy, dryRun: true })).rejects.toThrow(refusal);
    expect(await agent.live()).toBe("v1.1.0");
    const { order, bad, skipped, releases } = await agent.state();
    expect({ order, bad, skipped }).toEqual({ order: undefined, bad: [], skipped: undefined });
    expect(releases).toHaveLength(2);
    await agent.steer({ command: "rollback", tag: "v1.0.0" });
    expect(await agent.live()).toBe("v1.0.0");
  });

  it("is carried out with --accept-changed, for these bytes only", async () => {
    const agent = await withChangedBytes();
    await agent.stop();
    await agent.start(["--accept-changed", "v1.0.0"]);
    await agent.steer(deploy);
    expect(await agent.live()).toBe("v1.0.0");
    const warnings = eventsOf(agent.events, "warning").map(({ message }) => message);
    expect(warnings).toContain("Artifact accepted by --accept-changed");
    await agent.steer({ command: "deploy", tag: "v1.1.0" });
    change(agent, "v1.0.0", "a third");
    await expect(agent.steer(deploy)).rejects.toThrow(
      "start dewy once without --accept-changed v1.0.0, which has accepted other bytes",
    );
    change(agent, "v1.0.0", "other");
    await agent.steer(deploy);
    expect(await agent.live()).toBe("v1.0.0");
  });
});

describe("dewy deploy of a tag that the registry has no more", () => {
  it("names the rollback to the version on this machine, unless that is the newer one", async () => {
    const agent = await withChangedBytes();
    agent.registry.answers = [];
    await expect(agent.steer({ command: "deploy", tag: "v1.0.0" })).rejects.toThrow(
      "; to go back to the one on this machine: dewy rollback v1.0.0",
    );
    await agent.steer({ command: "rollback" });
    await expect(agent.steer({ command: "deploy", tag: "v1.1.0" })).rejects.toThrow(
      /^Cannot deploy v1\.1\.0: the registry has no v1\.1\.0$/,
    );
  });
});
