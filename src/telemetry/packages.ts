/**
 * The OpenTelemetry packages are optional peer dependencies of 44 MB, loaded only with `--telemetry`.
 *
 * @module
 */
import { ConfigError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import { installCommand, isMissingPackage } from "../core/optional_packages.ts";

/** The versions that dewy is tested with. */
export const PACKAGES = {
  "@opentelemetry/api": "1.9.1",
  "@opentelemetry/exporter-metrics-otlp-http": "0.223.0",
  "@opentelemetry/exporter-prometheus": "0.223.0",
  "@opentelemetry/exporter-trace-otlp-http": "0.223.0",
  "@opentelemetry/resources": "2.12.0",
  "@opentelemetry/sdk-metrics": "2.12.0",
  "@opentelemetry/sdk-trace-base": "2.12.0",
} as const;

export interface TelemetryPackages {
  api: typeof import("@opentelemetry/api");
  metrics: typeof import("@opentelemetry/sdk-metrics");
  prometheus: typeof import("@opentelemetry/exporter-prometheus");
  resources: typeof import("@opentelemetry/resources");
}

/** What a collector needs in addition. */
interface OtlpPackages {
  traces: typeof import("@opentelemetry/sdk-trace-base");
  metricExporter: typeof import("@opentelemetry/exporter-metrics-otlp-http");
  traceExporter: typeof import("@opentelemetry/exporter-trace-otlp-http");
}

export function loadPackages(): Promise<TelemetryPackages> {
  return load(async () => ({
    api: await import("@opentelemetry/api"),
    metrics: await import("@opentelemetry/sdk-metrics"),
    prometheus: await import("@opentelemetry/exporter-prometheus"),
    resources: await import("@opentelemetry/resources"),
  }));
}

export function loadOtlpPackages(): Promise<OtlpPackages> {
  return load(async () => ({
    traces: await import("@opentelemetry/sdk-trace-base"),
    metricExporter: await import("@opentelemetry/exporter-metrics-otlp-http"),
    traceExporter: await import("@opentelemetry/exporter-trace-otlp-http"),
  }));
}

async function load<T>(packages: () => Promise<T>): Promise<T> {
  try {
    return await packages();
  } catch (cause) {
    const reason = messageOf(cause);
    if (!isMissingPackage(cause)) {
      throw new ConfigError(`Cannot load OpenTelemetry for --telemetry: ${reason}`, { cause });
    }
    throw new ConfigError(
      `Cannot use --telemetry: the OpenTelemetry packages are not installed; install them next to dewy: ${installCommand(PACKAGES, import.meta.url)}`,
      { cause },
    );
  }
}
