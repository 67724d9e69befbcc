import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { HostError } from "../../../src/core/error.ts";
import { eventsOf } from "../../deploy/world.ts";
import { unreachable } from "../../fakes/engine.ts";
import {
  ask,
  crowd,
  fastClock,
  never,
  nth,
  only,
  shortPauses,
  startService,
  until,
  v1,
  v2,
  v3,
} from "./service_fixture.ts";

describe("ContainerService.deploy", () => {
  it("starts the first replica, and adds it to the proxy once it is healthy", async () => {
    const { service, release, port, versions, engine, events } = await startService();
    const waiting = ask(port);
    await service.deploy(release(v1), never);
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
    "replaces $replicas with a surge of $surge under load, without loss and with at most $most running",
    async ({ replicas, surge, most }) => {
      let running = 0;
      const world = await startService({ replicas, surge });
      const { service, release, engine, port, versions } = world;
      await service.deploy(release(v1), never);
      release(v2);
      const start = engine.start;
      engine.start = async (spec, signal) => {
        running = Math.max(running, engine.running().length + 1);
        return start(spec, signal);
      };
      const clients = crowd(port);
      await until(() => engine.containers.some(({ answered }) => answered > 0));
      await service.deploy(v2, never);
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

  it.each([
    { surge: 0, replicas: 2 },
    { surge: 1, replicas: 2 },
  ])(
    "takes down the unhealthy replica first with a surge of $surge",
    async ({ replicas, surge }) => {
      const { service, release, engine } = await startService({ replicas, surge });
      await service.deploy(release(v1), never);
      // The order by age would take down the other one.
      const [healthy, unhealthy] = service.containers;
      const failing = engine.containers.find(({ info }) => info.name === unhealthy);
      if (failing !== undefined) failing.app.health = 500;
      await until(() => service.ready === 1);
      await service.deploy(release(v2), never);
      await until(() => engine.running().length === replicas);
      const stops = engine.calls.filter((call) => call.startsWith("stop"));
      expect(stops).toEqual([`stop ${unhealthy}`, `stop ${healthy}`]);
    },
  );

  it("measures its replicas and their health checks, one per attempt", async () => {
    const { service, release, engine } = await startService({ replicas: 2 });
    expect(service.measure()).toEqual({
      healthChecks: { total: 0, failures: 0 },
      replicas: { wanted: 2, ready: 0 },
    });
    await service.deploy(release(v1), never);
    const { healthChecks, replicas } = service.measure();
    expect(healthChecks.total).toBeGreaterThanOrEqual(2);
    expect(healthChecks.failures).toBe(0);
    expect(replicas).toEqual({ wanted: 2, ready: 2 });
    nth(engine, 0).app.health = 500;
    await until(() => service.ready === 1);
    const after = service.measure();
    expect(after.healthChecks.failures).toBeGreaterThanOrEqual(3);
    expect(after.healthChecks.total).toBeGreaterThan(healthChecks.total + 3);
    expect(after.replicas).toEqual({ wanted: 2, ready: 1 });
  });

  it("has the output of its replicas, without secrets and colours", async () => {
    const { service, release, engine } = await startService({ replicas: 2 });
    expect(await service.lastLines(never)).toEqual([]);
    await service.deploy(release(v1), never);
    const { lastLines } = engine;
    engine.lastLines = async (id, ...call) => [
      ...(await lastLines(id, ...call)),
      `\u001b[31m${id} uses hunter2`,
    ];
    const [first, second] = engine.running().map(({ info }) => info);
    expect(await service.lastLines(never)).toEqual([
      `${first?.name}: ${first?.id} uses …`,
      `${second?.name}: ${second?.id} uses …`,
    ]);
  });

  it("drains the connections of an old replica before it stops", async () => {
    const { service, release, engine, port } = await startService({ drainMs: 400_000 });
    await service.deploy(release(v1), never);
    const socket = await kept(port);
    await service.deploy(release(v2), never);
    // Concurrent requests, because a single one would go to the replica with fewer connections.
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(port)));
    expect(new Set(answers)).toEqual(new Set(["v1.1.0"]));
    expect(engine.calls.filter((call) => call.startsWith("stop"))).toEqual([]);
    socket.destroy();
    await until(() => engine.running().length === 1);
    expect(nth(engine, 0).late).toBe(0);
  });

  it("reports the releases of all running containers, including draining ones", async () => {
    const { service, release, engine, port } = await startService({ drainMs: 400_000 });
    await service.deploy(release(v1), never);
    const socket = await kept(port);
    await service.deploy(release(v2), never);
    expect(await service.inUse()).toEqual(new Set([v1.directory, v2.directory]));
    socket.destroy();
    await until(() => engine.running().length === 1);
    await expect.poll(() => service.inUse()).toEqual(new Set([v2.directory]));
  });

  it("stops an old replica after the drain time, and reports how many connections were cut", async () => {
    const { service, release, engine, port, events } = await startService({ drainMs: 2_000 });
    await service.deploy(release(v1), never);
    const socket = await kept(port);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    await service.deploy(release(v2), never);
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
  ] as const)("keeps the old replicas if $step fails", async ({ arrange, app, says }) => {
    const { service, release, engine, port, versions } = await startService({
      replicas: 2,
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 6_000 },
    });
    await service.deploy(release(v1), never);
    const clients = crowd(port);
    if (arrange !== undefined) engine.fail.set(arrange, new Error(`${arrange} broke`));
    await expect(service.deploy(release(v2, app), never)).rejects.toThrow(says);
    engine.fail.clear();
    await service.ensureRunning(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0");
    expect(Object.keys(await clients.stop())).toEqual(["v1.0.0"]);
    expect(engine.running()).toEqual([nth(engine, 0), nth(engine, 1)]);
  });

  it("without a path waits until the port has stayed open, and fails if the app exits meanwhile", async () => {
    const { service, release, engine } = await startService({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 60_000 },
    });
    await service.deploy(release(v1), never);
    const failed = expect(service.deploy(release(v2), never)).rejects.toThrow(
      "exit code 9; it wrote: panic: it crashed",
    );
    await until(() => engine.containers.length === 2);
    await nth(engine, 1).crash(9);
    await failed;
  });

  it("checks a replica again before it is added, even without an event", async () => {
    const { service, release, engine } = await startService();
    engine.emitsEvents = false;
    const failed = service.deploy(release(v1, { endsOnceHealthy: true }), never);
    await expect(failed).rejects.toThrow("exit code 5");
  });

  it("without a path does not mistake the engine's forwarder for the app", async () => {
    const { service, release } = await startService({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 8_000 },
    });
    await expect(service.deploy(release(v1, { listens: false }), never)).rejects.toThrow(
      "was accepted and closed at once",
    );
  });

  it("names the exposed port if no app answers on another one", async () => {
    const { service, release, shape } = await startService({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 8_000 },
    });
    shape.containerPort = 3999;
    await expect(service.deploy(release(v1, { listens: false }), never)).rejects.toThrow(
      "the image exposes 80, not 3999: check --port and --container-port",
    );
  });

  it("redacts secrets in the last lines", async () => {
    const { service, release } = await startService();
    const failed = service.deploy(release(v1, { version: "hunter2", exitsWith: 1 }), never);
    await expect(failed).rejects.toThrow("panic: … has no database");
  });

  it("without a path uses the image's HEALTHCHECK, and adds one interval to the timeout", async () => {
    const { service, release, engine } = await startService({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 1_000 },
    });
    const healthcheck = { intervalMs: 600_000 };
    const first = service.deploy(release(v1, {}, { healthcheck }), never);
    await until(() => engine.containers.length === 1);
    nth(engine, 0).setHealth("healthy");
    await first;
    const failed = expect(service.deploy(release(v2, {}, { healthcheck }), never)).rejects.toThrow(
      "its HEALTHCHECK says that it is unhealthy",
    );
    await until(() => engine.containers.length === 2);
    nth(engine, 1).setHealth("unhealthy");
    await failed;
  });

  it("fails at once if a new replica exits during a rollout", async () => {
    const { service, release, engine, port, versions } = await startService({ replicas: 3 });
    await service.deploy(release(v1), never);
    const clients = crowd(port);
    const start = engine.start;
    engine.start = async (spec, signal) => {
      // The first new replica is behind the proxy now.
      if (engine.containers.length === 4) await nth(engine, 3).crash(2);
      return start(spec, signal);
    };
    const failure = await service.deploy(release(v2), never).catch((error: unknown) => error);
    expect(String(failure)).toContain("exit code 2 after it had taken over");
    await service.ensureRunning(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0,v1.0.0");
    await clients.stop();
  });

  it("removes starting replicas if it is aborted", async () => {
    const { service, release, engine, versions } = await startService();
    await service.deploy(release(v1), never);
    const stop = new AbortController();
    const replaced = service.deploy(release(v2, { health: 503 }), stop.signal);
    await until(() => engine.containers.length === 2);
    stop.abort(new Error("enough"));
    await expect(replaced).rejects.toThrow("enough");
    await until(() => versions().join() === "v1.0.0");
  });
});

