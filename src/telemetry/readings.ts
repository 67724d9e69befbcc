import type { MetricData } from "@opentelemetry/sdk-metrics";
import type { AdminContainer } from "../control/admin.ts";
import { AppStatus, type InstanceStatus, type Mode } from "../control/protocol.ts";
import type { Clock } from "../core/clock.ts";
import { cached } from "../core/concurrency.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { withDeadline, withTimeout } from "../core/timeout.ts";
import type { HealthChecks } from "../host/proxy/probe.ts";
import type { TcpProxyStats } from "../host/proxy/tcp_proxy.ts";
import type { TelemetryPackages } from "./packages.ts";
import { Points } from "./points.ts";

/** Counters of an app's supervisor, since dewy started; they cost nothing while nothing reads them. */
export interface SupervisionMeasures {
  /** Empty if the app has the port itself. */
  proxies: readonly TcpProxyStats[];
  healthChecks: HealthChecks;
  /** Replicas that are wanted and that are ready; absent for `dewy server`. */
  replicas?: { wanted: number; ready: number };
}

export interface ReadingsSubject {
  name: string;
  mode: Mode;
  status(): Promise<InstanceStatus>;
  measure?: (() => SupervisionMeasures) | undefined;
  containers?: ((signal: AbortSignal) => Promise<readonly AdminContainer[]>) | undefined;
  clock: Clock;
}

/** A scrape must not hang with the disk or the engine. */
const TIMEOUT_MS = 2_000;
const FRESH_MS = 5_000;

/** More of one kind are left out, so that no registry or app makes a scrape large. */
const MAX_SERIES = 100;

const WAIT_REASONS = [
  "pinned",
  "paused",
  "skipped",
  "window",
  "min-age",
  "no-downgrade",
  "major",
  "fleet",
];
const CONTAINER_STATES = ["created", "running", "paused", "restarting", "exited", "dead"];
/** A poll with a failed deploy has succeeded as a poll. */
const FAILED_POLLS: ReadonlySet<string> = new Set(["unreachable", "problem"]);
const ENDED: ReadonlySet<string> = new Set(["exited", "dead"]);

/** The metrics that are read at each collection: from the status, the supervisor and the containers. */
export class Readings {
  readonly #packages: TelemetryPackages;
  readonly #subject: ReadingsSubject;
  readonly #containers: (() => Promise<readonly AdminContainer[] | undefined>) | undefined;
  readonly #app: { app: string };
  readonly #startedAt: { wall: number; monotonic: number };
  /** On the monotonic clock. */
  #succeededAt: number;

  constructor(packages: TelemetryPackages, subject: ReadingsSubject) {
    const { clock, containers, name } = subject;
    const inspect = containers && (() => withDeadline(clock, TIMEOUT_MS, undefined, containers));
    this.#packages = packages;
    this.#subject = subject;
    // Several readers may collect at about the same time.
    this.#containers =
      inspect && cached(() => inspect().catch(() => undefined), { ms: FRESH_MS, clock });
    this.#app = { app: name };
    this.#startedAt = { wall: clock.now(), monotonic: clock.monotonic() };
    this.#succeededAt = this.#startedAt.monotonic;
  }

  readonly sink: EventSink = (event: DewyEvent) => {
    if (event.type !== "polled" || FAILED_POLLS.has(event.outcome)) return;
    this.#succeededAt = this.#subject.clock.monotonic();
  };

