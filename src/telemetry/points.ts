import type { HrTime } from "@opentelemetry/api";
import type { MetricData } from "@opentelemetry/sdk-metrics";
import type { TelemetryPackages } from "./packages.ts";
import {
  type AttributesOf,
  METRICS,
  type MetricName,
  type MetricSpec,
  type NameOfKind,
} from "./table.ts";

type MetricKind = Exclude<MetricSpec["kind"], "histogram">;

/**
 * Collects data points that are read rather than counted. The SDK's observable instruments keep reporting every series
 * that they have ever observed: each version that was live, each container that is gone.
 */
export class Points {
  readonly #metrics = new Map<MetricName, MetricData & { dataPoints: unknown[] }>();
  readonly #points = new Map<string, { value: number }>();
  readonly #packages: TelemetryPackages;
  readonly #times: { startTime: HrTime; endTime: HrTime };

  /** The times are in milliseconds since the epoch. */
  constructor(packages: TelemetryPackages, startedAt: number, now: number) {
    this.#packages = packages;
    this.#times = { startTime: hrTime(startedAt), endTime: hrTime(now) };
  }

  /**
   * Adds to the value of a series that is already there: two notifiers look the same without their secrets, and two
   * addresses have one port. Prometheus refuses everything if a series comes twice.
   *
   * @param value a whole number; `undefined` if it is unknown.
   */
  add<N extends NameOfKind<MetricKind>>(
    name: N,
    value: number | undefined,
    attributes: AttributesOf<N>,
  ): void {
    if (value === undefined) return;
    const key = JSON.stringify([name, attributes]);
    const known = this.#points.get(key);
    if (known !== undefined) {
      known.value += value;
      return;
    }
    const point = { ...this.#times, attributes, value };
    this.#points.set(key, point);
    const metric = this.#metrics.get(name) ?? this.#empty(name);
    this.#metrics.set(name, metric);
    metric.dataPoints.push(point);
  }

  all(): MetricData[] {
    return [...this.#metrics.values()];
  }

  #empty(name: NameOfKind<MetricKind>): MetricData & { dataPoints: unknown[] } {
    const { kind, unit, description } = METRICS[name];
    const { api, metrics } = this.#packages;
    const { DataPointType, AggregationTemporality } = metrics;
    const base = {
      descriptor: { name, description, unit, valueType: api.ValueType.INT },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
      dataPoints: [],
    };
    if (kind === "gauge") return { ...base, dataPointType: DataPointType.GAUGE };
    return { ...base, dataPointType: DataPointType.SUM, isMonotonic: kind === "counter" };
  }
}

/** Seconds and nanoseconds, as OpenTelemetry has them. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}
