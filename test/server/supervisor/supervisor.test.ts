import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { ConfigError, DeployError, HostError } from "../../../src/core/error.ts";
import type { Generation } from "../../../src/server/supervisor/generation.ts";
import { eventsOf } from "../../deploy/world.ts";
import { fakeGeneration, until, world } from "./world.ts";

const never = new AbortController().signal;
const v1 = { tag: "v1.0.0", directory: "d1" };
const v2 = { tag: "v1.1.0", directory: "d2" };
const v3 = { tag: "v1.2.0", directory: "d3" };

describe("Supervisor.deploy", () => {
  it("lets the old generation serve until the new one is ready, then stops it", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    const [first, second] = generations;
    await until(() => first?.isAlive() === false);
    expect(first?.signals).toEqual(["SIGTERM"]);
    expect(second?.isAlive()).toBe(true);
    expect(supervisor.release).toEqual(v2);
  });

  it("keeps the old generation if the new one exits before it is ready, and reports its output", async () => {
    const { supervisor, generations, broken } = world();
    await supervisor.ensureRunning(v1);
    broken.add("v1.1.0");
    const error = await supervisor.deploy(v2, never).catch((e: unknown) => e);
    expect(String(error)).toContain("exit code 3");
    expect(String(error)).toContain("panic: no database");
    expect(generations[0]?.signals).toEqual([]);
    expect(supervisor.release).toEqual(v1);
  });

  it("kills a new generation on readiness timeout", async () => {
    const ready = (): Promise<void> => new Promise(() => {});
    const { supervisor, generations } = world({ handoff: { ready } });
    await expect(supervisor.deploy(v1, never)).rejects.toThrow("not ready within 1 s");
    expect(generations[0]?.signals).toEqual(["KILL"]);
  });

  it("kills an old generation that does not exit in time", async () => {
    const { supervisor, generations, events } = world();
    await supervisor.ensureRunning(v1);
    const [first] = generations;
    if (first !== undefined) first.obeys = false;
    await supervisor.deploy(v2, never);
    await until(() => eventsOf(events, "drained").length === 1);
    expect(first?.signals).toEqual(["SIGTERM", "KILL"]);
    expect(eventsOf(events, "drained")).toMatchObject([{ generation: 1, killed: true }]);
  });

  it("stops the old generation first if two cannot run side by side, and restarts it on rollback", async () => {
    const { supervisor, generations, broken } = world({ handoff: { overlaps: false } });
    await supervisor.ensureRunning(v1);
    broken.add("v1.1.0");
    await expect(supervisor.deploy(v2, never)).rejects.toThrow("exit code 3");
    expect(generations.map(({ release }) => release.tag)).toEqual(["v1.0.0", "v1.1.0"]);
    await supervisor.rollback(v1);
    expect(generations.map(({ release }) => release.tag)).toEqual(["v1.0.0", "v1.1.0", "v1.0.0"]);
    expect(generations[2]?.isAlive()).toBe(true);
    expect(supervisor.release).toEqual(v1);
  });

  it("stops waiting on abort, and leaves the old generation alone", async () => {
    let isStuck = false;
    const ready = (): Promise<void> => (isStuck ? new Promise(() => {}) : Promise.resolve());
    const { supervisor, generations } = world({ handoff: { ready } });
    await supervisor.ensureRunning(v1);
    isStuck = true;
    const stop = new AbortController();
    const replacing = supervisor.deploy(v2, stop.signal);
    await until(() => generations.length === 2);
    stop.abort();
    await expect(replacing).rejects.toMatchObject({ code: "aborted" });
    expect(generations[0]?.isAlive()).toBe(true);
    expect(generations[1]?.isAlive()).toBe(false);
  });
});

