import { describe, expect, it } from "vitest";
import { steerOffline } from "../../src/agent/offline.ts";
import type { SteerCommand } from "../../src/control/protocol.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { readJournal } from "../../src/journal/read.ts";
import { until } from "../deploy/baking_world.ts";
import { eventsOf, never } from "../deploy/world.ts";
import { type Steered, steeredAgent } from "./steered_agent.ts";

/** v1.0.0 and v1.1.0 have been deployed; dewy does not run any more. */
async function stopped(): Promise<Steered> {
  const agent = await steeredAgent({ mode: "server" });
  agent.publish("v1.0.0");
  await agent.start();
  agent.publish("v1.1.0");
  await agent.steer({ command: "poll" });
  await agent.stop();
  return agent;
}

const events: DewyEvent[] = [];

function offline({ root }: Steered, command: SteerCommand) {
  events.length = 0;
  const emit = (event: DewyEvent): void => void events.push(event);
  const operator = { user: "alice", message: "checkout fails" };
  return steerOffline(root, command, { operator, signal: never(), redact: (text) => text, emit });
}

describe("a command where no dewy runs", () => {
  it("rolls back by the link, and the next start runs that version and the after-deploy hook", async () => {
    const agent = await stopped();
    const { text, live } = await offline(agent, { command: "rollback" });
    expect(text).toBe(
      "rolled back from v1.1.0 to v1.0.0; dewy does not run here, and uses it from its next start",
    );
    expect([live, await agent.live()]).toEqual(["v1.0.0", "v1.0.0"]);
    expect(eventsOf(events, "rolled-back")).toMatchObject([
      { tag: "v1.1.0", to: "v1.0.0", reason: "checkout fails", operator: { user: "alice" } },
    ]);
    const entries = [];
    for await (const entry of readJournal(agent.root)) entries.push(entry);
    expect(entries.at(-1)).toMatchObject({ event: "rolled-back", user: "alice" });
    await agent.start();
    expect(agent.runner.release?.tag).toBe("v1.0.0");
    const { order, switching, afterHook, skipped } = await agent.state();
    expect([order, switching, afterHook]).toEqual([undefined, undefined, undefined]);
    expect(skipped).toMatchObject([{ tag: "v1.1.0", andEarlier: true }]);
  });

  it("deploys a proven version from disk at once, and any other one at the next start", async () => {
    const agent = await stopped();
    expect((await offline(agent, { command: "deploy", tag: "v1.0.0" })).text).toMatch(
      /^v1\.0\.0 is live; /,
    );
    expect(await agent.live()).toBe("v1.0.0");
    expect((await agent.state()).skipped).toMatchObject([{ tag: "v1.1.0" }]);
    expect(eventsOf(events, "deployed")).toMatchObject([
      { tag: "v1.0.0", previousTag: "v1.1.0", operator: { user: "alice" } },
    ]);
    agent.publish("v1.2.0");
    expect((await offline(agent, { command: "deploy", tag: "v1.2.0" })).text).toBe(
      "the deploy of v1.2.0 is on record; dewy does not run here, and deploys it at its next start",
    );
    expect(await agent.live()).toBe("v1.0.0");
    await agent.start();
    expect(agent.runner.release?.tag).toBe("v1.2.0");
    expect(agent.runner.steps).toEqual(["run v1.0.0", "deploy v1.2.0"]);
    expect(eventsOf(agent.events, "deployed").at(-1)).toMatchObject({
      operator: { user: "alice", message: "checkout fails" },
    });
    expect((await agent.state()).skipped).toBeUndefined();
  });

  it("only decides what comes by itself", async () => {
    const agent = await stopped();
    expect((await offline(agent, { command: "pause" })).text).toMatch(/^paused; v1\.1\.0 stays/);
    expect((await offline(agent, { command: "pin", tag: "v1.1.0" })).text).toBe(
      "pinned to v1.1.0, which is live",
    );
    expect((await offline(agent, { command: "skip", tag: "v1.2.0" })).text).toBe(
      "v1.2.0 is skipped: dewy does not deploy it automatically",
    );
    const { paused, pinned, skipped, order } = await agent.state();
    expect([paused?.user, pinned?.tag, skipped?.length, order]).toEqual([
      "alice",
      "v1.1.0",
      1,
      undefined,
    ]);
  });

  it("pins another version, which the next start deploys", async () => {
    const agent = await stopped();
    expect((await offline(agent, { command: "pin", tag: "v1.0.0" })).text).toMatch(
      /^pinned to v1\.0\.0; v1\.0\.0 is live/,
    );
    await agent.start();
    expect(agent.runner.release?.tag).toBe("v1.0.0");
  });

  it("gives up a deploy on record that contradicts a later pin", async () => {
    const agent = await stopped();
    agent.publish("v1.2.0");
    await offline(agent, { command: "deploy", tag: "v1.2.0" });
    expect((await agent.state()).order).toMatchObject({ kind: "deploy", tag: "v1.2.0" });
    await offline(agent, { command: "pin", tag: "v1.1.0" });
    expect((await agent.state()).order).toBeUndefined();
    await agent.start();
    expect(agent.runner.release?.tag).toBe("v1.1.0");
  });

  it.each(["poll", "restart"] as const)("cannot %s", async (command) => {
    const agent = await stopped();
    await expect(offline(agent, { command })).rejects.toThrow(/: dewy does not run in /);
  });

  it("reports the outcome of a dry run", async () => {
    const agent = await stopped();
    const { text } = await offline(agent, { command: "rollback", dryRun: true });
    expect(text).toBe("would roll back from v1.1.0 to v1.0.0");
    expect(await agent.live()).toBe("v1.1.0");
    expect(events).toEqual([]);
  });

  it("does nothing while a dewy process holds the directory", async () => {
    const agent = await stopped();
    await agent.start();
    await expect(offline(agent, { command: "rollback" })).rejects.toThrow(/has held it since/);
    expect(await agent.live()).toBe("v1.1.0");
  });

  it("leaves a version whose bake was interrupted behind, and the next start does not resume it", async () => {
    const agent = await stopped();
    await agent.start();
    agent.runner.baking.add("v1.2.0");
    agent.publish("v1.2.0");
    agent.steer({ command: "poll" }).catch(() => {});
    await until(() => agent.runner.isBaking("v1.2.0"));
    await agent.kill();
    expect((await offline(agent, { command: "rollback" })).text).toMatch(
      /^rolled back from v1\.2\.0 to v1\.1\.0/,
    );
    await agent.start();
    expect(agent.runner.steps).toEqual(["run v1.1.0"]);
    expect((await agent.state()).skipped).toMatchObject([{ tag: "v1.2.0", andEarlier: true }]);
  });
});