  /** What cannot be read in time is left out. */
  async read(): Promise<MetricData[]> {
    const { clock, measure } = this.#subject;
    const points = new Points(this.#packages, this.#startedAt.wall, clock.now());
    const [status, containers] = await Promise.all([this.#status(), this.#containers?.()]);
    this.#addPolls(points);
    if (status !== undefined) this.#addStatus(points, status);
    const measures = attempt(measure);
    if (measures !== undefined) this.#addMeasures(points, measures);
    if (containers !== undefined) this.#addContainers(points, containers);
    return points.all();
  }

  async #status(): Promise<InstanceStatus | undefined> {
    const { clock, status } = this.#subject;
    try {
      return await withTimeout(status(), { clock, ms: TIMEOUT_MS, what: "status" });
    } catch {
      return undefined;
    }
  }

  #addPolls(points: Points): void {
    const ms = this.#subject.clock.monotonic() - this.#succeededAt;
    points.add("dewy.poll.success.age", seconds(ms), this.#app);
  }

  #addStatus(points: Points, status: InstanceStatus): void {
    const now = this.#subject.clock.now();
    const app = this.#app;
    const { live, nextPollAt, pinned, paused, bad, skipped, waiting, listing } = status;
    if (live !== undefined) {
      const command = this.#subject.mode;
      points.add("dewy.app.info", 1, { ...app, command, version: live.tag });
      if (live.since !== undefined) {
        points.add("dewy.deployment.age", seconds(now - Date.parse(live.since)), app);
      }
    }
    if (nextPollAt !== undefined) {
      points.add("dewy.poll.next.delay", Math.round((Date.parse(nextPollAt) - now) / 1_000), app);
    }
    if (listing !== undefined) {
      points.add("dewy.listing.age", seconds(now - Date.parse(listing.changedAt)), app);
    }
    points.add("dewy.versions.bad", bad.length, app);
    points.add("dewy.versions.skipped", skipped.length, app);
    for (const reason of WAIT_REASONS) {
      const count = waiting.filter(({ why }) => why === reason).length;
      points.add("dewy.versions.waiting", count, { ...app, reason });
    }
    points.add("dewy.pinned", pinned === undefined ? 0 : 1, app);
    points.add("dewy.paused", paused === undefined ? 0 : 1, app);
    this.#addRateLimits(points, status);
    this.#addNotifiers(points, status);
    if (status.app !== undefined) this.#addApp(points, status.app);
  }

  #addRateLimits(points: Points, { rateLimits = [] }: InstanceStatus): void {
    for (const { host, remaining, limit } of rateLimits.slice(0, MAX_SERIES)) {
      const attributes = { ...this.#app, host };
      points.add("dewy.rate_limit.remaining", remaining, attributes);
      points.add("dewy.rate_limit.limit", limit, attributes);
    }
  }

  #addNotifiers(points: Points, { notifiers = [] }: InstanceStatus): void {
    for (const { notifier, lost, waiting } of notifiers.slice(0, MAX_SERIES)) {
      const attributes = { ...this.#app, notifier };
      points.add("dewy.notifications.lost.total", lost, attributes);
      points.add("dewy.notifications.waiting", waiting, attributes);
    }
  }

  #addApp(points: Points, { health, restarts }: AppStatus): void {
    for (const state of AppStatus.entries.health.options) {
      points.add("dewy.app.health", health === state ? 1 : 0, { ...this.#app, state });
    }
    points.add("dewy.app.restarts.total", restarts, this.#app);
  }

  #addMeasures(points: Points, { proxies, healthChecks, replicas }: SupervisionMeasures): void {
    for (const proxy of proxies.slice(0, MAX_SERIES)) addProxy(points, proxy);
    points.add("dewy.healthchecks.total", healthChecks.total, {});
    points.add("dewy.healthchecks.failures.total", healthChecks.failures, {});
    if (replicas === undefined) return;
    points.add("dewy.container.desired_replicas", replicas.wanted, this.#app);
    points.add("dewy.container.ready_replicas", replicas.ready, this.#app);
  }

  #addContainers(points: Points, containers: readonly AdminContainer[]): void {
    const running = containers.filter(({ status }) => status === "running");
    points.add("dewy.container.replicas", running.length, this.#app);
    for (const container of containers.slice(0, MAX_SERIES)) {
      addContainer(points, container, this.#app);
    }
  }
}

function addProxy(points: Points, proxy: TcpProxyStats): void {
  const { bytesToBackends, bytesToClients, connectFailures, refused, requests, backends } = proxy;
  const port = { proxy_port: proxy.port };
  points.add("dewy.proxy.connections.total", proxy.accepted, port);
  points.add("dewy.proxy.connections.active", proxy.open, port);
  points.add("dewy.proxy.bytes.transferred", bytesToBackends + bytesToClients, port);
  points.add("dewy.proxy.errors.total", connectFailures + refused, port);
  points.add("dewy.proxy.refused.total", refused, port);
  points.add("dewy.proxy.backends", backends.filter(({ inRotation }) => inRotation).length, port);
  for (const [outcome, count] of Object.entries(requests)) {
    points.add("dewy.proxy.requests.total", count, { ...port, outcome });
  }
}

function addContainer(points: Points, container: AdminContainer, app: { app: string }): void {
  const { name, image, status, started_at, labels, restarts, exit_code, oom_killed } = container;
  const attributes = { ...app, container: name, replica: labels["dewy.replica"] ?? "" };
  for (const state of CONTAINER_STATES) {
    points.add("dewy.container.status", status === state ? 1 : 0, { ...attributes, state });
  }
  points.add("dewy.container.restarts", restarts, attributes);
  const startedAt = Date.parse(started_at);
  if (startedAt > 0) {
    points.add("dewy.container.started.timestamp", Math.floor(startedAt / 1_000), attributes);
  }
  if (ENDED.has(status)) {
    points.add("dewy.container.last_terminated.exit_code", exit_code, attributes);
    points.add("dewy.container.oom_killed", oom_killed ? 1 : 0, attributes);
  }
  const version = labels["dewy.version"] ?? "";
  points.add("dewy.container.info", 1, { ...attributes, image, version });
}

function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1_000));
}

function attempt<T>(read: (() => T) | undefined): T | undefined {
  try {
    return read?.();
  } catch {
    return undefined;
  }
}