describe("Supervisor.bake", () => {
  it("resolves if the generation stays up", async () => {
    const { supervisor } = world();
    await supervisor.deploy(v1, never);
    await expect(supervisor.bake(v1, 3_000, never)).resolves.toBe("proven");
  });

  it("resolves at once when dewy is stopping", async () => {
    const { supervisor, generations, clock } = world();
    await supervisor.deploy(v1, never);
    const before = clock.now();
    await supervisor.bake(v1, 30_000, AbortSignal.abort());
    expect(clock.now()).toBe(before);
    expect(generations[0]?.isAlive()).toBe(true);
  });

  it("rejects if the generation exits, and does not restart it", async () => {
    const { supervisor, generations, events } = world();
    await supervisor.deploy(v1, never);
    const baking = supervisor.bake(v1, 30_000, never);
    generations[0]?.exit({ code: 1 });
    await expect(baking).rejects.toThrow("after it had taken over");
    expect(eventsOf(events, "app-exited")).toEqual([]);
    expect(generations).toHaveLength(1);
  });

  it("rejects if the generation exited before the call", async () => {
    const { supervisor, generations } = world();
    await supervisor.deploy(v1, never);
    generations[0]?.exit({ code: 1 });
    await until(() => generations[0]?.hasEnded === true);
    await expect(supervisor.bake(v1, 30_000, never)).rejects.toThrow("exit code 1");
    expect(generations).toHaveLength(1);
  });

  it("rejects after three consecutive failed checks", async () => {
    let checks = 0;
    const check = async (): Promise<void> => {
      checks += 1;
      if (checks !== 2) throw new HostError("HTTP 500", { fault: "release" });
    };
    const { supervisor } = world({ handoff: { check } });
    await supervisor.deploy(v1, never);
    await expect(supervisor.bake(v1, 60_000, never)).rejects.toThrow("unhealthy: HTTP 500");
    expect(checks).toBe(5);
  });

  it("does not count a check that fails because of this machine", async () => {
    let checks = 0;
    const { supervisor } = world({
      handoff: {
        check: async () => {
          checks += 1;
          throw new HostError("a connection to 127.0.0.1:1 failed: connect EMFILE");
        },
      },
    });
    await supervisor.deploy(v1, never);
    await supervisor.bake(v1, 10_000, never);
    expect(checks).toBeGreaterThan(3);
  });

  it("continues with a restarted generation", async () => {
    const { supervisor, generations } = world();
    await supervisor.deploy(v1, never);
    const baking = supervisor.bake(v1, 20_000, never);
    await supervisor.restart("signal", never);
    await until(() => generations[0]?.hasEnded === true);
    await expect(baking).resolves.toBe("proven");
  });

  it("does not fail if a worker finishes its work", async () => {
    const { supervisor, generations, events } = world({ restart: "on-failure" });
    await supervisor.deploy(v1, never);
    const baking = supervisor.bake(v1, 3_000, never);
    generations[0]?.exit({ code: 0 });
    await expect(baking).resolves.toBe("proven");
    expect(eventsOf(events, "app-exited")).toMatchObject([{ code: 0, restartInMs: undefined }]);
  });
});

