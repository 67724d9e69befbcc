import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { HostError } from "../../../src/core/error.ts";
import { eventsOf } from "../../deploy/world.ts";
import { unreachable } from "../../fakes/engine.ts";
import { ask, crowd, fleetWorld, never, nth, only, until, v1, v2, v3 } from "./world.ts";

describe("Fleet.replace", () => {
  it("starts the first replica, and lets clients through once it is healthy", async () => {
    const { fleet, release, port, versions, engine, events } = await fleetWorld();
    const waiting = ask(port);
    await fleet.deploy(release(v1), never);
    expect(await waiting).toBe("v1.0.0");
    expect(versions()).toEqual(["v1.0.0"]);
    const { info } = only(engine.running());
    expect(info.name).toMatch(/^app-\d+-0$/);
    expect(info.labels).toMatchObject({
      "dewy.managed": "true",
      "dewy.app": "app",
      "dewy.version": "v1.0.0",
      "dewy.replica": "0",
      "dewy.release": v1.directory,
    });
    expect(only(eventsOf(events, "replica-ready")).container).toBe(info.name);
  });

  it.each([
    { replicas: 1, surge: 1, most: 2 },
    { replicas: 3, surge: 0, most: 3 },
    { replicas: 3, surge: 1, most: 4 },
    { replicas: 3, surge: 2, most: 5 },
  ])(
    "replaces $replicas with a surge of $surge under load: nothing is lost, never more than $most run",
    async ({ replicas, surge, most }) => {
      let running = 0;
      const world = await fleetWorld({ replicas, surge });
      const { fleet, release, engine, port, versions } = world;
      await fleet.deploy(release(v1), never);
      release(v2);
      const start = engine.start;
      engine.start = async (spec, signal) => {
        running = Math.max(running, engine.running().length + 1);
        return start(spec, signal);
      };
      const clients = crowd(port);
      await fleet.deploy(v2, never);
      await until(() => versions().length === replicas);
      const answers = await clients.stop();
      expect(Object.keys(answers).sort()).toEqual(["v1.0.0", "v1.1.0"]);
      expect(versions()).toEqual(Array.from({ length: replicas }, () => "v1.1.0"));
      expect(running).toBeLessThanOrEqual(most);
      expect(engine.containers.reduce((sum, { late }) => sum + late, 0)).toBe(0);
      const numbers = engine.running().map(({ info }) => info.labels["dewy.replica"]);
      expect(numbers.sort()).toEqual(Array.from({ length: replicas }, (_, index) => `${index}`));
    },
  );

  it("lets the connections of an old replica end before it is told to stop", async () => {
    const { fleet, release, engine, port } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    const socket = await kept(port);
    await fleet.deploy(release(v2), never);
    // At once: the one with fewer connections would not be enough for all of them.
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(port)));
    expect(new Set(answers)).toEqual(new Set(["v1.1.0"]));
    expect(engine.calls.filter((call) => call.startsWith("stop"))).toEqual([]);
    socket.destroy();
    await until(() => engine.running().length === 1);
    expect(nth(engine, 0).late).toBe(0);
  });

  it("names the releases of all containers that still run, those that drain too", async () => {
    const { fleet, release, engine, port } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    const socket = await kept(port);
    await fleet.deploy(release(v2), never);
    expect(await fleet.inUse()).toEqual(new Set([v1.directory, v2.directory]));
    socket.destroy();
    await until(() => engine.running().length === 1);
    await expect.poll(() => fleet.inUse()).toEqual(new Set([v2.directory]));
  });

  it("ends an old replica whose connections do not end in time, and says how many were cut", async () => {
    const { fleet, release, engine, port, events } = await fleetWorld({ drainMs: 2_000 });
    await fleet.deploy(release(v1), never);
    const socket = await kept(port);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    await fleet.deploy(release(v2), never);
    await until(() => eventsOf(events, "replica-retired").length === 1);
    await closed;
    expect(only(eventsOf(events, "replica-retired"))).toMatchObject({ tag: "v1.0.0", cut: 1 });
    expect(nth(engine, 0).info.status).toBe("exited");
  });

  it.each([
    {
      step: "the pull",
      arrange: "pull",
      app: {},
      says: "pull broke",
    },
    { step: "the start", arrange: "start", app: {}, says: "start broke" },
    {
      step: "its health",
      arrange: undefined,
      app: { health: 503 },
      says: "GET /health answered 503",
    },
    {
      step: "its first moment",
      arrange: undefined,
      app: { exitsWith: 3 },
      says: "exit code 3; it wrote: panic: v1.1.0 has no database",
    },
  ] as const)("leaves the old ones untouched when $step fails", async ({ arrange, app, says }) => {
    const { fleet, release, engine, port, versions } = await fleetWorld({
      replicas: 2,
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 6_000 },
    });
    await fleet.deploy(release(v1), never);
    const clients = crowd(port);
    if (arrange !== undefined) engine.fail.set(arrange, new Error(`${arrange} broke`));
    await expect(fleet.deploy(release(v2, app), never)).rejects.toThrow(says);
    engine.fail.clear();
    await fleet.ensureRunning(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0");
    expect(Object.keys(await clients.stop())).toEqual(["v1.0.0"]);
    expect(engine.running()).toEqual([nth(engine, 0), nth(engine, 1)]);
  });

  it("without a path waits until the port has stayed open, and fails when the app ends meanwhile", async () => {
    const { fleet, release, engine } = await fleetWorld({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 60_000 },
    });
    await fleet.deploy(release(v1), never);
    const failed = expect(fleet.deploy(release(v2), never)).rejects.toThrow(
      "exit code 9; it wrote: panic: it crashed",
    );
    await until(() => engine.containers.length === 2);
    await nth(engine, 1).crash(9);
    await failed;
  });

  it("looks once more before clients are sent there, although no event came", async () => {
    const { fleet, release, engine } = await fleetWorld();
    engine.tells = false;
    const failed = fleet.deploy(release(v1, { endsOnceHealthy: true }), never);
    await expect(failed).rejects.toThrow("exit code 5");
  });

  it("without a path does not take the engine's forwarder for the app", async () => {
    const { fleet, release } = await fleetWorld({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 20_000 },
    });
    await expect(fleet.deploy(release(v1, { listens: false }), never)).rejects.toThrow(
      "was accepted and closed at once",
    );
  });

  it("says which port the image exposes when nothing answers on another one", async () => {
    const { fleet, release, shape } = await fleetWorld({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 8_000 },
    });
    shape.containerPort = 3999;
    await expect(fleet.deploy(release(v1, { listens: false }), never)).rejects.toThrow(
      "the image exposes 80, not 3999: check --port and --container-port",
    );
  });

  it("keeps secrets out of the last lines", async () => {
    const { fleet, release } = await fleetWorld();
    const failed = fleet.deploy(release(v1, { version: "hunter2", exitsWith: 1 }), never);
    await expect(failed).rejects.toThrow("panic: … has no database");
  });

  it("without a path goes by the image's HEALTHCHECK, and gives it one interval more", async () => {
    const { fleet, release, engine } = await fleetWorld({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 1_000 },
    });
    const healthcheck = { intervalMs: 600_000 };
    const first = fleet.deploy(release(v1, {}, { healthcheck }), never);
    await until(() => engine.containers.length === 1);
    nth(engine, 0).setHealth("healthy");
    await first;
    const failed = expect(fleet.deploy(release(v2, {}, { healthcheck }), never)).rejects.toThrow(
      "its HEALTHCHECK says that it is unhealthy",
    );
    await until(() => engine.containers.length === 2);
    nth(engine, 1).setHealth("unhealthy");
    await failed;
  });

  it("stops at once when one of the new replicas ends in the middle of a rollout", async () => {
    const { fleet, release, engine, port, versions } = await fleetWorld({ replicas: 3 });
    await fleet.deploy(release(v1), never);
    const clients = crowd(port);
    const start = engine.start;
    engine.start = async (spec, signal) => {
      // The first one is behind the proxy by now.
      if (engine.containers.length === 4) await nth(engine, 3).crash(2);
      return start(spec, signal);
    };
    const failure = await fleet.deploy(release(v2), never).catch((error: unknown) => error);
    expect(String(failure)).toContain("exit code 2 after it had taken over");
    await fleet.ensureRunning(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0,v1.0.0");
    await clients.stop();
  });

  it("is ended by its signal, and leaves nothing half started", async () => {
    const { fleet, release, engine, versions } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    const stop = new AbortController();
    const replaced = fleet.deploy(release(v2, { health: 503 }), stop.signal);
    await until(() => engine.containers.length === 2);
    stop.abort(new Error("enough"));
    await expect(replaced).rejects.toThrow("enough");
    await until(() => versions().join() === "v1.0.0");
  });
});

