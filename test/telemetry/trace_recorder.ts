import * as api from "@opentelemetry/api";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import type { Clock } from "../../src/core/clock.ts";
import type { Redact } from "../../src/core/secret.ts";
import { DeployTraces } from "../../src/telemetry/deploy_traces.ts";

export interface RecordedTraces {
  traces: DeployTraces;
  /** The spans as they ended, each with its children below it, indented by depth: `deploy`, `  stage`, … */
  outline(): string[];
  span(name: string): ReadableSpan;
  spans(): readonly ReadableSpan[];
}

export function recordTraces(
  clock: Pick<Clock, "now">,
  { redact = (text) => text, sampler }: { redact?: Redact; sampler?: Sampler } = {},
): RecordedTraces {
  const exporter = new InMemorySpanExporter();
  const spanProcessors = [new SimpleSpanProcessor(exporter)];
  const provider = new BasicTracerProvider({ spanProcessors, ...(sampler && { sampler }) });
  const tracer = provider.getTracer("test");
  const spans = (): readonly ReadableSpan[] => exporter.getFinishedSpans();
  const below = (parent: string | undefined, depth: number): string[] =>
    spans()
      .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)
      .flatMap((span) => [
        `${"  ".repeat(depth)}${span.name}`,
        ...below(span.spanContext().spanId, depth + 1),
      ]);
  return {
    traces: new DeployTraces({ tracer, api, clock, redact, attributes: { "dewy.app": "shop" } }),
    spans,
    outline: () => below(undefined, 0),
    span: (name) => {
      const found = spans().filter((span) => span.name === name);
      if (found.length !== 1 || found[0] === undefined) {
        throw new Error(`${found.length} spans are named ${name}`);
      }
      return found[0];
    },
  };
}

export function millis([seconds, nanoseconds]: api.HrTime): number {
  return seconds * 1_000 + nanoseconds / 1e6;
}
