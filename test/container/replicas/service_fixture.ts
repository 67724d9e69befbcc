import { connect } from "node:net";
import { onTestFinished } from "vitest";
import type { EngineImage } from "../../../src/container/engine/engine.ts";
import type { Route } from "../../../src/container/replicas/backends.ts";
import {
  ContainerService,
  type ContainerServiceOptions,
} from "../../../src/container/replicas/container_service.ts";
import type { PrepareRelease } from "../../../src/container/replicas/prepare_release.ts";
import type { Clock } from "../../../src/core/clock.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { AppRelease } from "../../../src/deployers/runner.ts";
import { startTcpProxy } from "../../../src/host/proxy/tcp_proxy.ts";
import {
  type FakeApp,
  type FakeContainer,
  type FakeEngine,
  fakeEngine,
} from "../../fakes/engine.ts";

export const v1: AppRelease = { tag: "v1.0.0", directory: "20260101T000000Z" };
export const v2: AppRelease = { tag: "v1.1.0", directory: "20260102T000000Z" };
export const v3: AppRelease = { tag: "v1.2.0", directory: "20260103T000000Z" };
export const never: AbortSignal = new AbortController().signal;

/** A service behind a real proxy. */
export interface ServiceFixture {
  engine: FakeEngine;
  service: ContainerService;
  events: DewyEvent[];
  /** The reported crash loops. */
  loops: string[];
  /** The port of the proxy. */
  port: number;
  /** Stops dewy like SIGTERM. */
  stopping: AbortController;
  /** Publishes the image of a release. */
  release(release: AppRelease, app?: Partial<FakeApp>, image?: Partial<EngineImage>): AppRelease;
  /** The flags that shape a container. */
  shape: { config: string; containerPort: number };
  /** Starts another service on the same engine, as after a restart of dewy. */
  restarted(over?: Partial<ContainerServiceOptions>): Promise<ServiceFixture>;
  /** The versions of the running containers, sorted. */
  versions(): readonly string[];
}

/** A clock that runs at twenty times the normal speed, or at another one. */
export function fastClock(speed = 20): Clock {
  const start = Date.now();
  return {
    now: () => start + (Date.now() - start) * speed,
    monotonic: () => performance.now() * speed,
    sleep: (ms, signal) => systemClock.sleep(ms / speed, signal),
  };
}

/** Options for tests that wait for pauses: these pass faster, and a slow machine still has time to answer. */
export function shortPauses(): Pick<ContainerServiceOptions, "clock" | "health"> {
  const health = { path: "/health", proxyProtocol: undefined, timeoutMs: 500_000 };
  return { clock: fastClock(200), health };
}

/** Starts a service, and stops it after the test. */
export async function startService(
  over: Partial<ContainerServiceOptions> = {},
  engine: FakeEngine = fakeEngine(),
): Promise<ServiceFixture> {
  const events: DewyEvent[] = [];
  const loops: string[] = [];
  const stopping = new AbortController();
  const clock = fastClock();
  const emit = (event: DewyEvent): void => void events.push(event);
  const proxy = await startTcpProxy({
    listen: { host: "127.0.0.1", port: 0 },
    holdMs: 200_000,
    clock,
    emit,
  });
  const shape = { config: "c1", containerPort: 80 };
  const routes: Route[] = [{ proxy, containerPort: shape.containerPort }];
  const service = new ContainerService({
    engine,
    app: "app",
    root: "/var/lib/dewy/app",
    proxy: {
      routes: () => routes,
      open: async () => {},
      close: (drainMs) => proxy.close({ drainMs }),
    },
    prepare: prepareFrom(engine, shape),
    replicas: 1,
    surge: 1,
    health: { path: "/health", proxyProtocol: undefined, timeoutMs: 20_000 },
    redact: (line) => line.replaceAll("hunter2", "…"),
    drainMs: 20_000,
    stopTimeoutMs: 10_000,
    onCrashLoop: ({ release, crashes, reason }) =>
      loops.push(`${release.tag}: ${crashes} times, last ${reason}`),
    stopping: stopping.signal,
    clock,
    emit,
    ...over,
  });
  onTestFinished(async () => {
    stopping.abort();
    await service.stop({ keep: true });
    await engine.close();
  });
  await service.adopt();
  return {
    engine,
    service,
    events,
    loops,
    port: proxy.address.port,
    stopping,
    shape,
    release: (release, app, image) => {
      engine.publish(imageOf(release), { version: release.tag, ...app }, image);
      return release;
    },
    restarted: (again = {}) => startService({ ...over, ...again }, engine),
    versions: () =>
      engine
        .running()
        .map(({ app }) => app.version)
        .sort(),
  };
}

function imageOf({ tag }: AppRelease): string {
  return `registry.test/app@${tag}`;
}

function prepareFrom(engine: FakeEngine, shape: ServiceFixture["shape"]): PrepareRelease {
  return async (release, signal) => {
    const image = imageOf(release);
    let found = await engine.image(image, signal);
    if (found === undefined) {
      await engine.pull({ image, credential: undefined, plainHttp: true, signal });
      found = await engine.image(image, signal);
    }
    const { containerPort, config } = shape;
    return {
      ...release,
      spec: { image, ports: [containerPort], user: undefined, args: [], command: [] },
      containerPorts: [containerPort],
      exposedPorts: found?.exposedPorts ?? [],
      config,
    };
  };
}

/** Sends a request over a new connection, and returns the body or the error. */
export function ask(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.on("error", (error) => resolve(error.message));
    socket.on("close", () => resolve(received.split("\r\n\r\n")[1] ?? "closed"));
    socket.end("GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
  });
}

/** Clients that send requests without a pause. */
export interface Crowd {
  /** Returns the count of each response. */
  stop(): Promise<Record<string, number>>;
}

/** Starts three clients, with one connection per request. */
export function crowd(port: number): Crowd {
  let isOver = false;
  const answers: Record<string, number> = {};
  const clients = Array.from({ length: 3 }, async () => {
    while (!isOver) {
      const answer = await ask(port);
      answers[answer] = (answers[answer] ?? 0) + 1;
    }
  });
  return {
    stop: async () => {
      isOver = true;
      await Promise.all(clients);
      return answers;
    },
  };
}

export async function until(condition: () => boolean, what = "it did not come"): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(what);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function only<T>(all: readonly T[]): T {
  const [first] = all;
  if (first === undefined || all.length !== 1) throw new Error(`expected one, found ${all.length}`);
  return first;
}

/** The container at an index, oldest first. */
export function nth(engine: FakeEngine, index: number): FakeContainer {
  const found = engine.containers[index];
  if (found === undefined) throw new Error(`there is no container ${index}`);
  return found;
}
