import type { Counter, Histogram, Meter } from "@opentelemetry/api";
import type { TelemetryPackages } from "./packages.ts";
import { type AttributesOf, METRICS, type NameOfKind } from "./table.ts";

/** The counters and histograms of the table, made when they get their first value. */
export class Instruments {
  readonly #packages: TelemetryPackages;
  readonly #meter: Meter;
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();

  constructor(packages: TelemetryPackages, meter: Meter) {
    this.#packages = packages;
    this.#meter = meter;
  }

  /** @param by a whole number. */
  count<N extends NameOfKind<"counter">>(name: N, attributes: AttributesOf<N>, by = 1): void {
    const counter = this.#counters.get(name) ?? this.#createCounter(name);
    counter.add(by, attributes);
  }

  record<N extends NameOfKind<"histogram">>(
    name: N,
    value: number,
    attributes: AttributesOf<N>,
  ): void {
    const histogram = this.#histograms.get(name) ?? this.#createHistogram(name);
    histogram.record(value, attributes);
  }

  #createCounter(name: NameOfKind<"counter">): Counter {
    const { unit, description } = METRICS[name];
    const valueType = this.#packages.api.ValueType.INT;
    const counter = this.#meter.createCounter(name, { unit, description, valueType });
    this.#counters.set(name, counter);
    return counter;
  }

  #createHistogram(name: NameOfKind<"histogram">): Histogram {
    const { unit, description, bounds } = METRICS[name];
    const advice = { explicitBucketBoundaries: [...bounds] };
    const histogram = this.#meter.createHistogram(name, { unit, description, advice });
    this.#histograms.set(name, histogram);
    return histogram;
  }
}
