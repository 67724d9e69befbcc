import { describe, expect, it } from "vitest";
import type { SteerCommand } from "../../src/control/protocol.ts";
import { until } from "../deploy/baking_world.ts";
import { eventsOf } from "../deploy/world.ts";
import { type Steered, steeredAgent } from "./steered_agent.ts";

/** v1.0.0 and v1.1.0 have passed their bakes, and v1.1.0 is live. */
async function running(): Promise<Steered> {
  const agent = await steeredAgent({ mode: "server" });
  agent.publish("v1.0.0");
  await agent.start();
  agent.publish("v1.1.0");
  await agent.steer({ command: "poll" });
  expect(await agent.live()).toBe("v1.1.0");
  agent.runner.steps.length = 0;
  agent.events.length = 0;
  agent.progress.length = 0;
  return agent;
}

type Phase = "staging" | "getting ready" | "baking";

/** Publishes v1.2.0, and returns once a poll has brought its deploy into a phase. */
async function switching(
  phase: Phase,
  agent?: Steered,
): Promise<Steered & { polled: Promise<unknown> }> {
  const found = agent ?? (await running());
  const { runner, stage } = found;
  if (phase === "staging") stage.slow.add("v1.2.0");
  if (phase === "getting ready") runner.slow.add("v1.2.0");
  runner.baking.add("v1.2.0");
  found.publish("v1.2.0");
  const polled = found.steer({ command: "poll" });
  polled.catch(() => {});
  await until(() =>
    phase === "staging"
      ? stage.isStaging("v1.2.0")
      : phase === "getting ready"
        ? runner.isStarting("v1.2.0")
        : runner.isBaking("v1.2.0"),
  );
  return Object.assign(found, { polled });
}

describe("a rollback during an automatic deploy", () => {
  it("leaves the live version if the new one is only being downloaded", async () => {
    const agent = await switching("staging");
    const { text } = await agent.steer({ command: "rollback" });
    expect(text).toBe(
      "rolled back from v1.1.0 to v1.0.0; v1.2.0, which was being prepared, comes with a later poll; dewy pin v1.0.0 keeps it away",
    );
    expect(await agent.live()).toBe("v1.0.0");
    expect(agent.runner.release?.tag).toBe("v1.0.0");
    agent.stage.slow.clear();
    // It is newer than what was left behind.
    agent.runner.baking.clear();
    expect((await agent.steer({ command: "poll" })).text).toBe("v1.2.0 deployed");
  });

  it("gives up a version that is getting ready, and the one that serves stays", async () => {
    const agent = await switching("getting ready");
    const { text } = await agent.steer({ command: "rollback" });
    expect(text).toBe("rolled back from v1.2.0 to v1.1.0");
    expect(await agent.live()).toBe("v1.1.0");
    expect(agent.runner.steps).toEqual(["deploy v1.2.0", "restore v1.1.0"]);
    const { bad, skipped, switching: left } = await agent.state();
    expect(bad).toEqual([]);
    expect(left).toBeUndefined();
    expect(skipped).toMatchObject([{ tag: "v1.2.0", andEarlier: true, user: "alice" }]);
    await expect(agent.polled).resolves.toMatchObject({
      text: expect.stringContaining("given up for another command"),
    });
  });

  it("takes the last good version back from one that bakes, which has neither failed nor been deployed", async () => {
    const agent = await switching("baking");
    const { text } = await agent.steer({ command: "rollback" });
    expect(text).toBe("rolled back from v1.2.0 to v1.1.0");
    expect(agent.runner.release?.tag).toBe("v1.1.0");
    expect(eventsOf(agent.events, "deployed")).toEqual([]);
    const { bad, switching: left, releases } = await agent.state();
    expect([bad, left]).toEqual([[], undefined]);
    expect(releases.find(({ tag }) => tag === "v1.2.0")?.provenAt).toBeUndefined();
    await expect(agent.polled).rejects.toThrow("another version took over");
  });

  it("lets the version that bakes go on if the target does not become ready", async () => {
    const agent = await switching("baking");
    agent.runner.broken.add("v1.1.0");
    await expect(agent.steer({ command: "rollback" })).rejects.toThrow(
      "Cannot roll back to v1.1.0: v1.1.0 exited with exit code 3; v1.2.0 keeps serving",
    );
    expect(await agent.live()).toBe("v1.2.0");
    agent.runner.passBake("v1.2.0");
    await agent.polled;
    const { bad, order, switching: left, previous, releases } = await agent.state();
    expect([bad, order, left]).toEqual([[], undefined, undefined]);
    expect(releases.find(({ directory }) => directory === previous)?.tag).toBe("v1.1.0");
  });

  it("is not disturbed by a new version that fails at the same time", async () => {
    const agent = await switching("baking");
    agent.runner.slow.add("v1.1.0");
    const rolledBack = agent.steer({ command: "rollback" });
    await until(() => agent.runner.isStarting("v1.1.0"));
    agent.runner.failBake("v1.2.0");
    agent.runner.becomeReady("v1.1.0");
    expect((await rolledBack).text).toBe("rolled back from v1.2.0 to v1.1.0");
    await agent.polled.catch(() => {});
    expect(agent.runner.release?.tag).toBe("v1.1.0");
    expect(eventsOf(agent.events, "rolled-back")).toHaveLength(1);
    expect((await agent.state()).bad).toMatchObject([{ tag: "v1.2.0" }]);
  });
});

