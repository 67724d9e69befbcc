import type { Attributes, HrTime } from "@opentelemetry/api";
import type { MetricData } from "@opentelemetry/sdk-metrics";
import type { DistributionReading } from "../core/distribution.ts";
import type { TelemetryPackages } from "./packages.ts";
import { METRICS, type MetricName, type MetricSpec, type NameOfKind } from "./table.ts";

type Histogram = NameOfKind<"histogram">;

/**
 * Collects data points that are read rather than counted. The SDK's observable instruments would do, but they report a
 * series for ever once it was observed: each version that was ever live, each container.
 */
export class Points {
  readonly #metrics = new Map<MetricName, MetricData & { dataPoints: unknown[] }>();
  readonly #packages: TelemetryPackages;
  readonly #times: { startTime: HrTime; endTime: HrTime };

  /** The times are in milliseconds since the epoch. */
  constructor(packages: TelemetryPackages, startedAt: number, now: number) {
    this.#packages = packages;
    this.#times = { startTime: hrTime(startedAt), endTime: hrTime(now) };
  }

  add(
    name: Exclude<MetricName, Histogram>,
    value: number | undefined,
    attributes: Attributes = {},
  ): void {
    if (value !== undefined) this.#push(name, value, attributes);
  }

  addDistribution(
    name: Histogram,
    reading: DistributionReading | undefined,
    attributes: Attributes = {},
  ): void {
    if (reading === undefined) return;
    const { bounds, counts, sum } = reading;
    const count = counts.reduce((total, one) => total + one, 0);
    const buckets = { boundaries: [...bounds], counts: [...counts] };
    this.#push(name, { buckets, sum, count }, attributes);
  }

  all(): MetricData[] {
    return [...this.#metrics.values()];
  }

  #push(name: MetricName, value: unknown, attributes: Attributes): void {
    const metric = this.#metrics.get(name) ?? this.#empty(name);
    this.#metrics.set(name, metric);
    metric.dataPoints.push({ ...this.#times, attributes, value });
  }

  #empty(name: MetricName): MetricData & { dataPoints: unknown[] } {
    const { kind, unit, description }: MetricSpec = METRICS[name];
    const { api, metrics } = this.#packages;
    const { DataPointType, AggregationTemporality } = metrics;
    const valueType = kind === "histogram" ? api.ValueType.DOUBLE : api.ValueType.INT;
    const base = {
      descriptor: { name, description, unit, valueType },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
      dataPoints: [],
    };
    if (kind === "histogram") return { ...base, dataPointType: DataPointType.HISTOGRAM };
    if (kind === "gauge") return { ...base, dataPointType: DataPointType.GAUGE };
    return { ...base, dataPointType: DataPointType.SUM, isMonotonic: kind === "counter" };
  }
}

/** Seconds and nanoseconds, as OpenTelemetry has them. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}
