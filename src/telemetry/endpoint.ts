import type { Environment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import { isLoopbackHost } from "../core/private_address.ts";
import { redactUrl } from "../core/url.ts";

export interface OtlpConfig {
  /** `host:port` or a URL. */
  otlpEndpoint: string | undefined;
  /** Whether the endpoint may be `http://`, which is then also the default. */
  otlpInsecure: boolean;
}

export type Signal = "metrics" | "traces";

/**
 * Where to send the metrics or the traces; `undefined` if nowhere. The flag takes precedence over the variables.
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
 */
export function endpointOf(
  signal: Signal,
  { otlpEndpoint, otlpInsecure }: OtlpConfig,
  env: Environment,
): URL | undefined {
  const of = (name: string): string | undefined => env[name]?.trim() || undefined;
  if (of(`OTEL_${signal.toUpperCase()}_EXPORTER`)?.toLowerCase() === "none") return undefined;
  if (otlpEndpoint !== undefined) {
    const what = "--otlp-endpoint";
    const base = readUrl(otlpEndpoint, what, otlpInsecure);
    if (base.protocol === "http:" && !otlpInsecure && !isLoopbackHost(base.hostname)) {
      throw invalid(what, otlpEndpoint, "http:// is not encrypted; --otlp-insecure allows it");
    }
    return withPath(base, signal);
  }
  const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`;
  const ownText = of(own);
  if (ownText !== undefined) return readUrl(ownText, own, otlpInsecure);
  const shared = "OTEL_EXPORTER_OTLP_ENDPOINT";
  const text = of(shared);
  return text === undefined ? undefined : withPath(readUrl(text, shared, otlpInsecure), signal);
}

function readUrl(text: string, what: string, insecure: boolean): URL {
  const scheme = insecure ? "http" : "https";
  const full = text.includes("://") ? text : `${scheme}://${text}`;
  const expected = "expected <host>:<port> or an http:// or https:// URL";
  // URL takes a number for an address, and a path without a host for a host.
  if (!URL.canParse(full) || /^(\d+$|\/)/.test(text)) throw invalid(what, text, expected);
  const url = new URL(full);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw invalid(what, text, expected);
  if (url.username !== "" || url.password !== "") {
    const hint = "it must not have credentials; use OTEL_EXPORTER_OTLP_HEADERS";
    throw invalid(what, text, hint);
  }
  return url;
}

/** Tolerates a URL that already has the path of a signal. */
function withPath(base: URL, signal: Signal): URL {
  const url = new URL(base);
  url.pathname = `${base.pathname.replace(/(\/v1\/(metrics|traces))?\/*$/, "")}/v1/${signal}`;
  return url;
}

function invalid(what: string, text: string, why: string): ConfigError {
  return new ConfigError(`Invalid value for ${what} "${redactUrl(text)}": ${why}`);
}
