import type { MetricData, ResourceMetrics } from "@opentelemetry/sdk-metrics";
import type { TelemetryPackages } from "./packages.ts";

/** That of Prometheus' text format. https://prometheus.io/docs/instrumenting/exposition_formats/ */
export const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

const UNIT_SUFFIXES: Readonly<Record<string, string>> = { s: "seconds", By: "bytes" };

/** Returns the name that Prometheus gets for a metric of OpenTelemetry. */
export function prometheusName(name: string, unit: string, isCounter: boolean): string {
  const words = name.split(/[._]/).filter((word) => word !== "total");
  const suffix = UNIT_SUFFIXES[unit];
  if (suffix !== undefined && !words.includes(suffix)) words.push(suffix);
  if (isCounter) words.push("total");
  return words.join("_");
}

export function prometheusText(
  { prometheus, metrics }: TelemetryPackages,
  { resource, scopeMetrics }: ResourceMetrics,
): string {
  const isCounter = (metric: MetricData): boolean =>
    metric.dataPointType === metrics.DataPointType.SUM && metric.isMonotonic;
  // The serializer neither adds units to names nor leaves `# UNIT` out, which this format has not.
  const renamed = (metric: MetricData): MetricData => {
    const { name, unit } = metric.descriptor;
    const descriptor = {
      ...metric.descriptor,
      name: prometheusName(name, unit, isCounter(metric)),
      unit: "",
    };
    return { ...metric, descriptor };
  };
  return new prometheus.PrometheusSerializer().serialize({
    resource,
    scopeMetrics: scopeMetrics.map((one) => ({ ...one, metrics: one.metrics.map(renamed) })),
  });
}
