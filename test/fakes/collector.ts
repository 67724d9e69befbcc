import { expect } from "vitest";
import { type Served, serveFetch } from "./serve.ts";

/** An OpenTelemetry collector that takes OTLP over HTTP as JSON, and refuses what is not. */
export interface FakeCollector extends Served {
  /** What it has taken, by path. */
  readonly taken: { path: string; headers: Headers; body: Export }[];
  /** Answers the next requests instead. */
  answers: (() => Response | Promise<Response>)[];
}

/** https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md#json-protobuf-encoding */
export interface Export {
  resourceSpans?: { resource: Attributed; scopeSpans: { spans: OtlpSpan[] }[] }[];
  resourceMetrics?: { resource: Attributed; scopeMetrics: { metrics: { name: string }[] }[] }[];
}

interface Attributed {
  attributes: { key: string; value: Record<string, unknown> }[];
}

export interface OtlpSpan extends Attributed {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: { code: number; message?: string };
  events: { name: string }[];
}

export async function serveCollector(): Promise<FakeCollector> {
  const taken: FakeCollector["taken"] = [];
  const served = await serveFetch(async (request) => {
    const { pathname } = new URL(request.url);
    const answer = collector.answers.shift();
    if (answer !== undefined) return answer();
    if (request.method !== "POST") return new Response(null, { status: 405 });
    if (request.headers.get("content-type") !== "application/json") {
      return new Response(null, { status: 415 });
    }
    taken.push({
      path: pathname,
      headers: request.headers,
      body: JSON.parse(await request.text()),
    });
    return Response.json({});
  });
  const collector: FakeCollector = { ...served, taken, answers: [] };
  return collector;
}

/** Checks what a collector relies on, and returns the spans of all exports. */
export function spansOf(exports: readonly Export[]): OtlpSpan[] {
  const spans = exports.flatMap(({ resourceSpans = [] }) =>
    resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
  );
  const ids = new Set(spans.map(({ spanId }) => spanId));
  expect(ids.size).toBe(spans.length);
  for (const { traceId, spanId, parentSpanId, ...span } of spans) {
    expect(traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(spanId).toMatch(/^[0-9a-f]{16}$/);
    if (parentSpanId) expect(ids).toContain(parentSpanId);
    expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano));
    for (const { key, value } of span.attributes) {
      expect(key).toMatch(/^[a-z][a-z_]*(\.[a-z][a-z_]*)+$/);
      expect(Object.keys(value)).toHaveLength(1);
    }
  }
  return spans;
}

/** The attributes as an object. */
export function attributesOf({ attributes }: Attributed): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