describe("a deploy that an operator asks for", () => {
  it.each(["staging", "getting ready", "baking"] as const)(
    "supersedes an automatic one that is %s",
    async (phase) => {
      const agent = await switching(phase);
      const { text } = await agent.steer({ command: "deploy", tag: "v1.0.0" });
      expect(text).toBe("v1.0.0 deployed");
      expect(agent.runner.release?.tag).toBe("v1.0.0");
      const { bad, order, switching: left, skipped } = await agent.state();
      expect([bad, order, left]).toEqual([[], undefined, undefined]);
      const from = phase === "baking" ? "v1.2.0" : "v1.1.0";
      expect(skipped).toMatchObject([{ tag: phase === "getting ready" ? "v1.2.0" : from }]);
    },
  );

  it.each(["staging", "getting ready", "baking"] as const)(
    "waits for the outcome if the same version is %s already",
    async (phase) => {
      const agent = await switching(phase);
      const deployed = agent.steer({ command: "deploy", tag: "v1.2.0" });
      await until(() =>
        eventsOf(agent.events, "ordered").some(({ command }) => command === "deploy v1.2.0"),
      );
      agent.stage.release("v1.2.0");
      agent.runner.becomeReady("v1.2.0");
      await until(() => agent.runner.isBaking("v1.2.0"));
      agent.runner.passBake("v1.2.0");
      expect((await deployed).text).toBe("v1.2.0 is live");
      expect(agent.runner.steps.filter((step) => step.startsWith("deploy"))).toHaveLength(1);
    },
  );

  it("fails as an automatic one does, and the version that served stays", async () => {
    const agent = await running();
    agent.publish("v1.2.0");
    agent.runner.broken.add("v1.2.0");
    await expect(agent.steer({ command: "deploy", tag: "v1.2.0" })).rejects.toThrow(
      "Cannot deploy v1.2.0: v1.2.0 exited with exit code 3",
    );
    expect(await agent.live()).toBe("v1.1.0");
    const { bad, order } = await agent.state();
    expect(bad).toMatchObject([{ tag: "v1.2.0" }]);
    expect(order).toBeUndefined();
    agent.runner.broken.clear();
    expect((await agent.steer({ command: "deploy", tag: "v1.2.0" })).text).toBe("v1.2.0 deployed");
    expect((await agent.state()).bad).toEqual([]);
  });

  it("comes from this machine if the registry does not answer", async () => {
    const agent = await running();
    agent.registry.resolve = () => Promise.reject(new Error("connection refused"));
    const { text } = await agent.steer({ command: "deploy", tag: "v1.0.0" });
    expect(text).toMatch(/^v1\.0\.0 deployed; v1\.0\.0 comes from this machine/);
    expect(agent.runner.release?.tag).toBe("v1.0.0");
  });
});

