import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { DewyError, HostError } from "../../../src/core/error.ts";
import { eventsOf } from "../../deploy/world.ts";
import {
  type FakeApp,
  type FakeContainer,
  type FakeEngine,
  unreachable,
} from "../../fakes/engine.ts";
import {
  ask,
  fastClock,
  never,
  nth,
  only,
  shortPauses,
  startService,
  until,
  v1,
  v2,
} from "./service_fixture.ts";

describe("a rollout", () => {
  it("removes the whole batch if a healthy replica exits before the others are healthy", async () => {
    const { service, release, engine, versions } = await startService({ replicas: 3 });
    release(v1);
    const start = engine.start;
    engine.start = async (spec, signal) => {
      const id = await start(spec, signal);
      if (engine.containers.length > 1) only(engine.containers.slice(-1)).app.health = 503;
      return id;
    };
    const failed = expect(service.deploy(v1, never)).rejects.toThrow("exit code 5");
    const looks = (): number => engine.calls.filter((call) => call === "inspect id1").length;
    await until(() => engine.containers.length === 3 && looks() > 1);
    await nth(engine, 0).crash(5);
    for (const container of engine.containers) container.app.health = 200;
    await failed;
    await until(() => engine.running().length === 0, "the others of the batch still run");
    engine.start = start;
    await service.deploy(v1, never);
    expect(versions()).toEqual(["v1.0.0", "v1.0.0", "v1.0.0"]);
  });

  it("that fails is not repeated by a restart requested meanwhile", async () => {
    const { service, release, engine, versions } = await startService();
    await service.deploy(release(v1), never);
    const failed = expect(service.deploy(release(v2, { health: 503 }), never)).rejects.toThrow();
    await until(() => engine.containers.length === 2);
    const restarted = service.restart(never);
    await nth(engine, 1).crash();
    await failed;
    await service.rollback(v1);
    await restarted;
    await until(() => versions().join() === "v1.0.0");
    expect(engine.containers.filter(({ app }) => app.version === "v1.1.0")).toHaveLength(1);
  });

  it("that fails is not repeated by a recovery scheduled meanwhile", async () => {
    const { service, release, engine, events, versions } = await startService({
      replicas: 2,
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 20_000 },
    });
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    const failed = expect(service.deploy(release(v2, { health: 503 }), never)).rejects.toThrow(
      "503",
    );
    await until(() => engine.containers.length === 3);
    await nth(engine, 0).crash();
    await until(() => eventsOf(events, "replica-lost").length === 1);
    await failed;
    await service.rollback(v1);
    await until(() => versions().join() === "v1.0.0,v1.0.0");
    expect(engine.containers.filter(({ app }) => app.version === "v1.1.0")).toHaveLength(1);
  });

  it("truncates long lines of output", async () => {
    const { service, release } = await startService();
    const version = "x".repeat(1_000_000);
    const error = await service
      .deploy(release(v1, { version, exitsWith: 1 }), never)
      .catch((thrown: unknown) => String(thrown));
    expect(error).toContain("it wrote: panic: xxx");
    expect(String(error).length).toBeLessThan(10_000);
  });

  it("adds the interval of the operator's health check to the timeout", async () => {
    const { service, release, engine } = await startService({
      health: { path: undefined, proxyProtocol: undefined, timeoutMs: 1_000 },
    });
    const { start } = engine;
    engine.start = async (spec, signal) => {
      const id = await start(spec, signal);
      Object.assign(nth(engine, 0).info, { health: "starting", checkEveryMs: 600_000 });
      return id;
    };
    const replaced = service.deploy(release(v1), never);
    await until(() => engine.containers.length === 1);
    await fastClock().sleep(4_000);
    nth(engine, 0).setHealth("healthy");
    await replaced;
  });

  it("blames the engine, not the version, if the engine does not answer", async () => {
    const { service, release, engine } = await startService({
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 8_000 },
    });
    await service.deploy(release(v1), never);
    const { inspect } = engine;
    let isHanging = false;
    engine.inspect = (id, signal) => {
      if (!isHanging) {
        isHanging = id === "id2";
        return inspect(id, signal);
      }
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    };
    const error = await service.deploy(release(v2), never).catch((thrown: unknown) => thrown);
    engine.inspect = inspect;
    expect(String(error)).toContain("the engine has not answered");
    expect(error instanceof DewyError && error.retryable).toBe(true);
  });
});

