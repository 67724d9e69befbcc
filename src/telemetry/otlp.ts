/**
 * Sends metrics and traces to a collector over HTTP, by the exporters of OpenTelemetry. A collector that fails delays
 * and fails nothing: what it does not take is dropped.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import type { AgentOptions } from "node:https";
import type { Resource } from "@opentelemetry/resources";
import type { MetricProducer, MetricReader } from "@opentelemetry/sdk-metrics";
import type { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import type { Environment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { isPrivateHost } from "../core/private_address.ts";
import type { Redact } from "../core/secret.ts";
import { redactUrl } from "../core/url.ts";
import { proxyFor } from "../host/net/proxy_variables.ts";
import { readTrustedCertificates, withRuntimeRoots } from "../host/net/trust.ts";
import { CollectorHealth } from "./collector_health.ts";
import { endpointOf, type OtlpConfig, type Signal } from "./endpoint.ts";
import { readMilliseconds } from "./environment.ts";
import { loadOtlpPackages, type TelemetryPackages } from "./packages.ts";

export interface OtlpOptions {
  config: OtlpConfig;
  /** The value of `--ca-file`. */
  caFile?: string | undefined;
  env: Environment;
  /** That of dewy. */
  version: string;
  emit: EventSink;
  redact: Redact;
}

export interface Otlp {
  /** Sends the metrics at an interval. `undefined` if only traces are sent. */
  metricReader(packages: TelemetryPackages, producer: MetricProducer): MetricReader | undefined;
  /** `undefined` if only metrics are sent. */
  tracerProvider(resource: Resource): BasicTracerProvider | undefined;
  /** Where the traces are sent, or else the metrics. */
  collector: string;
  /** Whether the last export has failed. */
  isFailing(): boolean;
}

/** Returns `undefined` if neither the flag nor a variable names a collector. */
export async function openOtlp(options: OtlpOptions): Promise<Otlp | undefined> {
  const { config, env } = options;
  const metricsUrl = endpointOf("metrics", config, env);
  const tracesUrl = endpointOf("traces", config, env);
  if (metricsUrl === undefined && tracesUrl === undefined) return undefined;
  const { traces, metricExporter, traceExporter } = await loadOtlpPackages();
  const health = new CollectorHealth(options);
  const metrics = metricsUrl && (await exporterOptions("metrics", metricsUrl, options));
  const spans = tracesUrl && (await exporterOptions("traces", tracesUrl, options));
  warnOfProxy([metricsUrl, tracesUrl], options);
  return {
    metricReader({ metrics: sdk }, producer) {
      if (metrics === undefined) return undefined;
      const exporter = new metricExporter.OTLPMetricExporter(metrics);
      const exportIntervalMillis = readMilliseconds(env, "OTEL_METRIC_EXPORT_INTERVAL") ?? 60_000;
      const timeout = readMilliseconds(env, "OTEL_METRIC_EXPORT_TIMEOUT") ?? 30_000;
      return new sdk.PeriodicExportingMetricReader({
        exporter: watched(exporter, health.watcher("metrics", metrics.url)),
        exportIntervalMillis,
        exportTimeoutMillis: Math.min(timeout, exportIntervalMillis),
        metricProducers: [producer],
      });
    },
    tracerProvider(resource) {
      if (spans === undefined) return undefined;
      const exporter = new traceExporter.OTLPTraceExporter(spans);
      const watcher = health.watcher("traces", spans.url);
      const processor = new traces.BatchSpanProcessor(watched(exporter, watcher));
      return new traces.BasicTracerProvider({ resource, spanProcessors: [processor] });
    },
    collector: redactUrl((spans ?? metrics)?.url ?? ""),
    isFailing: () => health.isFailing,
  };
}

/** The exporters read the other options, such as headers and timeouts, from the environment. */
async function exporterOptions(signal: Signal, url: URL, options: OtlpOptions) {
  const httpAgentOptions = { keepAlive: true, ...(await tlsOptions(signal, url, options)) };
  return { url: url.href, userAgent: `dewy/${options.version}`, httpAgentOptions };
}

/** In addition to the files that the exporters know, those that every other connection of dewy trusts. */
async function tlsOptions(
  signal: Signal,
  url: URL,
  { env, caFile, emit }: OtlpOptions,
): Promise<AgentOptions> {
  if (url.protocol === "http:") return {};
  const read = (name: string): Promise<string | undefined> => readNamed(env, signal, name);
  const own = await read("CERTIFICATE");
  const trusted = [
    ...(await readTrustedCertificates(env, caFile, emit)),
    ...(own === undefined ? [] : [own]),
  ];
  return {
    ...(trusted.length > 0 && { ca: withRuntimeRoots(trusted) }),
    cert: await read("CLIENT_CERTIFICATE"),
    key: await read("CLIENT_KEY"),
  };
}

async function readNamed(
  env: Environment,
  signal: Signal,
  name: string,
): Promise<string | undefined> {
  const prefix = "OTEL_EXPORTER_OTLP_";
  const names = [`${prefix}${signal.toUpperCase()}_${name}`, `${prefix}${name}`];
  const variable = names.find((one) => env[one]?.trim()) ?? "";
  const path = env[variable]?.trim();
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`Cannot read ${variable} "${path}": ${messageOf(cause)}`, { cause });
  }
}

/** The exporters connect directly. */
function warnOfProxy(urls: readonly (URL | undefined)[], { env, emit }: OtlpOptions): void {
  const url = urls.find(
    (one) => one !== undefined && !isPrivateHost(one.hostname) && proxyFor(one, env) !== undefined,
  );
  if (url === undefined) return;
  emit({
    type: "warning",
    important: true,
    message:
      "Telemetry does not use the proxy; to silence this warning, add the collector's host to NO_PROXY",
    fields: { collector: url.host, proxy: proxyFor(url, env)?.host ?? "" },
  });
}

/** An export always succeeds for the SDK, which would otherwise report failures to the console. */
function watched<Items, E extends Exporter<Items>>(
  exporter: E & Exporter<Items>,
  settled: (error: Error | undefined) => void,
): E {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) =>
    send(items, ({ code, error }) => {
      settled(code === SUCCESS ? undefined : (error ?? new Error("the export failed")));
      done({ code: SUCCESS });
    });
  return exporter;
}

const SUCCESS = 0;

interface Exporter<Items> {
  export(items: Items, done: (result: { code: number; error?: Error }) => void): void;
}