describe("a release that takes over while another one bakes", () => {
  it("ends that bake, and restarts the standby of the last good one", async () => {
    const { supervisor, generations, clock } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    const baking = supervisor.bake(v2, 600_000, never);
    await clock.sleep(4_000);
    await supervisor.deploy(v3, never);
    await expect(baking).resolves.toBe("superseded");
    await until(() => generations[1]?.hasEnded === true);
    await clock.sleep(4_000);
    expect(generations.map(({ hasEnded }) => hasEnded)).toEqual([false, true, false]);
    const next = supervisor.bake(v3, 600_000, never);
    generations[2]?.exit({ code: 1 });
    await expect(next).rejects.toThrow("exit code 1");
    await supervisor.rollback(v1);
    expect(supervisor.running).toEqual({ generation: 1, pid: 1001 });
    expect(generations).toHaveLength(3);
  });

  it("never puts the baking one on standby: the last good one is restarted", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    await until(() => generations[0]?.hasEnded === true);
    await supervisor.deploy(v3, never);
    const baking = supervisor.bake(v3, 600_000, never);
    await until(() => generations[1]?.signals.length === 1);
    generations[2]?.exit({ code: 1 });
    await expect(baking).rejects.toThrow("exit code 1");
    await supervisor.rollback(v1);
    expect(generations.map(({ release }) => release.tag).at(-1)).toBe("v1.0.0");
  });

  it("that does not become ready does not affect the bake", async () => {
    const { supervisor, generations, broken } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    const baking = supervisor.bake(v2, 600_000, never);
    broken.add("v1.2.0");
    await expect(supervisor.deploy(v3, never)).rejects.toThrow("exit code 3");
    await supervisor.rollback(v2);
    expect(generations[1]?.signals).toEqual([]);
    generations[1]?.exit({ code: 1 });
    await expect(baking).rejects.toThrow("after it had taken over");
  });

  it("reports why it was aborted", async () => {
    const ready = (): Promise<void> => new Promise(() => {});
    const { supervisor, generations } = world({ handoff: { ready } });
    const given = new AbortController();
    const trying = supervisor.deploy(v2, given.signal);
    await until(() => generations.length === 1);
    given.abort(new DeployError("verify", "v1.0.0 keeps crashing"));
    await expect(trying).rejects.toThrow("v1.0.0 keeps crashing");
  });
});

describe("the generation on standby", () => {
  it("serves again at once, without a start, if the new one exits in the overlap", async () => {
    const endpoints: string[] = [];
    const switchTo = ({ name }: { name?: string }): void => void endpoints.push(name ?? "");
    let prepared = 0;
    const prepare = async (): Promise<Generation["endpoint"]> => {
      prepared += 1;
      return { sockets: [], env: {}, name: `endpoint ${prepared}` };
    };
    const { supervisor, generations, events } = world({ handoff: { switchTo, prepare } });
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    const baking = supervisor.bake(v2, 30_000, never);
    generations[1]?.exit({ code: 1 });
    await expect(baking).rejects.toThrow("exit code 1");
    await supervisor.rollback(v1);
    expect(supervisor.running).toEqual({ generation: 1, pid: 1001 });
    expect(endpoints).toEqual(["endpoint 1", "endpoint 2", "endpoint 1"]);
    expect(generations).toHaveLength(2);
    expect(generations[0]?.signals).toEqual([]);
    await supervisor.stop();
    expect(eventsOf(events, "app-exited")).toEqual([]);
  });

  it("serves again if the new one becomes unhealthy, which is then stopped", async () => {
    let isSick = false;
    const check = async (): Promise<void> => {
      if (isSick) throw new HostError("HTTP 500", { fault: "release" });
    };
    const { supervisor, generations } = world({ handoff: { check }, overlapMs: 20_000 });
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    isSick = true;
    await expect(supervisor.bake(v2, 30_000, never)).rejects.toThrow("unhealthy");
    await supervisor.rollback(v1);
    await until(() => generations[1]?.hasEnded === true);
    expect(supervisor.running?.generation).toBe(1);
    expect(generations[0]?.signals).toEqual([]);
  });

  it("is stopped at the end of the overlap; after that, a rollback has to start it", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    const baking = supervisor.bake(v2, 60_000, never);
    await until(() => generations[0]?.hasEnded === true);
    generations[1]?.exit({ code: 1 });
    await expect(baking).rejects.toThrow("exit code 1");
    await supervisor.rollback(v1);
    expect(supervisor.running?.generation).toBe(3);
  });

  it("is stopped at the end of the bake, however long the overlap is", async () => {
    const { supervisor, generations } = world({ overlapMs: 3_600_000 });
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    await supervisor.bake(v2, 1_000, never);
    await until(() => generations[0]?.hasEnded === true);
  });

  it("serves again if a restarted generation of the same release exits, and reports why", async () => {
    const { supervisor, generations, events } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.restart("signal", never);
    generations[1]?.exit({ code: 7 });
    await until(() => eventsOf(events, "resumed").length === 1);
    expect(eventsOf(events, "resumed")[0]?.reason).toContain("exit code 7; it wrote: panic");
    expect(supervisor.running?.generation).toBe(1);
    // It is the current one again: its own end is a crash.
    generations[0]?.exit({ code: 1 });
    await until(() => generations.length === 3);
    expect(eventsOf(events, "app-exited")).toMatchObject([{ generation: 1, restartInMs: 1_000 }]);
  });

  it("does not serve again if it has exited itself", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.restart("signal", never);
    generations[0]?.exit({ code: 1 });
    generations[1]?.exit({ code: 1 });
    await until(() => generations.length === 3);
    expect(supervisor.running?.generation).not.toBe(1);
  });

  it("is stopped when dewy is stopped", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    await supervisor.stop();
    expect(generations.map(({ hasEnded }) => hasEnded)).toEqual([true, true]);
  });
});

