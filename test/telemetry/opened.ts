import type { InstanceStatus } from "../../src/control/protocol.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { ObservedContainer } from "../../src/telemetry/container_observer.ts";
import type { SupervisionMeasures } from "../../src/telemetry/measures.ts";
import { openTelemetry, type TelemetryOptions } from "../../src/telemetry/open.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import { type Metrics, parseMetrics } from "../support/prometheus.ts";

export const STATUS: InstanceStatus = {
  name: "blog",
  directory: "/opt/blog",
  phase: { name: "idle" },
  waiting: [],
  bad: [],
  skipped: [],
};

export const MEASURES: SupervisionMeasures = {
  proxies: [
    {
      port: 8080,
      accepted: 7,
      active: 2,
      backends: 1,
      bytesToBackends: 100,
      bytesToClients: 900,
      connectFailures: 3,
      refused: 1,
      requests: { answered: 20, interrupted: 1 },
    },
  ],
  healthChecks: { total: 12, failures: 4 },
};

export function container(overrides: Partial<ObservedContainer> = {}): ObservedContainer {
  return {
    name: "app-1-0",
    image: "img:v1",
    status: "running",
    started_at: "2026-07-16T10:00:00Z",
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
    ...overrides,
  });
  return {
    clock,
    emit: (...events) => events.forEach(sink),
    text: prometheus,
    metrics: async () => parseMetrics(await prometheus()),
  };
}