describe("the other commands", () => {
  const others: readonly SteerCommand[] = [
    { command: "pin", tag: "v1.2.0" },
    { command: "pause" },
    { command: "skip", tag: "v1.3.0" },
    { command: "restart" },
  ];

  it.each(others)("wait for a switch underway and say so: $command", async (command) => {
    const agent = await switching("baking");
    let isAnswered = false;
    const answered = agent.steer(command).finally(() => {
      isAnswered = true;
    });
    await until(() => agent.progress.length > 0);
    expect([isAnswered, agent.progress]).toEqual([
      false,
      ["Waiting until the switch to v1.2.0 has ended…"],
    ]);
    agent.runner.passBake("v1.2.0");
    await answered;
    expect(await agent.live()).toBe("v1.2.0");
  });

  it.each(others)("do not hold up a rollback while they wait: $command", async (command) => {
    const agent = await switching("baking");
    const waiting = agent.steer(command);
    const settled = Promise.allSettled([waiting]);
    await until(() => agent.progress.length > 0);
    const { text } = await agent.steer({ command: "rollback" }, "bob");
    expect(text).toBe("rolled back from v1.2.0 to v1.1.0");
    const [answer] = await settled;
    const isOrder = command.command === "pin" || command.command === "restart";
    expect(answer?.status).toBe(isOrder ? "rejected" : "fulfilled");
  });

  it("do not wait while a version is only being downloaded, and a pause then gives it up", async () => {
    const agent = await switching("staging");
    expect((await agent.steer({ command: "pause" })).text).toMatch(/^paused; v1\.1\.0 stays/);
    agent.stage.release("v1.2.0");
    await agent.polled;
    expect(await agent.live()).toBe("v1.1.0");
    expect((await agent.state()).bad).toEqual([]);
  });

  it("restart the app without a gap", async () => {
    const agent = await running();
    expect((await agent.steer({ command: "restart" })).text).toBe("v1.1.0 restarted");
    expect(agent.runner.steps).toEqual(["restart v1.1.0"]);
  });
});

describe("commands at the same time", () => {
  it("share one order if they are equal, and both answers are true", async () => {
    const agent = await running();
    agent.runner.slow.add("v1.0.0");
    const [one, other] = [
      agent.steer({ command: "rollback" }, "alice"),
      agent.steer({ command: "rollback" }, "bob"),
    ];
    await until(() => agent.runner.isStarting("v1.0.0"));
    await until(() => eventsOf(agent.events, "ordered").length === 2);
    agent.runner.becomeReady("v1.0.0");
    const texts = (await Promise.all([one, other])).map(({ text }) => text);
    expect(new Set(texts)).toEqual(new Set(["rolled back from v1.1.0 to v1.0.0"]));
    expect(agent.runner.steps).toEqual(["take back v1.0.0"]);
    expect(eventsOf(agent.events, "rolled-back")).toHaveLength(1);
  });

  it("of which the later one supersedes the earlier one", async () => {
    const agent = await running();
    agent.publish("v1.2.0");
    agent.runner.slow.add("v1.2.0");
    const deployed = agent.steer({ command: "deploy", tag: "v1.2.0" }, "alice");
    deployed.catch(() => {});
    await until(() => agent.runner.isStarting("v1.2.0"));
    const { text } = await agent.steer({ command: "rollback" }, "bob");
    expect(text).toBe("rolled back from v1.2.0 to v1.1.0");
    await expect(deployed).rejects.toThrow("superseded by the rollback of bob");
    expect(agent.runner.release?.tag).toBe("v1.1.0");
    expect((await agent.state()).order).toBeUndefined();
    expect((await agent.state()).bad).toEqual([]);
  });

  it("are carried out in the order in which they arrive", async () => {
    const agent = await running();
    agent.runner.slow.add("v1.0.0");
    const all = [agent.steer({ command: "rollback" })];
    await until(() => agent.runner.isStarting("v1.0.0"));
    for (const command of ["pause", "resume"] as const) {
      const given = eventsOf(agent.events, "ordered").length;
      all.push(agent.steer({ command }));
      await until(() => eventsOf(agent.events, "ordered").length > given);
    }
    agent.runner.becomeReady("v1.0.0");
    const [, paused, resumed] = await Promise.all(all);
    expect([paused?.text, resumed?.text]).toEqual([
      "paused; v1.0.0 stays until dewy resume",
      expect.stringContaining("resumed"),
    ]);
    expect((await agent.state()).paused).toBeUndefined();
  });
});

it("answers every waiting command when dewy stops, and finishes the order at the next start", async () => {
  const agent = await running();
  agent.runner.slow.add("v1.0.0");
  const answers = [agent.steer({ command: "rollback" })];
  await until(() => agent.runner.isStarting("v1.0.0"));
  answers.push(agent.steer({ command: "pause" }));
  await until(() => eventsOf(agent.events, "ordered").length === 2);
  const settled = Promise.allSettled(answers);
  expect(await agent.stop()).toBe(0);
  for (const answer of await settled) {
    expect(answer).toMatchObject({
      reason: { message: expect.stringMatching(/dewy is stopping/) },
    });
  }
  expect((await agent.state()).order).toMatchObject({ kind: "rollback", tag: "v1.0.0" });
  await agent.start();
  expect(await agent.live()).toBe("v1.0.0");
  const { order, paused, skipped } = await agent.state();
  expect([order, paused]).toEqual([undefined, undefined]);
  expect(skipped).toMatchObject([{ tag: "v1.1.0", andEarlier: true }]);
});
