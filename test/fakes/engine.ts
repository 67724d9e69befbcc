/**
 * A container engine in memory. Its containers are small HTTP servers on loopback, for use behind
 * the real proxy.
 *
 * @module
 */
import { createServer, type Server, type Socket } from "node:net";
import type {
  ContainerEngine,
  ContainerSpec,
  EngineContainer,
  EngineImage,
  PullOptions,
} from "../../src/container/engine/engine.ts";
import { HostError } from "../../src/core/error.ts";

export interface FakeApp {
  /** The body of its responses. */
  version: string;
  /** The status of `GET /health`. */
  health: number;
  /** Exits with this code when it starts. */
  exitsWith: number | undefined;
  /** Exits after its first health response. */
  endsOnceHealthy: boolean;
  listens: boolean;
  /** Whether it exits on the stop signal. */
  obeys: boolean;
}

export type FailingOperation = Exclude<keyof ContainerEngine, "name">;

export interface FakeContainer {
  readonly info: EngineContainer;
  readonly spec: ContainerSpec;
  readonly app: FakeApp;
  /** The number of requests, without health checks. */
  readonly answered: number;
  /** The number of connections that were open at the stop signal, and of requests after it. */
  readonly late: number;
  crash(exitCode?: number): Promise<void>;
  /** Stops it as `docker stop` and `docker kill` do without dewy. */
  signal(exitCode?: number): Promise<void>;
  /** Sets the status of its HEALTHCHECK. */
  setHealth(health: string): void;
}

export interface FakeEngine extends ContainerEngine {
  /** Makes an image available for pulls, and returns its reference. */
  publish(reference: string, app?: Partial<FakeApp>, image?: Partial<EngineImage>): string;
  /** Every container that was ever started, oldest first. */
  readonly containers: readonly FakeContainer[];
  running(): readonly FakeContainer[];
  /** The names of local images. */
  names(): readonly string[];
  /** Removes a local image. */
  forget(reference: string): void;
  /** The calls so far, such as `start app-1-0`. */
  readonly calls: readonly string[];
  /** The errors of failing operations. */
  readonly fail: Map<FailingOperation, Error>;
  /** Ends the event streams. */
  dropWatchers(): void;
  /** Whether exits emit events. */
  emitsEvents: boolean;
  /** Stops all containers. */
  close(): Promise<void>;
}

interface StoredImage extends EngineImage {
  reference: string;
  app: FakeApp;
}

const HEALTHY_APP: FakeApp = {
  version: "",
  health: 200,
  exitsWith: undefined,
  endsOnceHealthy: false,
  listens: true,
  obeys: true,
};

export function unreachable(): HostError {
  return new HostError("Cannot reach the container engine: connection refused", {
    retryable: true,
  });
}

