import { describe, expect, it } from "vitest";
import type { Handoff } from "../../../src/server/supervisor/handoff.ts";
import { eventsOf } from "../../deploy/world.ts";
import { type SupervisorWorld, until, world } from "./world.ts";

const never = new AbortController().signal;
const v1 = { tag: "v1.0.0", directory: "d1" };
const v2 = { tag: "v1.1.0", directory: "d2" };
const DRAIN_MS = 60_000;

/** A first generation, behind a handoff that records its calls. */
async function draining(
  drain: (made: () => SupervisorWorld, timeoutMs: number) => Promise<void>,
  drainMs: number = DRAIN_MS,
): Promise<SupervisorWorld & { asked: string[] }> {
  const asked: string[] = [];
  const signals = (): string => made.generations[0]?.signals.join() ?? "";
  const handoff: Partial<Handoff> = {
    stopAccepting: () => void asked.push("stop accepting"),
    drain: async (_, timeoutMs) => {
      asked.push(`drain ${timeoutMs}, ${signals()}`);
      await drain(() => made, timeoutMs);
    },
    closeConnections: async (_, withinMs) => void asked.push(`close ${withinMs}, ${signals()}`),
  };
  const made = world({ handoff, drainMs });
  await made.supervisor.ensureRunning(v1);
  return { ...made, asked };
}

describe("Drainer", () => {
  it("signals a generation once its connections have ended, and closes the remaining ones afterwards", async () => {
    const { supervisor, generations, asked } = await draining(async () => {});
    await supervisor.deploy(v2, never);
    await until(() => asked.length === 2);
    expect(asked).toEqual(["drain 60000, ", "close 5000, SIGTERM"]);
    expect(generations[0]?.hasEnded).toBe(true);
  });

  it.each([
    { usedUp: 0, left: DRAIN_MS },
    { usedUp: 45_000, left: 15_000 },
    { usedUp: 55_000, left: 10_000 },
    { usedUp: DRAIN_MS, left: 10_000 },
  ])(
    "leaves the app $left ms if its connections have used up $usedUp",
    async ({ usedUp, left }) => {
      const made = await draining((io) => io().clock.sleep(usedUp));
      const { supervisor, generations, events } = made;
      const [first] = generations;
      if (first !== undefined) first.obeys = false;
      await supervisor.deploy(v2, never);
      await until(() => eventsOf(events, "drained").length === 1);
      expect(first?.signals).toEqual(["SIGTERM", "KILL"]);
      expect(eventsOf(events, "drained")).toMatchObject([{ durationMs: usedUp + left }]);
    },
  );

  it("kills at once if the drain time is 0", async () => {
    const { supervisor, generations, events, asked } = await draining(async () => {}, 0);
    const [first] = generations;
    if (first !== undefined) first.obeys = false;
    await supervisor.deploy(v2, never);
    await until(() => eventsOf(events, "drained").length === 1);
    expect(first?.signals).toEqual(["SIGTERM", "KILL"]);
    expect(eventsOf(events, "drained")).toMatchObject([{ durationMs: 0, killed: true }]);
    await until(() => asked.length === 2);
    expect(asked).toEqual(["drain 0, ", "close 0, SIGTERM,KILL"]);
  });

  it("gives the last bytes of a generation that has exited by itself time to reach the clients", async () => {
    const { supervisor, generations, asked } = await draining(async () => {});
    await supervisor.deploy(v2, never);
    generations[0]?.exit({ code: 1 });
    await until(() => asked.length === 2);
    expect(asked).toEqual(["drain 60000, ", "close 5000, "]);
  });

  it("stops accepting before it drains the last generation when dewy stops", async () => {
    const { supervisor, asked } = await draining(async () => {});
    await supervisor.stop();
    expect(asked).toEqual(["stop accepting", "drain 60000, ", "close 5000, SIGTERM"]);
  });
});