describe("Fleet.bake", () => {
  it("fails when a new replica ends, and the way back is quick: what still drains serves again", async () => {
    const { fleet, release, engine, port, versions } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    const socket = await kept(port);
    await fleet.deploy(release(v2), never);
    const baked = expect(fleet.bake(v2, 600_000, never)).rejects.toThrow(
      "exit code 7 after it had taken over; it wrote: panic: it crashed",
    );
    await nth(engine, 1).crash(7);
    await baked;
    await fleet.ensureRunning(v1);
    expect(await ask(port)).toBe("v1.0.0");
    expect(engine.containers).toHaveLength(2);
    expect(versions()).toEqual(["v1.0.0"]);
    socket.destroy();
  });

  it("fails when a new replica turns unhealthy; the old release is started again, and the bad one leaves", async () => {
    const { fleet, release, engine, port, versions } = await fleetWorld({ replicas: 2 });
    await fleet.deploy(release(v1), never);
    await fleet.deploy(release(v2), never);
    await until(() => versions().join() === "v1.1.0,v1.1.0");
    const clients = crowd(port);
    const baked = expect(fleet.bake(v2, 600_000, never)).rejects.toThrow(
      "GET /health answered 500",
    );
    nth(engine, 2).app.health = 500;
    await baked;
    await fleet.ensureRunning(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0");
    expect(Object.keys(await clients.stop()).sort()).toEqual(["v1.0.0", "v1.1.0"]);
  });

  it("after a failure sends clients to the old release as soon as one replica of it serves", async () => {
    const { fleet, release, engine, port } = await fleetWorld({ replicas: 2, surge: 1 });
    await fleet.deploy(release(v1), never);
    await fleet.deploy(release(v2), never);
    await until(() => engine.running().length === 2);
    const sockets = await Promise.all([1, 2].map(() => kept(port)));
    const baked = expect(fleet.bake(v2, 600_000, never)).rejects.toThrow("answered 500");
    nth(engine, 2).app.health = 500;
    await baked;
    let wasTrusted = false;
    const start = engine.start;
    engine.start = async (spec, signal) => {
      if (engine.running().some(({ app }) => app.version === "v1.0.0")) {
        // The second one of the old release is only being started.
        const answers = await Promise.all(Array.from({ length: 10 }, () => ask(port)));
        wasTrusted ||= answers.includes("v1.1.0");
      }
      return start(spec, signal);
    };
    await fleet.ensureRunning(v1);
    expect(wasTrusted).toBe(false);
    expect(engine.containers.length).toBeGreaterThanOrEqual(6);
    for (const socket of sockets) socket.destroy();
  });

  it("is over at once when dewy is to end", async () => {
    const { fleet, release } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 1e9, AbortSignal.abort());
  });
});