describe("the fault of a replica that does not become healthy", () => {
  it.each<[string, Partial<FakeApp>, number, string]>([
    ["the app answers 503", { health: 503 }, 80, "release"],
    ["the app does not listen", { listens: false }, 80, "release"],
    [
      "the operator names a port that the image does not expose",
      { listens: false },
      3999,
      "operator",
    ],
  ])("is found if %s", async (_, app, containerPort, fault) => {
    const { service, release, shape } = await startService({
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 6_000 },
    });
    shape.containerPort = containerPort;
    const failed = service.deploy(release(v1, app, { exposedPorts: [80] }), never);
    await expect(failed).rejects.toMatchObject({ fault });
  });

  it("is the host's if none of its ports is published", async () => {
    const { service, release, engine } = await startService({
      health: { path: "/health", proxyProtocol: undefined, timeoutMs: 3_000 },
    });
    const { inspect } = engine;
    engine.inspect = async (id, signal) => {
      const container = await inspect(id, signal);
      return container === undefined ? undefined : { ...container, ports: [] };
    };
    await expect(service.deploy(release(v1), never)).rejects.toMatchObject({ fault: "host" });
  });

  it.each<[string, (engine: FakeEngine) => Promise<unknown>]>([
    ["it is removed", async (engine) => Object.assign(engine, { inspect: async () => undefined })],
    ["it is stopped or killed through the engine", (engine) => nth(engine, 0).signal(137)],
    ["it is paused", async (engine) => Object.assign(nth(engine, 0).info, { status: "paused" })],
    [
      "the engine is restarted",
      (engine) => {
        engine.emitsEvents = false;
        engine.dropWatchers();
        return nth(engine, 0).crash(0);
      },
    ],
  ])("is the host's if %s", async (_, happens) => {
    const { service, release, engine } = await startService();
    const failed = service.deploy(release(v1, { health: 503 }), never);
    const judged = expect(failed).rejects.toMatchObject({ fault: "host" });
    await until(() => engine.containers.length === 1 && engine.calls.includes("inspect id1"));
    await happens(engine);
    await judged;
  });
});

describe("containers that are repeatedly ended from outside", () => {
  it.each<[string, (engine: FakeEngine, container: FakeContainer) => Promise<void>]>([
    ["stopped or killed", async (_, container) => container.signal()],
    [
      "removed",
      async (engine, container) => {
        await container.crash(137);
        await engine.remove(container.info.id, never);
      },
    ],
  ])("are not a crash loop if they are %s", async (_, end) => {
    const { service, release, engine, events, loops } = await startService(shortPauses());
    await service.deploy(release(v1), never);
    await service.bake(v1, 0, never);
    engine.emitsEvents = false;
    for (let count = 1; count <= 6; count += 1) {
      await end(engine, only(engine.running()));
      await until(() => eventsOf(events, "replica-lost").length === count);
      await until(() => service.ready === 1);
    }
    expect(loops).toEqual([]);
  });

  it("are not a crash loop if they never serve", async () => {
    const { service, release, engine, events, loops } = await startService(shortPauses());
    engine.inspect = async () => undefined;
    await service.ensureRunning(release(v1));
    await until(() => eventsOf(events, "start-failed").length >= 6);
    expect(loops).toEqual([]);
  });
});

describe("ContainerService.bake", () => {
  it.each<[string, string, (container: FakeContainer, engine: FakeEngine) => Promise<void>]>([
    ["exits by itself", "release", async (container) => container.crash(6)],
    [
      "runs out of memory",
      "release",
      async (container) => {
        container.info.wasOutOfMemory = true;
        await container.signal(137);
      },
    ],
    ["is stopped or killed through the engine", "host", async (container) => container.signal()],
    [
      "is paused",
      "host",
      async (container) => {
        container.info.status = "paused";
        container.app.health = 503;
      },
    ],
    [
      "is removed",
      "host",
      async (container, engine) => {
        engine.inspect = async () => undefined;
        await container.crash(6);
      },
    ],
  ])("fails with the right fault if a replica %s", async (_, fault, happens) => {
    const { service, release, engine } = await startService();
    await service.deploy(release(v1), never);
    const failed = expect(service.bake(v1, 60_000, never)).rejects.toMatchObject({ fault });
    await happens(nth(engine, 0), engine);
    await failed;
  });

  it("does not blame the release for exits while the engine was unreachable", async () => {
    const { service, release, engine } = await startService();
    await service.deploy(release(v1), never);
    const failed = expect(service.bake(v1, 600_000, never)).rejects.toMatchObject({
      fault: "host",
    });
    for (const operation of ["list", "watch", "inspect"] as const) {
      engine.fail.set(operation, unreachable());
    }
    engine.dropWatchers();
    await nth(engine, 0).crash(143);
    await until(() => service.ready === 0);
    await until(() => engine.calls.at(-1) === "inspect id1");
    engine.fail.clear();
    await failed;
  });

  it("does not count a probe that fails because of this machine", async () => {
    const { service, release, engine } = await startService();
    await service.deploy(release(v1), never);
    const [published] = nth(engine, 0).info.ports;
    if (published === undefined) throw new Error("no port is published");
    // There is no route, as with a misconfigured firewall.
    Object.assign(published, { host: "255.255.255.255" });
    await service.bake(v1, 10_000, never);
    expect(service.ready).toBe(1);
  });

  it("does not end while the exit of a replica is being examined", async () => {
    const { service, release, engine } = await startService();
    await service.deploy(release(v1), never);
    const { lastLines } = engine;
    const answer = new AbortController();
    let isAsked = false;
    engine.lastLines = async (...call) => {
      isAsked = true;
      await until(() => answer.signal.aborted);
      return lastLines(...call);
    };
    let isOver = false;
    const baked = service.bake(v1, 1_000, never).finally(() => {
      isOver = true;
    });
    const failed = expect(baked).rejects.toThrow("exit code 6 after it had taken over");
    await nth(engine, 0).crash(6);
    await until(() => isAsked);
    await fastClock().sleep(4_000);
    expect(isOver).toBe(false);
    answer.abort();
    await failed;
  });
});