export function fakeEngine(): FakeEngine {
  const published = new Map<string, StoredImage>();
  const local = new Map<string, StoredImage>();
  const containers: Container[] = [];
  const watchers = new Set<{ onChange: (id: string) => void; drop: (error: Error) => void }>();
  const calls: string[] = [];
  const fail = new Map<FailingOperation, Error>();
  let made = 0;

  const asked = (operation: FailingOperation, what: string, signal: AbortSignal): void => {
    calls.push(`${operation} ${what}`.trim());
    signal.throwIfAborted();
    const error = fail.get(operation);
    if (error !== undefined) throw error;
  };
  const tell = (id: string): void => {
    if (engine.emitsEvents) for (const { onChange } of [...watchers]) onChange(id);
  };
  const find = (id: string): Container | undefined =>
    containers.find(({ info, isRemoved }) => info.id === id && !isRemoved);
  const imageOf = (reference: string): StoredImage | undefined =>
    local.get(reference) ?? [...local.values()].find(({ id }) => id === reference);

  const engine: FakeEngine = {
    name: "docker",
    emitsEvents: true,
    containers,
    calls,
    fail,
    publish(reference, app = {}, image = {}) {
      made += 1;
      published.set(reference, {
        id: `sha256:image${made}`,
        exposedPorts: [80],
        user: "",
        healthcheck: undefined,
        names: [],
        ...image,
        reference,
        app: { ...HEALTHY_APP, version: reference, ...app },
      });
      return reference;
    },
    running: () => containers.filter(({ info }) => info.status === "running"),
    names: () => [...local.keys()],
    forget: (reference) => {
      local.delete(reference);
    },
    dropWatchers() {
      for (const { drop } of [...watchers]) drop(new Error("the stream ended"));
    },
    async close() {
      await Promise.all(containers.map((container) => container.end(0)));
    },
    async describe(signal) {
      asked("describe", "", signal);
      return "Fake 1.0";
    },
    async pull({ image, signal }: PullOptions) {
      asked("pull", image, signal);
      const found = published.get(image);
      if (found === undefined) {
        throw new HostError(`Cannot pull ${image}: manifest unknown`, { retryable: false });
      }
      local.set(image, found);
    },
    async forgetLogins() {},
    async image(reference, signal) {
      asked("image", reference, signal);
      const found = imageOf(reference);
      if (found === undefined) return undefined;
      const names = [...local].flatMap(([name, image]) => (image.id === found.id ? [name] : []));
      return { ...found, names };
    },
    async imageNames(repository, signal) {
      asked("imageNames", repository, signal);
      return [...local.keys()].filter((name) => name.startsWith(`${repository}:`));
    },
    async tag(reference, name, signal) {
      asked("tag", `${reference} ${name}`, signal);
      const found = imageOf(reference);
      if (found === undefined) throw new HostError(`No such image: ${reference}`);
      local.set(name, found);
    },
    async removeImage(name, signal) {
      asked("removeImage", name, signal);
      const found = local.get(name);
      const isUsed = containers.some(
        ({ info, isRemoved }) => !isRemoved && info.imageId === found?.id,
      );
      if (isUsed) return false;
      return local.delete(name);
    },
    async start(spec, signal) {
      asked("start", spec.name, signal);
      const image = imageOf(spec.image);
      if (image === undefined) {
        throw new HostError(`Cannot start ${spec.name}: no such image: ${spec.image}`, {
          retryable: false,
        });
      }
      const container = new Container(`id${containers.length + 1}`, spec, image, tell);
      containers.push(container);
      await container.open();
      return container.info.id;
    },
    async list(labels, signal) {
      asked("list", "", signal);
      return containers
        .filter(({ info, isRemoved }) => !isRemoved && hasLabels(info, labels))
        .map(({ info }) => ({ ...info }));
    },
    async inspect(id, signal) {
      asked("inspect", id, signal);
      const found = find(id);
      return found === undefined ? undefined : { ...found.info };
    },
    async lastLines(id, count, signal) {
      asked("lastLines", id, signal);
      return (find(id)?.lines ?? []).slice(-count);
    },
    async stop(id, timeoutMs, signal) {
      asked("stop", find(id)?.info.name ?? id, signal);
      await find(id)?.stop(timeoutMs);
    },
    async remove(id, signal) {
      asked("remove", find(id)?.info.name ?? id, signal);
      const found = find(id);
      if (found === undefined) return;
      if (found.info.status === "running") throw new HostError(`${found.info.name} still runs`);
      found.isRemoved = true;
    },
    watch(_labels, onChange, signal) {
      return new Promise((resolve, reject) => {
        asked("watch", "", signal);
        const watcher = {
          onChange,
          drop: (error: Error) => {
            watchers.delete(watcher);
            reject(error);
          },
        };
        watchers.add(watcher);
        signal.addEventListener("abort", () => {
          watchers.delete(watcher);
          resolve();
        });
      });
    },
  };
  return engine;
}

function hasLabels(info: EngineContainer, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([name, value]) => info.labels[name] === value);
}