describe("Supervisor.adopt", () => {
  it("reports orphans, and stops them once a new generation is ready", async () => {
    const { supervisor, events, broken } = world();
    const orphan = { ...fakeGeneration(v1, 9, { sockets: [], env: {} }, 0), ...v1 };
    supervisor.adopt([orphan]);
    broken.add("v1.0.0");
    await expect(supervisor.deploy(v1, never)).rejects.toThrow("exit code 3");
    expect(orphan.isAlive()).toBe(true);
    broken.clear();
    await supervisor.ensureRunning(v1);
    await until(() => !orphan.isAlive());
    expect(eventsOf(events, "adopted")).toEqual([{ type: "adopted", pid: 1009, tag: "v1.0.0" }]);
    expect(eventsOf(events, "draining")).toMatchObject([{ generation: 9, pid: 1009 }]);
  });

  it("reports no number for an orphan whose number is not known", async () => {
    const { supervisor, events } = world();
    const orphan = { ...fakeGeneration(v1, 9, { sockets: [], env: {} }, 0), ...v1 };
    supervisor.adopt([{ ...orphan, number: undefined }]);
    await supervisor.ensureRunning(v1);
    await until(() => eventsOf(events, "drained").length === 1);
    expect(eventsOf(events, "drained")).toMatchObject([{ generation: undefined, pid: 1009 }]);
  });
});

describe("Supervisor.inUse", () => {
  it("returns the releases of everything that serves, stands by, drains, or is an orphan", async () => {
    const { supervisor, generations } = world({ drainMs: 3_600_000 });
    const orphan = Object.assign(fakeGeneration(v1, 9, { sockets: [], env: {} }, 0), v1);
    orphan.obeys = false;
    supervisor.adopt([orphan]);
    expect(await supervisor.inUse()).toEqual(new Set(["d1"]));
    await supervisor.ensureRunning(v2);
    const [first] = generations;
    if (first !== undefined) first.obeys = false;
    await supervisor.deploy(v3, never);
    expect(await supervisor.inUse()).toEqual(new Set(["d1", "d2", "d3"]));
    await until(() => first?.signals.length === 1);
    expect(await supervisor.inUse()).toEqual(new Set(["d1", "d2", "d3"]));
    first?.exit();
    orphan.exit();
    expect(await supervisor.inUse()).toEqual(new Set(["d3"]));
  });
});

