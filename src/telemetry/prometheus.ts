import type { MetricData, ResourceMetrics, ScopeMetrics } from "@opentelemetry/sdk-metrics";
import type { TelemetryPackages } from "./packages.ts";

const UNIT_SUFFIXES: Readonly<Record<string, string>> = { s: "seconds", By: "bytes" };

/** Returns the name that Prometheus gets for a metric of OpenTelemetry. */
export function prometheusName(name: string, unit: string, isCounter: boolean): string {
  const words = name.split(/[._]/).filter((word) => word !== "total");
  const suffix = UNIT_SUFFIXES[unit];
  if (suffix !== undefined && !words.includes(suffix)) words.push(suffix);
  if (isCounter) words.push("total");
  return words.join("_");
}

/** Attributes of the resource that Prometheus has as labels of its own: `instance`. */
const OF_SCRAPE: ReadonlySet<string> = new Set(["service.instance.id", "host.name"]);

/** Writes the metrics in the order of their names. */
export function prometheusText(
  { prometheus, metrics, resources }: TelemetryPackages,
  { resource, scopeMetrics }: ResourceMetrics,
): string {
  const isCounter = (metric: MetricData): boolean =>
    metric.dataPointType === metrics.DataPointType.SUM && metric.isMonotonic;
  // The serializer leaves units out of names and writes `# UNIT`, both against this format.
  const renamed = (metric: MetricData): MetricData => {
    const { name, unit } = metric.descriptor;
    const shown = prometheusName(name, unit, isCounter(metric));
    return { ...metric, descriptor: { ...metric.descriptor, name: shown, unit: "" } };
  };
  const scopes = scopeMetrics.flatMap(({ scope, metrics }) =>
    metrics.map((metric) => ({ scope, metrics: [renamed(metric)] })),
  );
  const nameOf = ({ metrics: [metric] }: ScopeMetrics): string => metric?.descriptor.name ?? "";
  scopes.sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  const shown = Object.entries(resource.attributes).filter(([key]) => !OF_SCRAPE.has(key));
  const target = resources.resourceFromAttributes(
    Object.fromEntries(shown.map(([key, value]) => [labelName(key), value])),
  );
  return new prometheus.PrometheusSerializer().serialize({
    resource: target,
    scopeMetrics: scopes,
  });
}

/** Two attributes can get the same name; the later one then replaces the earlier one, as Prometheus refuses both. */
function labelName(key: string): string {
  return key.replaceAll(/[^a-zA-Z0-9]+/g, "_").replace(/^(?=\d)/, "_");
}