describe("ContainerService.bake", () => {
  it("fails if a new replica exits, and the rollback reuses replicas that are still draining", async () => {
    const { service, release, engine, port, versions } = await startService({ drainMs: 400_000 });
    await service.deploy(release(v1), never);
    const socket = await kept(port);
    await service.deploy(release(v2), never);
    const baked = expect(service.bake(v2, 600_000, never)).rejects.toThrow(
      "exit code 7 after it had taken over; it wrote: panic: it crashed",
    );
    await nth(engine, 1).crash(7);
    await baked;
    await service.ensureRunning(v1);
    expect(await ask(port)).toBe("v1.0.0");
    expect(engine.containers).toHaveLength(2);
    expect(versions()).toEqual(["v1.0.0"]);
    socket.destroy();
  });

  it("fails if a new replica becomes unhealthy, and the rollback replaces it", async () => {
    const { service, release, engine, port, versions } = await startService({ replicas: 2 });
    await service.deploy(release(v1), never);
    await service.deploy(release(v2), never);
    await until(() => versions().join() === "v1.1.0,v1.1.0");
    const clients = crowd(port);
    const baked = expect(service.bake(v2, 600_000, never)).rejects.toThrow(
      "GET /health answered 500",
    );
    nth(engine, 2).app.health = 500;
    await baked;
    await service.ensureRunning(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0");
    expect(Object.keys(await clients.stop()).sort()).toEqual(["v1.0.0", "v1.1.0"]);
  });

  it("after a failure sends clients to the old release once one of its replicas serves", async () => {
    const { service, release, engine, port } = await startService({ replicas: 2, surge: 1 });
    await service.deploy(release(v1), never);
    await service.deploy(release(v2), never);
    await until(() => engine.running().length === 2);
    const sockets = await Promise.all([1, 2].map(() => kept(port)));
    const baked = expect(service.bake(v2, 600_000, never)).rejects.toThrow("answered 500");
    nth(engine, 2).app.health = 500;
    await baked;
    let wasTrusted = false;
    const start = engine.start;
    engine.start = async (spec, signal) => {
      if (engine.running().some(({ app }) => app.version === "v1.0.0")) {
        // The second replica of the old release is starting.
        const answers = await Promise.all(Array.from({ length: 10 }, () => ask(port)));
        wasTrusted ||= answers.includes("v1.1.0");
      }
      return start(spec, signal);
    };
    await service.ensureRunning(v1);
    expect(wasTrusted).toBe(false);
    expect(engine.containers.length).toBeGreaterThanOrEqual(6);
    for (const socket of sockets) socket.destroy();
  });

  it("does not replace a lost replica, which the rollback is for", async () => {
    const { service, release, engine, events } = await startService({
      ...shortPauses(),
      replicas: 2,
    });
    await service.deploy(release(v1), never);
    await nth(engine, 0).crash();
    await until(() => eventsOf(events, "replica-lost").length === 1);
    const checks = (): number => engine.calls.filter((call) => call === "list").length;
    const before = checks();
    await until(() => checks() > before + 3);
    expect(engine.containers).toHaveLength(2);
    expect(only(eventsOf(events, "replica-lost")).replaceInMs).toBeUndefined();
    await expect(service.bake(v1, 1e9, never)).rejects.toThrow("exit code 1");
  });

  it("is not failed by another release that cannot be started", async () => {
    const { service, release, engine, events, versions } = await startService();
    await service.deploy(release(v1), never);
    await service.deploy(release(v2), never);
    await until(() => versions().join() === "v1.1.0");
    const over = new AbortController();
    const baking = service.bake(v2, 1e9, over.signal);
    release(v1, { exitsWith: 1 });
    engine.forget("registry.test/app@v1.0.0");
    await service.ensureRunning(v1);
    expect(only(eventsOf(events, "start-failed")).tag).toBe("v1.0.0");
    over.abort();
    expect(await baking).toBe("proven");
  });

  it("fails if new options make its own release exit, which is not retried", async () => {
    const { service, release, engine, events, shape } = await startService();
    await service.deploy(release(v1), never);
    const baked = expect(service.bake(v1, 1e9, never)).rejects.toThrow("exit code 1");
    release(v1, { exitsWith: 1 });
    engine.forget("registry.test/app@v1.0.0");
    shape.config = "c2";
    await service.ensureRunning(v1);
    await baked;
    expect(eventsOf(events, "start-failed")).toEqual([]);
  });

  it("ends at once if dewy is stopping", async () => {
    const { service, release } = await startService();
    await service.deploy(release(v1), never);
    await service.bake(v1, 1e9, AbortSignal.abort());
  });
});

describe("a deploy during the bake of another release", () => {
  const quick = { path: "/health", proxyProtocol: undefined, timeoutMs: 20_000 };

  it("supersedes that bake, and a failure rolls back to the last good release", async () => {
    const { service, release, engine, port, versions } = await startService({ replicas: 2 });
    await service.deploy(release(v1), never);
    expect(await service.bake(v1, 0, never)).toBe("proven");
    await service.deploy(release(v2), never);
    const baking = service.bake(v2, 1e9, never);
    await service.deploy(release(v3), never);
    expect(await baking).toBe("superseded");
    expect(await ask(port)).toBe("v1.2.0");
    const failed = expect(service.bake(v3, 1e9, never)).rejects.toThrow("exit code 7");
    await until(() => versions().join() === "v1.2.0,v1.2.0");
    await nth(engine, 4).crash(7);
    await failed;
    await service.rollback(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0");
  });

  it("keeps that bake if it does not become healthy", async () => {
    const { service, release, engine, versions } = await startService({ health: quick });
    await service.deploy(release(v1), never);
    await service.deploy(release(v2), never);
    const baking = service.bake(v2, 1e9, never);
    await expect(service.deploy(release(v3, { health: 503 }), never)).rejects.toThrow("503");
    await service.rollback(v2);
    await until(() => versions().join() === "v1.1.0");
    const failed = expect(baking).rejects.toThrow("exit code 7 after it had taken over");
    await nth(engine, 1).crash(7);
    await failed;
  });

  it("lets that bake fail meanwhile, and can be aborted", async () => {
    const { service, release, engine, versions } = await startService();
    await service.deploy(release(v1), never);
    await service.deploy(release(v2), never);
    const baking = expect(service.bake(v2, 1e9, never)).rejects.toThrow("exit code 7");
    const given = new AbortController();
    const rolling = service.deploy(release(v3, { health: 503 }), given.signal);
    const gone = expect(rolling).rejects.toThrow("aborted");
    await until(() => versions().includes("v1.2.0"));
    await nth(engine, 1).crash(7);
    await baking;
    given.abort(new HostError("aborted"));
    await gone;
    await service.rollback(v1);
    await until(() => versions().join() === "v1.0.0");
  });

  it("does not fail that bake if it fails because of the engine", async () => {
    const { service, release, engine, versions } = await startService({ replicas: 2, surge: 0 });
    await service.deploy(release(v1), never);
    await service.deploy(release(v2), never);
    await until(() => versions().join() === "v1.1.0,v1.1.0");
    const over = new AbortController();
    const baking = service.bake(v2, 1e9, over.signal);
    engine.fail.set("start", unreachable());
    await expect(service.deploy(release(v3), never)).rejects.toThrow("refused");
    await service.rollback(v2);
    expect(versions()).toEqual(["v1.1.0"]);
    engine.fail.clear();
    await until(() => versions().join() === "v1.1.0,v1.1.0");
    over.abort();
    expect(await baking).toBe("proven");
  });
});

describe("ContainerService.rollback", () => {
  it("does nothing if all replicas of the release serve", async () => {
    const { service, release, engine } = await startService({ replicas: 2 });
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    const changes = (): readonly string[] => engine.calls.filter((call) => /^(im|st)/.test(call));
    const before = changes();
    await service.rollback(v1);
    expect(changes()).toEqual(before);
  });
});

describe("ContainerService.adopt", () => {
  it("adds running containers to the proxy, and starts none if they match", async () => {
    const first = await startService({ replicas: 2 });
    await first.service.deploy(first.release(v1), never);
    await first.service.stop({ keep: true });
    const second = await first.restarted();
    expect(await ask(second.port)).toBe("v1.0.0");
    await second.service.ensureRunning(v1);
    expect(second.engine.containers).toHaveLength(2);
    expect(only(eventsOf(second.events, "containers-adopted")).tags).toEqual(["v1.0.0"]);
  });

  it("continues an interrupted rollout", async () => {
    const first = await startService({ replicas: 3 });
    const { engine } = first;
    await first.service.deploy(first.release(v1), never);
    first.release(v2);
    const stop = new AbortController();
    const start = engine.start;
    engine.start = async (spec, signal) => {
      if (engine.containers.length === 5) stop.abort(new Error("killed"));
      return start(spec, signal);
    };
    await expect(first.service.deploy(v2, stop.signal)).rejects.toThrow("killed");
    engine.start = start;
    await first.service.stop({ keep: true });
    const second = await first.restarted();
    const clients = crowd(second.port);
    await second.service.deploy(v2, never);
    await until(() => second.versions().join() === "v1.1.0,v1.1.0,v1.1.0");
    const answers = Object.keys(await clients.stop());
    expect(answers.filter((answer) => !/^v1\.[01]\.0$/.test(answer))).toEqual([]);
    expect(engine.containers.filter(({ app }) => app.version === "v1.1.0").length).toBeLessThan(6);
  });

  it("replaces unlabelled containers without a gap, and keeps them if that fails", async () => {
    const { engine, service, release, versions, restarted } = await startService();
    await service.deploy(release(v1), never);
    await service.stop({ keep: true });
    const strange = nth(engine, 0).info;
    strange.labels = { "dewy.managed": "true", "dewy.app": "app", "dewy.version": "v0.9.0" };
    const second = await restarted({
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 4_000 },
    });
    expect(await ask(second.port)).toBe("v1.0.0");
    await expect(second.service.deploy(release(v2, { health: 500 }), never)).rejects.toThrow(
      "answered 500",
    );
    await second.service.end();
    expect(await ask(second.port)).toBe("v1.0.0");
    await second.service.deploy(release(v3), never);
    await until(() => versions().join() === "v1.2.0");
  });

  it("does not send clients to a container that is still starting", async () => {
    const first = await startService();
    await first.service.deploy(first.release(v1), never);
    const stop = new AbortController();
    const replaced = first.service.deploy(first.release(v2, { listens: false }), stop.signal);
    await until(() => first.engine.containers.length === 2);
    const second = await first.restarted();
    for (let count = 0; count < 20; count += 1) expect(await ask(second.port)).toBe("v1.0.0");
    stop.abort(new Error("enough"));
    await replaced.catch(() => {});
  });

  it("stops orphans, including those that appear later", async () => {
    const first = await startService();
    const { engine } = first;
    await first.service.deploy(first.release(v1), never);
    await first.service.stop({ keep: true });
    const second = await first.restarted();
    await second.service.ensureRunning(v1);
    const { spec } = nth(engine, 0);
    await engine.start({ ...spec, name: "app-late-0" }, never);
    await until(() => nth(engine, 1).info.status === "exited");
    expect(nth(engine, 1).answered).toBe(0);
    expect(engine.running()).toEqual([nth(engine, 0)]);
    await engine.start({ ...spec, name: "app-late-1" }, never);
    await second.service.stop({ keep: false });
    expect(await engine.list({}, never)).toEqual([]);
  });

  it("applies changed flags and a changed number of replicas", async () => {
    const first = await startService({ replicas: 3 });
    await first.service.deploy(first.release(v1), never);
    await first.service.stop({ keep: true });
    const fewer = await first.restarted({ replicas: 1 });
    await fewer.service.ensureRunning(v1);
    await until(() => fewer.versions().length === 1);
    expect(fewer.engine.containers).toHaveLength(3);
    await fewer.service.stop({ keep: true });
    const changed = await fewer.restarted({ replicas: 2 });
    changed.shape.config = "c2";
    await changed.service.ensureRunning(v1);
    await until(() => changed.versions().length === 2);
    const configs = changed.engine.running().map(({ info }) => info.labels["dewy.config"]);
    expect(configs).toEqual(["c2", "c2"]);
  });

  it("removes stopped containers of this app only", async () => {
    const { engine, service, release } = await startService();
    await service.deploy(release(v1), never);
    await service.stop({ keep: true });
    await nth(engine, 0).crash();
    const other = await startService({ app: "other" }, engine);
    await other.service.deploy(v1, never);
    await other.service.stop({ keep: true });
    await nth(engine, 1).crash();
    const again = await startService({}, engine);
    await again.service.ensureRunning(v1);
    const listed = async (): Promise<readonly string[]> =>
      (await engine.list({}, never)).map(({ id }) => id);
    await expect.poll(listed).toEqual(["id2", "id3"]);
  });
});

describe("ContainerService: recovery", () => {
  it("removes an exited replica from the proxy at once, reports its last lines, and replaces it", async () => {
    const { service, release, engine, port, versions, events } = await startService({
      replicas: 2,
    });
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    await nth(engine, 0).crash(4);
    const clients = crowd(port);
    await until(() => engine.containers.length === 3 && versions().length === 2);
    expect(Object.keys(await clients.stop())).toEqual(["v1.0.0"]);
    const lost = only(eventsOf(events, "replica-lost"));
    expect(lost).toMatchObject({ tag: "v1.0.0", reason: "it exited with exit code 4" });
    expect(lost.lastLines).toEqual(["panic: it crashed"]);
    expect(lost.replaceInMs).toBeGreaterThan(0);
  });

  it("notices an exit without an event", async () => {
    const { service, release, engine } = await startService();
    engine.emitsEvents = false;
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    await nth(engine, 0).crash();
    await until(() => engine.containers.length === 2);
  });

  it("replaces an unhealthy replica, and stops it once the new one serves", async () => {
    const { service, release, engine, port, versions } = await startService({ replicas: 2 });
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    const clients = crowd(port);
    nth(engine, 0).app.health = 500;
    await until(() => engine.containers.length === 3 && versions().length === 2);
    expect(engine.running()).not.toContain(nth(engine, 0));
    expect(Object.keys(await clients.stop())).toEqual(["v1.0.0"]);
  });

  it("sends clients to unhealthy replicas if there are no healthy ones", async () => {
    const { service, release, engine, port, events } = await startService({ replicas: 2 });
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    engine.fail.set("start", unreachable());
    for (const container of engine.containers) container.app.health = 500;
    await until(() => eventsOf(events, "replica-lost").length === 2);
    expect(await ask(port)).toBe("v1.0.0");
    for (const container of engine.containers) container.app.health = 200;
    engine.fail.clear();
  });

  it("backs off, and reports a crash loop once", async () => {
    const { service, release, engine, events, loops } = await startService();
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
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
    await service.ensureRunning(release(v2));
    expect(loops).toHaveLength(1);
  });

  it("does not report a crash loop if replicas run but are unhealthy", async () => {
    const { service, release, engine, events, loops } = await startService({
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 1_000 },
    });
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    engine.publish("registry.test/app@v1.0.0", { version: "v1.0.0", health: 503 });
    engine.forget("registry.test/app@v1.0.0");
    nth(engine, 0).app.health = 503;
    await until(() => eventsOf(events, "start-failed").length === 5);
    expect(loops).toEqual([]);
    expect(engine.running()).toContain(nth(engine, 0));
  });

  it("changes nothing while the engine is unreachable, and warns once", async () => {
    const { service, release, engine, port, events, loops } = await startService();
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    for (const operation of ["list", "watch", "inspect", "start"] as const) {
      engine.fail.set(operation, unreachable());
    }
    engine.dropWatchers();
    const looks = (): number => engine.calls.filter((call) => call === "list").length;
    const before = looks();
    await until(() => looks() > before + 3);
    expect(await ask(port)).toBe("v1.0.0");
    const warnings = eventsOf(events, "warning").filter(({ message }) =>
      message.includes("engine"),
    );
    expect(warnings).toHaveLength(1);
    engine.fail.clear();
    await nth(engine, 0).crash();
    await until(() => engine.running().length === 1);
    expect(loops).toEqual([]);
  });

  it("pulls a removed image again", async () => {
    const { service, release, engine } = await startService();
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    engine.forget("registry.test/app@v1.0.0");
    await nth(engine, 0).crash();
    await until(() => engine.running().length === 1);
    expect(engine.calls.filter((call) => call.startsWith("pull"))).toHaveLength(2);
  });

  it("retries to remove a container if the engine fails", async () => {
    const { service, release, engine, events } = await startService();
    await service.deploy(release(v1), never);
    engine.fail.set("remove", new Error("device or resource busy"));
    await service.deploy(release(v2), never);
    await until(() => eventsOf(events, "warning").length > 0);
    engine.fail.clear();
    await until(() => eventsOf(events, "replica-retired").length === 1);
    expect(await engine.list({}, never)).toHaveLength(1);
  });
});