describe("Supervisor", () => {
  it("restarts a crashed app with backoff, and reports its last lines", async () => {
    const { supervisor, generations, events } = world();
    await supervisor.ensureRunning(v1);
    generations[0]?.exit({ code: 1 });
    await until(() => generations.length === 2);
    await until(() => eventsOf(events, "generation-ready").length === 2);
    generations[1]?.exit({ code: 1 });
    await until(() => generations.length === 3);
    expect(eventsOf(events, "app-exited")).toMatchObject([
      { code: 1, restartInMs: 1_000, lastLines: ["panic: no database"] },
      { code: 1, restartInMs: 2_000 },
    ]);
  });

  it("says why each generation was started", async () => {
    const { supervisor, generations, events } = world({ overlapMs: 0 });
    await supervisor.ensureRunning(v1);
    await supervisor.restart("signal", never);
    await supervisor.restart("operator", never);
    await supervisor.deploy(v2, never);
    generations.at(-1)?.exit({ code: 1 });
    await until(() => eventsOf(events, "generation-ready").length === 4);
    await supervisor.rollback(v1);
    generations.at(-1)?.exit({ code: 1 });
    await until(() => eventsOf(events, "generation-ready").length === 6);
    await supervisor.takeBack(v2, never);
    expect(eventsOf(events, "generation-ready").map(({ reason }) => reason)).toEqual([
      ...["start", "signal", "operator", "deploy"],
      ...["rollback", "crash", "rollback"],
    ]);
  });

  it("has the output of the last two starts, so that a crash is explained after the restart", async () => {
    const { supervisor, generations } = world();
    expect(supervisor.lastLines()).toEqual([]);
    await supervisor.ensureRunning(v1);
    expect(supervisor.lastLines()).toEqual(["hello from 1"]);
    generations[0]?.exit({ code: 1 });
    await until(() => generations.length === 2);
    expect(supervisor.lastLines()).toEqual(["hello from 1", "hello from 2"]);
    generations[1]?.exit({ code: 1 });
    await until(() => generations.length === 3);
    expect(supervisor.lastLines()).toEqual(["hello from 2", "hello from 3"]);
  });

  it("reports a crash loop once, and keeps trying", async () => {
    const { supervisor, generations, loops, broken } = world();
    await supervisor.ensureRunning(v1);
    broken.add("v1.0.0");
    generations[0]?.exit({ code: 1 });
    await until(() => generations.length >= 7);
    expect(loops).toHaveLength(1);
    expect(loops[0]).toContain("v1.0.0: 5 times");
    await supervisor.stop();
  });

  it("neither starts nor rolls back before all processes of a crashed generation have exited", async () => {
    let letGo = (): void => {};
    const { supervisor, generations } = world();
    await supervisor.deploy(v1, never);
    const [first] = generations;
    if (first === undefined) throw new Error("nothing was started");
    first.kill = () =>
      new Promise((resolve) => {
        letGo = resolve;
      });
    let isOver = false;
    const baking = supervisor.bake(v1, 30_000, never).finally(() => {
      isOver = true;
    });
    first.exit({ code: 1 });
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(isOver).toBe(false);
    const again = supervisor.ensureRunning(v2);
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(generations).toHaveLength(1);
    letGo();
    await expect(baking).rejects.toThrow("exit code 1");
    await again;
    expect(generations).toHaveLength(2);
  });

  it("reports hints with the exit of an app", async () => {
    const { supervisor, generations, events } = world();
    await supervisor.ensureRunning(v1);
    generations[0]?.hints.push("it put itself into the background");
    generations[0]?.exit({ code: 0 });
    await until(() => eventsOf(events, "app-exited").length === 1);
    expect(eventsOf(events, "app-exited")[0]?.hints).toEqual(["it put itself into the background"]);
    await supervisor.stop();
  });

  it.each([
    ["the operator", new ConfigError('Cannot read --env-file "app.env"')],
    ["this machine", new HostError("Cannot start app: too many processes")],
    ["an unknown error", new TypeError("x is undefined")],
  ])("keeps trying without a crash loop if %s is at fault", async (_, error) => {
    let isBroken = true;
    let starts = 0;
    const { supervisor, loops, events } = world({
      start: async (release, number, endpoint) => {
        starts += 1;
        if (isBroken) throw error;
        return fakeGeneration(release, number, endpoint, 0);
      },
    });
    await supervisor.ensureRunning(v1);
    await until(() => starts >= 7);
    expect(loops).toEqual([]);
    const failures = eventsOf(events, "start-failed");
    expect(failures[0]).toMatchObject({ tag: "v1.0.0", reason: error.message });
    expect(failures.map(({ retryInMs }) => retryInMs).slice(0, 4)).toEqual([
      1_000, 2_000, 4_000, 8_000,
    ]);
    isBroken = false;
    await until(() => supervisor.running !== undefined);
    await supervisor.stop();
  });

  it("does not restart an app that exits with code 0, with --restart on-failure", async () => {
    const { supervisor, generations, events } = world({ restart: "on-failure" });
    await supervisor.ensureRunning(v1);
    generations[0]?.exit({ code: 0 });
    await until(() => eventsOf(events, "app-exited").length === 1);
    expect(eventsOf(events, "app-exited")[0]?.restartInMs).toBeUndefined();
    generations.length = 0;
    await supervisor.stop();
    expect(generations).toEqual([]);
  });

  it("keeps trying to start a crashed app if a manual restart has failed as well", async () => {
    const { supervisor, generations, broken } = world();
    await supervisor.ensureRunning(v1);
    broken.add("v1.0.0");
    generations[0]?.exit({ code: 1 });
    await until(() => generations[0]?.hasEnded === true);
    await expect(supervisor.restart("signal", never)).rejects.toThrow("exit code 3");
    broken.clear();
    await until(() => generations.at(-1)?.hasEnded === false);
    expect(generations.length).toBeGreaterThan(2);
  });

  it("does not restart an app that crashed while its successor was getting ready", async () => {
    let letReady = (): void => {};
    const ready = (): Promise<void> =>
      new Promise((resolve) => {
        letReady = resolve;
      });
    const { supervisor, generations, events } = world({ handoff: { ready } });
    const first = supervisor.ensureRunning(v1);
    await until(() => generations.length === 1);
    letReady();
    await first;
    const second = supervisor.deploy(v2, never);
    await until(() => generations.length === 2);
    generations[0]?.exit({ code: 1 });
    await until(() => eventsOf(events, "app-exited").length === 1);
    letReady();
    await second;
    // Longer than the pause before a restart.
    await supervisor.bake(v2, 3_000, never);
    expect(generations).toHaveLength(2);
    expect(supervisor.release).toEqual(v2);
  });

  it("does not restart a crashed app while current still points to a failed release", async () => {
    let isStuck = false;
    const ready = (): Promise<void> => (isStuck ? new Promise(() => {}) : Promise.resolve());
    const { supervisor, generations, clock } = world({ handoff: { ready } });
    await supervisor.ensureRunning(v1);
    isStuck = true;
    const trying = supervisor.deploy(v2, never);
    await until(() => generations.length === 2);
    generations[0]?.exit({ code: 1 });
    await expect(trying).rejects.toThrow("not ready");
    await clock.sleep(3_000);
    expect(generations).toHaveLength(2);
    isStuck = false;
    await supervisor.rollback(v1);
    await until(() => generations.length === 3);
    expect(generations[2]?.release).toEqual(v1);
  });

  it("accepts a worker that exits with code 0 before it was ready", async () => {
    const { supervisor, generations, events } = world({ restart: "on-failure" });
    const starting = supervisor.ensureRunning(v1);
    await until(() => generations.length === 1);
    generations[0]?.exit({ code: 0 });
    await starting;
    await until(() => eventsOf(events, "app-exited").length === 1);
    expect(eventsOf(events, "app-exited")[0]?.restartInMs).toBeUndefined();
    expect(eventsOf(events, "warning")).toEqual([]);
  });

  it("restarts the same release without a gap", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.restart("signal", never);
    expect(generations.map(({ release }) => release.tag)).toEqual(["v1.0.0", "v1.0.0"]);
    await until(() => generations[0]?.isAlive() === false);
    expect(generations[1]?.isAlive()).toBe(true);
  });

  it("starts nothing once dewy is stopping, and does not wait for readiness", async () => {
    const stopping = new AbortController();
    const ready = (): Promise<void> => {
      stopping.abort();
      return new Promise(() => {});
    };
    const made = world({ stopping: stopping.signal, handoff: { ready } });
    const { supervisor, generations, events } = made;
    await supervisor.ensureRunning(v2);
    await supervisor.rollback(v1);
    expect(generations.map(({ signals }) => signals)).toEqual([["KILL"]]);
    expect(eventsOf(events, "start-failed")).toEqual([]);
    await supervisor.stop();
  });

  it("stops everything, including draining generations", async () => {
    const { supervisor, generations } = world();
    await supervisor.ensureRunning(v1);
    const [first] = generations;
    if (first !== undefined) first.obeys = false;
    await supervisor.deploy(v2, never);
    await supervisor.stop();
    expect(generations.map((generation) => generation.isAlive())).toEqual([false, false]);
  });

  it("does not treat a requested exit as a crash", async () => {
    const { supervisor, events } = world();
    await supervisor.ensureRunning(v1);
    await supervisor.stop();
    expect(eventsOf(events, "app-exited")).toEqual([]);
  });
});