describe("a release that is rolled out while another one is on probation", () => {
  const quick = { path: "/health", proxyProtocol: undefined, timeoutMs: 6_000 };

  it("ends that probation, and the last good one comes back when it fails", async () => {
    const { fleet, release, engine, port, versions } = await fleetWorld({ replicas: 2 });
    await fleet.deploy(release(v1), never);
    expect(await fleet.bake(v1, 0, never)).toBe("proven");
    await fleet.deploy(release(v2), never);
    const baking = fleet.bake(v2, 1e9, never);
    await fleet.deploy(release(v3), never);
    expect(await baking).toBe("superseded");
    expect(await ask(port)).toBe("v1.2.0");
    const failed = expect(fleet.bake(v3, 1e9, never)).rejects.toThrow("exit code 7");
    await until(() => versions().join() === "v1.2.0,v1.2.0");
    await nth(engine, 4).crash(7);
    await failed;
    await fleet.rollback(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0");
  });

  it("leaves the probation as it is when it does not become healthy", async () => {
    const { fleet, release, engine, versions } = await fleetWorld({ health: quick });
    await fleet.deploy(release(v1), never);
    await fleet.deploy(release(v2), never);
    const baking = fleet.bake(v2, 1e9, never);
    await expect(fleet.deploy(release(v3, { health: 503 }), never)).rejects.toThrow("503");
    await fleet.rollback(v2);
    await until(() => versions().join() === "v1.1.0");
    const failed = expect(baking).rejects.toThrow("exit code 7 after it had taken over");
    await nth(engine, 1).crash(7);
    await failed;
  });

  it("does not keep the probation from failing meanwhile, and can be given up", async () => {
    const { fleet, release, engine, versions } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    await fleet.deploy(release(v2), never);
    const baking = expect(fleet.bake(v2, 1e9, never)).rejects.toThrow("exit code 7");
    const given = new AbortController();
    const rolling = fleet.deploy(release(v3, { health: 503 }), given.signal);
    const gone = expect(rolling).rejects.toThrow("given up");
    await until(() => versions().includes("v1.2.0"));
    await nth(engine, 1).crash(7);
    await baking;
    given.abort(new HostError("given up"));
    await gone;
    await fleet.rollback(v1);
    await until(() => versions().join() === "v1.0.0");
  });

  it("and fails together with the engine does not make the other one fail", async () => {
    const { fleet, release, engine, versions } = await fleetWorld({ replicas: 2, surge: 0 });
    await fleet.deploy(release(v1), never);
    await fleet.deploy(release(v2), never);
    await until(() => versions().join() === "v1.1.0,v1.1.0");
    const over = new AbortController();
    const baking = fleet.bake(v2, 1e9, over.signal);
    engine.fail.set("start", unreachable());
    await expect(fleet.deploy(release(v3), never)).rejects.toThrow("refused");
    await fleet.rollback(v2);
    expect(versions()).toEqual(["v1.1.0"]);
    engine.fail.clear();
    await until(() => versions().join() === "v1.1.0,v1.1.0");
    over.abort();
    expect(await baking).toBe("proven");
  });
});

describe("Fleet.adopt", () => {
  it("puts what runs behind the proxy and starts nothing when that is what should run", async () => {
    const first = await fleetWorld({ replicas: 2 });
    await first.fleet.deploy(first.release(v1), never);
    await first.fleet.stop({ keep: true });
    const second = await first.reborn();
    expect(await ask(second.port)).toBe("v1.0.0");
    await second.fleet.ensureRunning(v1);
    expect(second.engine.containers).toHaveLength(2);
    expect(only(eventsOf(second.events, "containers-adopted")).tags).toEqual(["v1.0.0"]);
  });

  it("continues a half-done rollout", async () => {
    const first = await fleetWorld({ replicas: 3 });
    const { engine } = first;
    await first.fleet.deploy(first.release(v1), never);
    first.release(v2);
    const stop = new AbortController();
    const start = engine.start;
    engine.start = async (spec, signal) => {
      if (engine.containers.length === 5) stop.abort(new Error("killed"));
      return start(spec, signal);
    };
    await expect(first.fleet.deploy(v2, stop.signal)).rejects.toThrow("killed");
    engine.start = start;
    await first.fleet.stop({ keep: true });
    const second = await first.reborn();
    const clients = crowd(second.port);
    await second.fleet.deploy(v2, never);
    await until(() => second.versions().join() === "v1.1.0,v1.1.0,v1.1.0");
    const answers = Object.keys(await clients.stop());
    expect(answers.filter((answer) => !/^v1\.[01]\.0$/.test(answer))).toEqual([]);
    expect(engine.containers.filter(({ app }) => app.version === "v1.1.0").length).toBeLessThan(6);
  });

  it("replaces containers of another dewy without a gap, and keeps them when that fails", async () => {
    const { engine, fleet, release, versions, reborn } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    await fleet.stop({ keep: true });
    const strange = nth(engine, 0).info;
    strange.labels = { "dewy.managed": "true", "dewy.app": "app", "dewy.version": "v0.9.0" };
    const second = await reborn({
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 4_000 },
    });
    expect(await ask(second.port)).toBe("v1.0.0");
    await expect(second.fleet.deploy(release(v2, { health: 500 }), never)).rejects.toThrow(
      "answered 500",
    );
    await second.fleet.end();
    expect(await ask(second.port)).toBe("v1.0.0");
    await second.fleet.deploy(release(v3), never);
    await until(() => versions().join() === "v1.2.0");
  });

  it("does not send clients to one that was only being started", async () => {
    const first = await fleetWorld();
    await first.fleet.deploy(first.release(v1), never);
    const stop = new AbortController();
    const replaced = first.fleet.deploy(first.release(v2, { listens: false }), stop.signal);
    await until(() => first.engine.containers.length === 2);
    const second = await first.reborn();
    for (let count = 0; count < 20; count += 1) expect(await ask(second.port)).toBe("v1.0.0");
    stop.abort(new Error("enough"));
    await replaced.catch(() => {});
  });

  it("ends what the dewy before had begun to start, and what came up only later", async () => {
    const first = await fleetWorld();
    const { engine } = first;
    await first.fleet.deploy(first.release(v1), never);
    await first.fleet.stop({ keep: true });
    const second = await first.reborn();
    await second.fleet.ensureRunning(v1);
    const { spec } = nth(engine, 0);
    await engine.start({ ...spec, name: "app-late-0" }, never);
    await until(() => nth(engine, 1).info.status === "exited");
    expect(nth(engine, 1).answered).toBe(0);
    expect(engine.running()).toEqual([nth(engine, 0)]);
    await engine.start({ ...spec, name: "app-late-1" }, never);
    await second.fleet.stop({ keep: false });
    expect(await engine.list({}, never)).toEqual([]);
  });

  it("makes the number of replicas and changed flags true", async () => {
    const first = await fleetWorld({ replicas: 3 });
    await first.fleet.deploy(first.release(v1), never);
    await first.fleet.stop({ keep: true });
    const fewer = await first.reborn({ replicas: 1 });
    await fewer.fleet.ensureRunning(v1);
    await until(() => fewer.versions().length === 1);
    expect(fewer.engine.containers).toHaveLength(3);
    await fewer.fleet.stop({ keep: true });
    const changed = await fewer.reborn({ replicas: 2 });
    changed.shape.config = "c2";
    await changed.fleet.ensureRunning(v1);
    await until(() => changed.versions().length === 2);
    const configs = changed.engine.running().map(({ info }) => info.labels["dewy.config"]);
    expect(configs).toEqual(["c2", "c2"]);
  });

  it("removes what has ended and what was never started, of this app only", async () => {
    const { engine, fleet, release } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    await fleet.stop({ keep: true });
    await nth(engine, 0).crash();
    const other = await fleetWorld({ app: "other" }, engine);
    await other.fleet.deploy(v1, never);
    await other.fleet.stop({ keep: true });
    await nth(engine, 1).crash();
    const again = await fleetWorld({}, engine);
    await again.fleet.ensureRunning(v1);
    const listed = async (): Promise<readonly string[]> =>
      (await engine.list({}, never)).map(({ id }) => id);
    await expect.poll(listed).toEqual(["id2", "id3"]);
  });
});

