import { hostname } from "node:os";
import type { Resource } from "@opentelemetry/resources";
import type { MetricProducer } from "@opentelemetry/sdk-metrics";
import type { AdminContainer } from "../control/admin.ts";
import type { InstanceStatus, Mode } from "../control/protocol.ts";
import type { Clock } from "../core/clock.ts";
import type { Environment } from "../core/environment.ts";
import { type EventSink, fanOut } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Redact } from "../core/secret.ts";
import { withTimeout } from "../core/timeout.ts";
import type { ProxyObserver } from "../host/proxy/tcp_proxy.ts";
import { DeployTraces } from "./deploy_traces.ts";
import type { OtlpConfig } from "./endpoint.ts";
import { EventMetrics } from "./event_metrics.ts";
import { Instruments } from "./instruments.ts";
import { openOtlp } from "./otlp.ts";
import { loadPackages, type TelemetryPackages } from "./packages.ts";
import { prometheusText } from "./prometheus.ts";
import { Readings, type SupervisionMeasures } from "./readings.ts";

/** That of the Go dewy, so that a series continues when this dewy replaces it. */
const SCOPE = { name: "github.com/linyows/dewy" };

/** A collector that has failed before is given this much time at the end. */
const FAILING_CLOSE_MS = 500;

export interface TelemetryOptions {
  config: OtlpConfig;
  env: Environment;
  instance: { name: string; mode: Mode; version: string; hasFleet?: boolean };
  status(): Promise<InstanceStatus>;
  measure?: (() => SupervisionMeasures) | undefined;
  observeProxy?: ((observer: ProxyObserver) => void) | undefined;
  containers?: ((signal: AbortSignal) => Promise<readonly AdminContainer[]>) | undefined;
  /** The value of `--ca-file`. */
  caFile?: string | undefined;
  emit: EventSink;
  clock: Clock;
  redact: Redact;
}

export interface Telemetry {
  /** Receives every event, once. */
  sink: EventSink;
  /** Returns the metrics in Prometheus' text format. */
  prometheus(): Promise<string>;
  /** The id of the trace of a version's deploy, while it is under way. */
  traceIdOf(tag: string): string | undefined;
  /** Sends what is left. */
  close(timeoutMs: number): Promise<void>;
}

/** Loads the OpenTelemetry packages; throws a ConfigError without them. */
export async function openTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const packages = await loadPackages();
  const { api, metrics: sdk } = packages;
  const { emit, clock, redact } = options;
  const { name, mode, version } = options.instance;
  const otlp = await openOtlp({ ...options, version });
  const readings = new Readings(packages, { ...options, name, mode });
  const resource = resourceOf(packages, options);
  const producer = readingsProducer(readings, resource);
  const reader = pullReader(packages, producer);
  const pushing = otlp?.metricReader(packages, producer);
  const readers = pushing === undefined ? [reader] : [reader, pushing];
  const provider = new sdk.MeterProvider({ resource, readers });
  const instruments = new Instruments(packages, provider.getMeter(SCOPE.name));
  const events = new EventMetrics(instruments, { name, mode });
  options.observeProxy?.(events.proxy);
  const tracers = otlp?.tracerProvider(resource);
  const tracer = tracers?.getTracer("dewy", version);
  const attributes = { "dewy.app": name, "dewy.mode": mode };
  const traces = tracer && new DeployTraces({ tracer, api, clock, redact, attributes });
  return {
    sink: fanOut([events.sink, readings.sink, ...(traces === undefined ? [] : [traces.sink])]),
    async prometheus() {
      const { resourceMetrics } = await reader.collect();
      return prometheusText(packages, resourceMetrics);
    },
    traceIdOf: (tag) => traces?.traceIdOf(tag),
    async close(ms) {
      traces?.close();
      const closed = Promise.allSettled([provider.shutdown(), tracers?.shutdown()]);
      const isFailing = otlp?.isFailing() === true;
      const limitMs = isFailing ? Math.min(ms, FAILING_CLOSE_MS) : ms;
      const timeout = { clock, ms: limitMs, what: "answer of the collector" };
      await withTimeout(closed, timeout).catch((error) => {
        if (isFailing) return;
        const message = "The last telemetry was not sent";
        const fields = { collector: otlp?.collector ?? "", error: messageOf(error) };
        emit({ type: "warning", message, fields });
      });
    },
  };
}

/** The variables take precedence: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`. */
function resourceOf({ resources }: TelemetryPackages, { instance }: TelemetryOptions): Resource {
  const host = hostname();
  const own = resources.resourceFromAttributes({
    "service.name": "dewy",
    "service.version": instance.version,
    // A collector, unlike Prometheus, does not know where metrics come from.
    "service.instance.id": `${host}/${instance.name}`,
    "host.name": host,
  });
  return own.merge(resources.detectResources({ detectors: [resources.envDetector] }));
}

function readingsProducer(readings: Readings, resource: Resource): MetricProducer {
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
