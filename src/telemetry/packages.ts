import { ConfigError } from "../core/error.ts";

/** The OpenTelemetry packages, which are optional and only loaded with `--telemetry`. */
export interface TelemetryPackages {
  api: typeof import("@opentelemetry/api");
  metrics: typeof import("@opentelemetry/sdk-metrics");
  prometheus: typeof import("@opentelemetry/exporter-prometheus");
  resources: typeof import("@opentelemetry/resources");
}

export async function loadPackages(): Promise<TelemetryPackages> {
  try {
    const [api, metrics, prometheus, resources] = await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/sdk-metrics"),
      import("@opentelemetry/exporter-prometheus"),
      import("@opentelemetry/resources"),
    ]);
    return { api, metrics, prometheus, resources };
  } catch (cause) {
    throw new ConfigError(
      "Cannot use --telemetry: the OpenTelemetry packages are not installed; install them: npm install @opentelemetry/api @opentelemetry/sdk-metrics @opentelemetry/exporter-prometheus @opentelemetry/resources",
      { cause },
    );
  }
}