describe("the fleet's care", () => {
  it("takes a replica that ends out of the proxy at once, tells its last lines, and starts another", async () => {
    const { fleet, release, engine, port, versions, events } = await fleetWorld({ replicas: 2 });
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 0, never);
    await nth(engine, 0).crash(4);
    const clients = crowd(port);
    await until(() => engine.containers.length === 3 && versions().length === 2);
    expect(Object.keys(await clients.stop())).toEqual(["v1.0.0"]);
    const lost = only(eventsOf(events, "replica-lost"));
    expect(lost).toMatchObject({ tag: "v1.0.0", reason: "it ended with exit code 4" });
    expect(lost.lastLines).toEqual(["panic: it crashed"]);
    expect(lost.replaceInMs).toBeGreaterThan(0);
  });

  it("finds out although no event came", async () => {
    const { fleet, release, engine } = await fleetWorld();
    engine.tells = false;
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 0, never);
    await nth(engine, 0).crash();
    await until(() => engine.containers.length === 2);
  });

  it("replaces one that turns unhealthy, and ends it once the other serves", async () => {
    const { fleet, release, engine, port, versions } = await fleetWorld({ replicas: 2 });
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 0, never);
    const clients = crowd(port);
    nth(engine, 0).app.health = 500;
    await until(() => engine.containers.length === 3 && versions().length === 2);
    expect(engine.running()).not.toContain(nth(engine, 0));
    expect(Object.keys(await clients.stop())).toEqual(["v1.0.0"]);
  });

  it("sends clients to unhealthy replicas rather than to nobody", async () => {
    const { fleet, release, engine, port, events } = await fleetWorld({ replicas: 2 });
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 0, never);
    engine.fail.set("start", unreachable());
    for (const container of engine.containers) container.app.health = 500;
    await until(() => eventsOf(events, "replica-lost").length === 2);
    expect(await ask(port)).toBe("v1.0.0");
    for (const container of engine.containers) container.app.health = 200;
    engine.fail.clear();
  });

  it("waits longer each time, and asks once to go back when a release keeps ending", async () => {
    const { fleet, release, engine, events, loops } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 0, never);
    engine.publish("registry.test/app@v1.0.0", { version: "v1.0.0", exitsWith: 1 });
    await engine.pull({
      image: "registry.test/app@v1.0.0",
      credential: undefined,
      plainHttp: true,
      signal: never,
    });
    await nth(engine, 0).crash();
    await until(() => loops.length === 1);
    expect(loops[0]).toMatch(/^v1\.0\.0: 5 times, last .*exit code 1/);
    const pauses = eventsOf(events, "start-failed").map(({ retryInMs }) => retryInMs);
    expect(pauses.length).toBeGreaterThan(3);
    expect(pauses.slice(0, 3).every((pause, index) => pause < (pauses[index + 1] ?? 0))).toBe(true);
    await fleet.ensureRunning(release(v2));
    expect(loops).toHaveLength(1);
  });

  it("does not blame the release when its replicas run and are not healthy", async () => {
    const { fleet, release, engine, events, loops } = await fleetWorld({
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 1_000 },
    });
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 0, never);
    engine.publish("registry.test/app@v1.0.0", { version: "v1.0.0", health: 503 });
    engine.forget("registry.test/app@v1.0.0");
    nth(engine, 0).app.health = 503;
    await until(() => eventsOf(events, "start-failed").length === 6);
    expect(loops).toEqual([]);
    expect(engine.running()).toContain(nth(engine, 0));
  });

  it("leaves all as it is while the engine cannot be reached, and says so once", async () => {
    const { fleet, release, engine, port, events, loops } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 0, never);
    for (const operation of ["list", "watch", "inspect", "start"] as const) {
      engine.fail.set(operation, unreachable());
    }
    engine.dropWatchers();
    const looks = (): number => engine.calls.filter((call) => call === "list").length;
    const before = looks();
    await until(() => looks() > before + 3);
    expect(await ask(port)).toBe("v1.0.0");
    const told = eventsOf(events, "warning").filter(({ message }) => message.includes("engine"));
    expect(told).toHaveLength(1);
    engine.fail.clear();
    await nth(engine, 0).crash();
    await until(() => engine.running().length === 1);
    expect(loops).toEqual([]);
  });

  it("pulls an image again that somebody removed", async () => {
    const { fleet, release, engine } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    await fleet.bake(v1, 0, never);
    engine.forget("registry.test/app@v1.0.0");
    await nth(engine, 0).crash();
    await until(() => engine.running().length === 1);
    expect(engine.calls.filter((call) => call.startsWith("pull"))).toHaveLength(2);
  });

  it("tries again to remove a container that the engine does not let go of", async () => {
    const { fleet, release, engine, events } = await fleetWorld();
    await fleet.deploy(release(v1), never);
    engine.fail.set("remove", new Error("device or resource busy"));
    await fleet.deploy(release(v2), never);
    await until(() => eventsOf(events, "warning").length > 0);
    engine.fail.clear();
    await until(() => eventsOf(events, "replica-retired").length === 1);
    expect(await engine.list({}, never)).toHaveLength(1);
  });
});

