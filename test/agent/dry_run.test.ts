import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { statePath } from "../../src/host/files/own_paths.ts";
import { eventsOf } from "../deploy/world.ts";
import { type Steered, steeredAgent } from "./steered_agent.ts";

async function stopped(): Promise<Steered> {
  const agent = await steeredAgent({ mode: "server" });
  agent.publish("v1.0.0");
  await agent.start();
  await agent.stop();
  agent.events.length = 0;
  return agent;
}

it("stages the version that a poll would deploy, and leaves everything else as it is", async () => {
  const agent = await stopped();
  agent.publish("v1.1.0");
  expect(await agent.runOnce(["--dry-run", "--before-deploy-hook", "exit 1"])).toBe(0);
  expect(eventsOf(agent.events, "would-deploy")).toMatchObject([
    { tag: "v1.1.0", previousTag: "v1.0.0" },
  ]);
  expect(await agent.live()).toBe("v1.0.0");
  expect(agent.runner.steps).toEqual([]);
  expect(eventsOf(agent.events, "hook")).toEqual([]);
  const { switching, releases } = await agent.state();
  expect([switching, releases.length]).toEqual([undefined, 2]);
});

it("exits with code 2 if there is nothing to deploy, and with that of the failure", async () => {
  const agent = await stopped();
  expect(await agent.runOnce(["--dry-run"])).toBe(2);
  expect(eventsOf(agent.events, "up-to-date")).toMatchObject([{ tag: "v1.0.0" }]);
  agent.registry.answers = [];
  expect(await agent.runOnce(["--dry-run"])).toBe(2);
  expect(eventsOf(agent.events, "failed")).toHaveLength(1);
});

it("takes --retry-bad into account without clearing the marks", async () => {
  const agent = await stopped();
  await agent.start();
  agent.publish("v1.1.0");
  agent.runner.broken.add("v1.1.0");
  await agent.steer({ command: "poll" }).catch(() => {});
  await agent.stop();
  const before = await readFile(statePath(agent.root), "utf8");
  expect(JSON.parse(before).bad).toMatchObject([{ tag: "v1.1.0" }]);
  expect(await agent.runOnce(["--dry-run"])).toBe(2);
  expect(await agent.runOnce(["--dry-run", "--retry-bad"])).toBe(0);
  expect((await agent.state()).bad).toMatchObject([{ tag: "v1.1.0" }]);
});

it("names the command that asks a dewy which runs already", async () => {
  const agent = await stopped();
  await agent.start();
  await expect(agent.runOnce(["--dry-run"])).rejects.toThrow(
    /has held it since .*; to ask that one what it would do: dewy deploy TAG --dry-run/,
  );
});

it("as a command answers what would happen, and changes nothing", async () => {
  const agent = await stopped();
  await agent.start();
  agent.publish("v1.1.0");
  const would = await agent.steer({ command: "deploy", tag: "v1.1.0", dryRun: true });
  expect(would.text).toBe("would deploy v1.1.0; v1.0.0 is live");
  await agent.steer({ command: "poll" });
  const back = await agent.steer({ command: "rollback", dryRun: true });
  expect(back.text).toBe("would roll back from v1.1.0 to v1.0.0");
  expect(await agent.live()).toBe("v1.1.0");
  expect((await agent.state()).order).toBeUndefined();
});