describe("a restart of dewy with other options", () => {
  it.each([
    ["the engine refuses", { refused: true }],
    ["the app exits", { exitsWith: 1 }],
  ])(
    "that fails because %s does not mark the version bad, and the old containers keep serving",
    async (_, options) => {
      const first = await startService(shortPauses());
      await first.service.deploy(first.release(v1), never);
      await first.service.stop({ keep: true });
      const second = await first.restarted();
      const { engine, events } = second;
      second.shape.config = "c2";
      const { start } = engine;
      let starts = 0;
      engine.start = async (spec, signal) => {
        starts += 1;
        if ("refused" in options) {
          throw new HostError("network nowhere not found", { retryable: false });
        }
        const id = await start(spec, signal);
        await only(engine.containers.slice(-1)).crash();
        return id;
      };
      await second.service.ensureRunning(v1);
      await until(() => starts >= 7);
      expect(second.loops).toEqual([]);
      expect(eventsOf(events, "start-failed").length).toBeGreaterThan(5);
      expect(await ask(second.port)).toBe("v1.0.0");
      engine.start = start;
      await until(() => second.versions().length === 1 && nth(engine, 0).info.status === "exited");
      expect(engine.running().map(({ info }) => info.labels["dewy.config"])).toEqual(["c2"]);
    },
  );

  it("that the engine refuses does not mark the version bad if no containers run", async () => {
    const { engine, service, release, loops, events } = await startService(shortPauses());
    release(v1);
    engine.fail.set("start", new HostError("no such network", { retryable: false }));
    await service.ensureRunning(v1);
    await until(() => eventsOf(events, "start-failed").length >= 6);
    expect(loops).toEqual([]);
    engine.fail.clear();
  });
});

describe("ContainerService", () => {
  it("does not touch containers of another dewy with the same app name", async () => {
    const mine = await startService(shortPauses());
    const other = await startService({ ...shortPauses(), root: "/srv/other" }, mine.engine);
    const { engine } = mine;
    await mine.service.deploy(mine.release(v1), never);
    await other.service.deploy(v1, never);
    const looks = (): number => engine.calls.filter((call) => call === "list").length;
    const before = looks();
    await until(() => looks() > before + 6);
    expect(engine.containers).toHaveLength(2);
    expect(engine.running()).toHaveLength(2);
    expect(only(eventsOf(mine.events, "warning"))).toMatchObject({
      message: expect.stringContaining("give one of them another --name"),
      fields: { directory: "/srv/other" },
    });
    await mine.service.stop({ keep: false });
    expect(only(engine.running())).toBe(nth(engine, 1));
  });

  it("keeps the drain time if the system clock is put forward", async () => {
    let aheadMs = 0;
    const fast = fastClock();
    const clock = { ...fast, now: () => fast.now() + aheadMs };
    const { service, release, engine, port } = await startService({ clock, drainMs: 3_600_000 });
    await service.deploy(release(v1), never);
    const socket = connect(port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: app\r\n\r\n");
    await new Promise((resolve) => socket.once("data", resolve));
    // The proxy cannot move a connection in the middle of a request.
    socket.write("GET /");
    await service.deploy(release(v2), never);
    aheadMs = 24 * 3_600_000;
    await fast.sleep(2_000);
    expect(engine.running()).toHaveLength(2);
    socket.destroy();
    await until(() => engine.running().length === 1);
  });
});
