import type { AdminContainer } from "../../src/control/admin.ts";
import type { InstanceStatus } from "../../src/control/protocol.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { openTelemetry, type TelemetryOptions } from "../../src/telemetry/open.ts";
import type { SupervisionMeasures } from "../../src/telemetry/readings.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import { type Metrics, parseMetrics } from "../support/prometheus.ts";

export const STATUS: InstanceStatus = {
  name: "blog",
  directory: "/opt/blog",
  phase: { name: "idle" },
  waiting: [],
  listing: { changedAt: "2026-07-16T10:00:00Z" },
  bad: [],
  skipped: [],
};

function backend({ inRotation }: { inRotation: boolean }) {
  const address = { host: "127.0.0.1", port: 5_000 };
  return { backend: address, connections: 1, total: 3, failures: 0, inRotation };
}

export const MEASURES: SupervisionMeasures = {
  proxies: [
    {
      port: 8080,
      accepted: 7,
      open: 2,
      held: 0,
      idle: 0,
      backends: [backend({ inRotation: true }), backend({ inRotation: false })],
      bytesToBackends: 100,
      bytesToClients: 900,
      connectFailures: 3,
      refused: 1,
      requests: { answered: 20, interrupted: 1 },
    },
  ],
  healthChecks: { total: 12, failures: 4 },
};

export function container(overrides: Partial<AdminContainer> = {}): AdminContainer {
  return {
    id: "c0ffee",
    name: "app-1-0",
    ip_port: "127.0.0.1:32768",
    image: "img:v1",
    status: "running",
    started_at: "2026-07-16T10:00:00Z",
    deployed_at: "2026-07-16T10:00:00Z",
    labels: { "dewy.replica": "0", "dewy.version": "v1" },
    restarts: 0,
    ...overrides,
  };
}

export interface Opened {
  clock: FakeClock;
  emit(...events: readonly DewyEvent[]): void;
  text(): Promise<string>;
  metrics(): Promise<Metrics>;
}

/** Telemetry of `dewy server` that is called `blog`, at a time that does not move by itself. */
export async function opened(overrides: Partial<TelemetryOptions> = {}): Promise<Opened> {
  const clock = fakeClock();
  const { sink, prometheus } = await openTelemetry({
    config: { otlpEndpoint: undefined, otlpInsecure: false },
    env: {},
    instance: { name: "blog", mode: "server", version: "1.2.3" },
    status: async () => STATUS,
    emit: () => {},
    clock,
    redact: (text) => text,
    ...overrides,
  });
  return {
    clock,
    emit: (...events) => events.forEach(sink),
    text: prometheus,
    metrics: async () => parseMetrics(await prometheus()),
  };
}

export function ready(
  overrides: Partial<Extract<DewyEvent, { type: "generation-ready" }>> = {},
): DewyEvent {
  return {
    type: "generation-ready",
    tag: "v1",
    generation: 1,
    pid: 2,
    reason: "start",
    durationMs: 300,
    ...overrides,
  };
}

/** Telemetry in which every metric has a value, although no mode of dewy has them all. */
export async function everything(): Promise<Opened> {
  const since = "2026-01-02T03:00:00.000Z";
  const telemetry = await opened({
    status: async () => ({
      ...STATUS,
      live: { tag: "v1", directory: "/opt/blog/releases/a", since },
      nextPollAt: since,
      app: { health: "serving", restarts: 1 },
      rateLimits: [{ host: "api.github.com", remaining: 12, limit: 60, resetAt: since }],
      notifiers: [{ notifier: "slack://ops", state: "fine", waiting: 0, lost: 0 }],
    }),
    measure: () => ({ ...MEASURES, replicas: { wanted: 2, ready: 2 } }),
    observeProxy: (observer) => {
      observer.connected(8080, 0.002);
      observer.closed(8080, 4);
    },
    containers: async () => [
      container(),
      container({ name: "app-1-1", status: "exited", exit_code: 137, oom_killed: true }),
    ],
  });
  const url = "https://api.github.com/repos/o/a";
  telemetry.emit(
    ready({ reason: "deploy" }),
    { type: "request", method: "GET", url, status: 200, durationMs: 5, attempt: 1 },
    { type: "retry", method: "GET", url, reason: "503", delayMs: 1, attempt: 1 },
    { type: "cache", what: "answer", outcome: "hit" },
    {
      ...{ type: "rollout", fleet: "web", tag: "v1", change: "began" },
      ...{ wave: 1, waves: 2, hosts: 1, of: 3 },
    },
    { type: "phase", phase: "stage", tag: "v1", durationMs: 900 },
    {
      type: "deployed",
      command: "server",
      tag: "v1",
      previousTag: undefined,
      directory: "/opt/blog/releases/a",
      durationMs: 12_000,
    },
    {
      type: "replica-lost",
      tag: "v1",
      container: "app-1-1",
      reason: "exited",
      lastLines: [],
      replaceInMs: 0,
    },
  );
  return telemetry;
}
