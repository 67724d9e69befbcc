import type { Environment, EnvironmentSpec } from "../core/environment.ts";

/** The variables of OpenTelemetry with credentials in them: masked, and kept from the app by `--isolate-env`. */
export const TELEMETRY_SECRETS: readonly EnvironmentSpec[] = [
  headers(
    "OTEL_EXPORTER_OTLP_HEADERS",
    "Headers for the collector, such as `authorization=Bearer%20…`",
  ),
  headers("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "The same, for metrics only"),
  headers("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "The same, for traces only"),
];

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