describe("ContainerService.restart", () => {
  it("replaces all replicas of the release without a gap", async () => {
    const { service, release, engine, port, versions } = await startService({ replicas: 2 });
    await service.deploy(release(v1), never);
    const clients = crowd(port);
    await service.restart(never);
    await until(() => versions().length === 2);
    expect(Object.keys(await clients.stop())).toEqual(["v1.0.0"]);
    expect(engine.running()).toEqual([nth(engine, 2), nth(engine, 3)]);
  });

  it("starts a release at once that kept crashing and has no earlier one to go back to", async () => {
    const { service, release, engine, loops, versions } = await startService();
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    const pull = { image: "registry.test/app@v1.0.0", credential: undefined, plainHttp: true };
    release(v1, { exitsWith: 1 });
    await engine.pull({ ...pull, signal: never });
    await nth(engine, 0).crash();
    await until(() => loops.length === 1);
    await expect(service.restart(never)).rejects.toThrow("exit code 1");
    release(v1);
    await engine.pull({ ...pull, signal: never });
    await service.restart(never);
    expect(versions()).toEqual(["v1.0.0"]);
    expect(service.report().health).toBe("serving");
  });
});

describe("ContainerService: an aborted deploy", () => {
  it("does not count as a failure of the release", async () => {
    const { service, release, engine, versions } = await startService();
    await service.deploy(release(v1), never);
    const stop = new AbortController();
    const deploy = service.deploy(release(v2, { health: 503 }), stop.signal);
    await until(() => engine.containers.length === 2);
    stop.abort(new Error("enough"));
    await expect(deploy).rejects.toThrow("enough");
    release(v2);
    engine.forget("registry.test/app@v1.1.0");
    await service.restart(never);
    await until(() => versions().join() === "v1.1.0");
  });
});

