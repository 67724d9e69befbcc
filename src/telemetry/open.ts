import type { MetricProducer } from "@opentelemetry/sdk-metrics";
import type { InstanceStatus, Mode } from "../control/protocol.ts";
import type { Clock } from "../core/clock.ts";
import type { Environment } from "../core/environment.ts";
import { type EventSink, fanOut } from "../core/event.ts";
import type { ReadContainers } from "./container_observer.ts";
import { EventMetrics } from "./event_metrics.ts";
import { Instruments } from "./instruments.ts";
import type { ProxyObserver, SupervisionMeasures } from "./measures.ts";
import { loadPackages, type TelemetryPackages } from "./packages.ts";
import { prometheusText } from "./prometheus.ts";
import { Readings } from "./readings.ts";

/** That of the Go dewy, so that a series continues when this dewy replaces it. */
const SCOPE = { name: "github.com/linyows/dewy" };

export interface TelemetryOptions {
  config: { otlpEndpoint: string | undefined; otlpInsecure: boolean };
  env: Environment;
  instance: { name: string; mode: Mode; version: string };
  status(): Promise<InstanceStatus>;
  measure?: (() => SupervisionMeasures) | undefined;
  observeProxy?: ((observer: ProxyObserver) => void) | undefined;
  containers?: ReadContainers | undefined;
  emit: EventSink;
  clock: Clock;
}

export interface Telemetry {
  /** Receives every event, once. */
  sink: EventSink;
  /** Returns the metrics in Prometheus' text format. */
  prometheus(): Promise<string>;
  /** Sends what is left. */
  close(timeoutMs: number): Promise<void>;
}

/** Loads the OpenTelemetry packages; throws a ConfigError without them. */
export async function openTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const packages = await loadPackages();
  const { metrics: sdk } = packages;
  const { name, mode } = options.instance;
  const readings = new Readings(packages, { ...options, name, mode });
  const resource = resourceOf(packages, options);
  const producer = readingsProducer(readings, resource);
  const reader = pullReader(packages, producer);
  const provider = new sdk.MeterProvider({ resource, readers: [reader] });
  const instruments = new Instruments(packages, provider.getMeter(SCOPE.name));
  const events = new EventMetrics(instruments, { name, mode });
  options.observeProxy?.(events.proxy);
  return {
    sink: fanOut([events.sink, readings.sink]),
    async prometheus() {
      const { resourceMetrics } = await reader.collect();
      return prometheusText(packages, resourceMetrics);
    },
    close: (timeoutMs) => provider.shutdown({ timeoutMillis: timeoutMs }),
  };
}

function resourceOf({ resources }: TelemetryPackages, { instance }: TelemetryOptions) {
  return resources.resourceFromAttributes({
    "service.name": "dewy",
    "service.version": instance.version,
  });
}

function readingsProducer(
  readings: Readings,
  resource: ReturnType<typeof resourceOf>,
): MetricProducer {
  return {
    async collect() {
      const metrics = await readings.read();
      return {
        resourceMetrics: { resource, scopeMetrics: [{ scope: SCOPE, metrics }] },
        errors: [],
      };
    },
  };
}

/** A reader that collects when it is asked. */
function pullReader({ metrics: { MetricReader } }: TelemetryPackages, producer: MetricProducer) {
  class PullReader extends MetricReader {
    protected async onShutdown(): Promise<void> {}
    protected async onForceFlush(): Promise<void> {}
  }
  return new PullReader({ metricProducers: [producer] });
}