class Container implements FakeContainer {
  readonly info: EngineContainer;
  readonly spec: ContainerSpec;
  readonly app: FakeApp;
  readonly lines: string[] = [];
  isRemoved = false;
  answered = 0;
  late = 0;
  readonly #tell: (id: string) => void;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #askedForHealth = new WeakSet<Socket>();
  #isStopping = false;

  constructor(id: string, spec: ContainerSpec, image: StoredImage, tell: (id: string) => void) {
    this.#tell = tell;
    this.spec = spec;
    this.app = { ...image.app };
    this.info = {
      id,
      name: spec.name,
      image: spec.image,
      imageId: image.id,
      status: "running",
      health: image.healthcheck === undefined ? undefined : "starting",
      checkEveryMs: image.healthcheck?.intervalMs ?? 30_000,
      exitCode: undefined,
      wasOutOfMemory: false,
      wasSignalled: false,
      restarts: 0,
      startedAt: new Date().toISOString(),
      labels: spec.labels,
      ports: [],
    };
  }

  async open(): Promise<void> {
    const { app } = this;
    if (app.exitsWith !== undefined) {
      this.lines.push(`panic: ${app.version} has no database`);
      await this.end(app.exitsWith);
      return;
    }
    const ports = this.spec.ports.map(async (container) => {
      const server = createServer((socket) => this.#accept(socket));
      this.#servers.push(server);
      const port = await listen(server);
      return { container, host: "127.0.0.1", port };
    });
    this.info.ports = await Promise.all(ports);
  }

  async crash(exitCode = 1): Promise<void> {
    this.lines.push("panic: it crashed");
    await this.end(exitCode);
  }

  async signal(exitCode = 143): Promise<void> {
    this.info.wasSignalled = true;
    await this.end(exitCode);
  }

  setHealth(health: string): void {
    this.info.health = health;
    this.#tell(this.info.id);
  }

  async stop(timeoutMs: number): Promise<void> {
    if (this.info.status !== "running") return;
    this.#isStopping = true;
    // Connections with a complete response or without a request are not late, and neither are
    // health checks.
    const isOpen = (socket: Socket): boolean =>
      socket.bytesRead > 0 && !socket.writableEnded && !this.#askedForHealth.has(socket);
    this.late += [...this.#sockets].filter(isOpen).length;
    if (this.app.obeys || timeoutMs === 0) await this.end(0);
    else await this.end(137);
  }

  async end(exitCode: number): Promise<void> {
    if (this.info.status !== "running") return;
    this.info.status = "exited";
    this.info.exitCode = exitCode;
    const closed = this.#servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await Promise.all(closed);
    this.#tell(this.info.id);
  }

  /** Exits, but finishes the open responses. */
  #endQuietly(): void {
    this.info.status = "exited";
    this.info.exitCode = 5;
    for (const server of this.#servers) server.close();
  }

  /** Accepts connections even if the app does not listen, like the forwarder of an engine. */
  #accept(socket: Socket): void {
    socket.on("error", () => {});
    if (!this.app.listens) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      for (let end = received.indexOf("\r\n\r\n"); end >= 0; end = received.indexOf("\r\n\r\n")) {
        this.#answer(socket, received.slice(0, end));
        received = received.slice(end + 4);
      }
    });
  }

  #answer(socket: Socket, head: string): void {
    const path = head.split(" ", 2)[1] ?? "/";
    if (this.#isStopping && path !== "/health") this.late += 1;
    const status = path === "/health" ? this.app.health : 200;
    if (path === "/health") this.#askedForHealth.add(socket);
    else this.answered += 1;
    if (path === "/health" && this.app.endsOnceHealthy) this.#endQuietly();
    const body = this.app.version;
    socket.write(
      `HTTP/1.1 ${status} .\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    if (/\r\nconnection: *close/i.test(head)) socket.end();
  }
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    });
  });
}