describe("ContainerService.end", () => {
  it("drains the release, and does not start it again", async () => {
    const { service, release, engine } = await startService(shortPauses());
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    await service.end();
    await until(() => engine.running().length === 0);
    expect(service.release).toBeUndefined();
    const checks = (): number => engine.calls.filter((call) => call === "list").length;
    const before = checks();
    await until(() => checks() > before + 3);
    expect(engine.containers).toHaveLength(1);
  });

  it("takes precedence over a recovery that was scheduled before it", async () => {
    const { service, release, engine, events } = await startService();
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    const { start } = engine;
    const gate = new AbortController();
    engine.start = async (spec, signal) => {
      await until(() => gate.signal.aborted);
      return start(spec, signal);
    };
    const restarted = service.restart(never);
    const ended = service.end();
    await nth(engine, 0).crash();
    await until(() => eventsOf(events, "replica-lost").length === 1);
    await fastClock().sleep(4_000);
    gate.abort();
    await restarted;
    await ended;
    await until(() => engine.running().length === 0);
    await fastClock().sleep(4_000);
    expect(engine.containers).toHaveLength(2);
  });
});

describe("ContainerService.stop", () => {
  it("drains the requests in flight, then stops and removes all containers", async () => {
    const { service, release, engine, port } = await startService({ replicas: 2 });
    await service.deploy(release(v1), never);
    const socket = connect(port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: app\r\n");
    await new Promise((resolve) => socket.once("connect", resolve));
    await until(() => engine.containers.some(({ info }) => info.status === "running"));
    const stopped = service.stop({ keep: false });
    const answer = new Promise((resolve) =>
      socket.once("data", (chunk) => resolve(String(chunk).split("\r\n\r\n")[1])),
    );
    socket.end("\r\n");
    expect(await answer).toBe("v1.0.0");
    await stopped;
    expect(engine.running()).toEqual([]);
    expect(await engine.list({}, never)).toEqual([]);
  });

  it("keeps the containers with keep", async () => {
    const { service, release, versions } = await startService({ replicas: 2 });
    await service.deploy(release(v1), never);
    await service.stop({ keep: true });
    expect(versions()).toEqual(["v1.0.0", "v1.0.0"]);
  });
});

/** Opens a connection that stays open after its first response. */
async function kept(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
  await new Promise((resolve) => socket.once("data", resolve));
  // The proxy cannot move a connection in the middle of a request.
  socket.write("GET /");
  return socket;
}

describe("ContainerService.report", () => {
  it("lists the replicas, and says whether enough of them serve", async () => {
    const { service, release, engine } = await startService({ replicas: 2 });
    expect(service.report()).toEqual({ health: "down", replicas: [], wanted: 2, restarts: 0 });
    const healths: string[] = [];
    const { start } = engine;
    engine.start = async (spec, signal) => {
      healths.push(service.report().health);
      return start(spec, signal);
    };
    await service.deploy(release(v1), never);
    expect(healths).toEqual(["starting", expect.stringMatching(/^(starting|degraded)$/)]);
    expect(service.report()).toMatchObject({ health: "serving", wanted: 2, restarts: 0 });
    expect(service.report().replicas).toEqual(
      engine.running().map(({ info }) => ({
        container: info.name,
        tag: "v1.0.0",
        state: "serving",
        address: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        since: expect.stringMatching(/Z$/),
      })),
    );
  });
});
