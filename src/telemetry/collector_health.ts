import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Redact } from "../core/secret.ts";
import { redactUrl } from "../core/url.ts";
import { networkCause } from "../http/network_cause.ts";
import type { Signal } from "./endpoint.ts";

/** The port that collectors use for gRPC: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-default-port */
const GRPC_PORT = "4317";

/** Warns once when a collector does not take telemetry, and once when it takes it again. */
export class CollectorHealth {
  readonly #emit: EventSink;
  readonly #redact: Redact;
  /** The reasons by signal. */
  readonly #failing = new Map<Signal, string>();

  constructor({ emit, redact }: { emit: EventSink; redact: Redact }) {
    this.#emit = emit;
    this.#redact = redact;
  }

  get isFailing(): boolean {
    return this.#failing.size > 0;
  }

  /** Returns the function to call with the outcome of each export. */
  watcher(signal: Signal, url: string): (error: Error | undefined) => void {
    return (error) =>
      error === undefined ? this.#succeeded(signal, url) : this.#failed(signal, url, error);
  }

  #succeeded(signal: Signal, url: string): void {
    if (!this.#failing.delete(signal) || this.#failing.size > 0) return;
    const fields = { collector: redactUrl(url) };
    this.#emit({ type: "warning", message: "Telemetry is sent again", fields });
  }

  #failed(signal: Signal, url: string, error: Error): void {
    const reason = this.#redact(reasonOf(error));
    const isKnown = this.#failing.has(signal) || [...this.#failing.values()].includes(reason);
    this.#failing.set(signal, reason);
    if (isKnown) return;
    const message = "Telemetry cannot be sent; deploys continue, and what is not sent is dropped";
    const hint = hintOf(url, error);
    const fields = {
      collector: redactUrl(url),
      error: reason,
      ...(hint !== undefined && { hint }),
    };
    this.#emit({ type: "warning", important: true, message, fields });
  }
}

/** Of an answer, the exporters give the status, or no more than that a retry could succeed. */
function statusOf(error: Error): number | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === "number" ? code : undefined;
}

function reasonOf(error: Error): string {
  const status = statusOf(error);
  if (status !== undefined) return `it answered ${status} ${messageOf(error)}`.trim();
  if (/retryable status/.test(messageOf(error))) {
    return "it is overloaded or not available (429, 502, 503 or 504)";
  }
  return networkCause(error).reason;
}

function hintOf(url: string, error: Error): string | undefined {
  const status = statusOf(error);
  if (new URL(url).port === GRPC_PORT) {
    return "this port is usually that of OTLP over gRPC; dewy uses HTTP, usually on port 4318";
  }
  if (networkCause(error).kind === "not-tls") return "use http://, or --otlp-insecure";
  if (status === 401 || status === 403) return "check OTEL_EXPORTER_OTLP_HEADERS";
  if (status === 404 || status === 405) return "check the path of --otlp-endpoint";
  return undefined;
}