describe("Fleet.restart", () => {
  it("replaces all replicas by others of the same release, without a gap", async () => {
    const { fleet, release, engine, port, versions } = await fleetWorld({ replicas: 2 });
    await fleet.deploy(release(v1), never);
    const clients = crowd(port);
    await fleet.restart(never);
    await until(() => versions().length === 2);
    expect(Object.keys(await clients.stop())).toEqual(["v1.0.0"]);
    expect(engine.running()).toEqual([nth(engine, 2), nth(engine, 3)]);
  });
});

describe("Fleet.stop", () => {
  it("lets what is in flight end, then ends and removes all containers", async () => {
    const { fleet, release, engine, port } = await fleetWorld({ replicas: 2 });
    await fleet.deploy(release(v1), never);
    const socket = connect(port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: app\r\n");
    await new Promise((resolve) => socket.once("connect", resolve));
    await until(() => engine.containers.some(({ info }) => info.status === "running"));
    const stopped = fleet.stop({ keep: false });
    const answer = new Promise((resolve) =>
      socket.once("data", (chunk) => resolve(String(chunk).split("\r\n\r\n")[1])),
    );
    socket.end("\r\n");
    expect(await answer).toBe("v1.0.0");
    await stopped;
    expect(engine.running()).toEqual([]);
    expect(await engine.list({}, never)).toEqual([]);
  });

  it("leaves the containers when told to", async () => {
    const { fleet, release, versions } = await fleetWorld({ replicas: 2 });
    await fleet.deploy(release(v1), never);
    await fleet.stop({ keep: true });
    expect(versions()).toEqual(["v1.0.0", "v1.0.0"]);
  });
});

/** A connection that stays open after its first answer. */
async function kept(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  // In the middle of its next request it cannot be connected with another container.
  socket.write("GET /");
  return socket;
}
