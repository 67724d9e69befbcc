import { type Environment, type EnvironmentSpec, variable } from "../core/environment.ts";

/** The variables that dewy or the OpenTelemetry packages read with `--telemetry`. */
export const TELEMETRY_ENVIRONMENT: readonly EnvironmentSpec[] = [
  variable("OTEL_SDK_DISABLED", "`true`: no metrics and no traces, in spite of `--telemetry`"),
  variable(
    "OTEL_METRICS_EXPORTER",
    "`none`: no metrics for the collector; other values are ignored",
  ),
  variable("OTEL_TRACES_EXPORTER", "`none`: no traces; other values are ignored"),
  variable("OTEL_EXPORTER_OTLP_ENDPOINT", "Base URL of the collector, without `--otlp-endpoint`"),
  variable("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "URL for metrics only, used as it is"),
  variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "URL for traces only, used as it is"),
  headers("OTEL_EXPORTER_OTLP_HEADERS", "Headers for the collector: `name=value,…`, URL-encoded"),
  headers("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "Headers for metrics only, in addition"),
  headers("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "Headers for traces only, in addition"),
  variable(
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "Timeout of an export with its retries, in milliseconds (default: 10000); also `…_METRICS_TIMEOUT`, `…_TRACES_TIMEOUT`",
  ),
  variable("OTEL_EXPORTER_OTLP_COMPRESSION", "`gzip`: compress what is sent"),
  variable(
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "PEM file of certificate authorities to trust in addition",
  ),
  variable("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "PEM file of a client certificate"),
  variable("OTEL_EXPORTER_OTLP_CLIENT_KEY", "PEM file of its key"),
  variable(
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "`delta` or `lowmemory`: for counted metrics; those that dewy reads from its state stay cumulative",
  ),
  variable(
    "OTEL_METRIC_EXPORT_INTERVAL",
    "How often metrics are sent, in milliseconds (default: 60000)",
  ),
  variable("OTEL_METRIC_EXPORT_TIMEOUT", "Limit for that, in milliseconds (default: 30000)"),
  variable(
    "OTEL_TRACES_SAMPLER",
    "Which deploys are traced, such as `traceidratio` (default: all)",
  ),
  variable("OTEL_TRACES_SAMPLER_ARG", "The ratio, from 0 to 1"),
  variable(
    "OTEL_BSP_SCHEDULE_DELAY",
    "How long spans wait for others, in milliseconds (default: 5000)",
  ),
  variable("OTEL_SERVICE_NAME", "The attribute `service.name` (default: `dewy`)"),
  variable(
    "OTEL_RESOURCE_ATTRIBUTES",
    "More attributes of the resource: `name=value,…`, URL-encoded",
  ),
];

/** Masked, and kept from the app by `--isolate-env`, which may send telemetry as well. */
export const TELEMETRY_SECRETS: readonly EnvironmentSpec[] = TELEMETRY_ENVIRONMENT.filter(
  ({ secret }) => secret !== false,
);

function headers(name: string, description: string): EnvironmentSpec {
  return { name, description, secret: "pairs" };
}

/** https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration */
export function isDisabled(env: Environment): boolean {
  return env.OTEL_SDK_DISABLED?.trim().toLowerCase() === "true";
}

/** A duration in milliseconds. As the specification asks, an invalid value counts as unset. */
export function readMilliseconds(env: Environment, name: string): number | undefined {
  const value = env[name]?.trim() ?? "";
  return /^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined;
}