describe("Supervisor.report", () => {
  const states = (supervisor: ReturnType<typeof world>["supervisor"]) =>
    supervisor.report().generations.map(({ tag, state }) => `${tag} ${state}`);

  it("says what serves, what gets ready, and what stands by", async () => {
    let isReady = true;
    const ready = (): Promise<void> => (isReady ? Promise.resolve() : new Promise(() => {}));
    const { supervisor, generations, clock } = world({ handoff: { ready }, overlapMs: 1e9 });
    expect(supervisor.report()).toEqual({ health: "down", generations: [], restarts: 0 });
    await supervisor.ensureRunning(v1);
    expect(supervisor.report()).toEqual({
      health: "serving",
      generations: [
        {
          number: 1,
          pid: 1001,
          tag: "v1.0.0",
          state: "serving",
          since: new Date(generations[0]?.startedAt ?? 0).toISOString(),
        },
      ],
      restarts: 0,
    });
    isReady = false;
    const stop = new AbortController();
    const deploying = supervisor.deploy(v2, stop.signal).catch(() => {});
    await until(() => generations.length === 2);
    expect(states(supervisor)).toEqual(["v1.0.0 serving", "v1.1.0 starting"]);
    stop.abort();
    await deploying;
    expect(states(supervisor)).toEqual(["v1.0.0 serving"]);
    expect(clock.now()).toBeGreaterThan(0);
  });

  it("shows the previous generation on standby, then draining", async () => {
    const { supervisor, generations } = world({ clock: systemClock, overlapMs: 60_000 });
    await supervisor.ensureRunning(v1);
    await supervisor.deploy(v2, never);
    expect(states(supervisor)).toEqual(["v1.0.0 standby", "v1.1.0 serving"]);
    const [first] = generations;
    if (first !== undefined) first.obeys = false;
    const stopped = supervisor.stop();
    await until(() => first?.signals.includes("SIGTERM") === true);
    expect(states(supervisor)).toContain("v1.0.0 draining");
    await stopped;
    expect(supervisor.report()).toMatchObject({ health: "down", generations: [] });
  });

  it("says that a crashed app is restarted, and that a finished one is not", async () => {
    const crashing = world({ clock: systemClock });
    await crashing.supervisor.ensureRunning(v1);
    crashing.generations[0]?.exit({ code: 3 });
    await until(() => crashing.supervisor.report().health !== "serving");
    await until(() => crashing.supervisor.report().restarts === 1);
    expect(crashing.supervisor.report()).toMatchObject({ health: "restarting", generations: [] });
    await crashing.supervisor.stop();
    const finishing = world({ restart: "on-failure" });
    await finishing.supervisor.ensureRunning(v1);
    finishing.generations[0]?.exit({ code: 0 });
    await until(() => finishing.supervisor.report().health === "finished");
  });
});
