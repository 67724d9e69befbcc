import { expect, onTestFinished, test } from "vitest";
import type { DewyEvent, EventSink } from "../../src/core/event.ts";
import { openTelemetry, type Telemetry } from "../../src/telemetry/open.ts";
import { fakeClock } from "../fakes/clock.ts";
import { attributesOf, type FakeCollector, serveCollector, spansOf } from "../fakes/collector.ts";
import { STATUS } from "./opened.ts";

const clock = fakeClock();
const hanging = (): Promise<Response> => new Promise(() => {});

function telemetryFor(
  { url }: FakeCollector,
  emit: EventSink = () => {},
  env: Record<string, string> = {},
): Promise<Telemetry> {
  return openTelemetry({
    config: { otlpEndpoint: url, otlpInsecure: false },
    env,
    instance: { name: "blog", mode: "server", version: "1.2.3" },
    status: async () => STATUS,
    emit,
    clock,
    redact: (text) => text,
  });
}

async function collectorOf(): Promise<FakeCollector> {
  const collector = await serveCollector();
  onTestFinished(() => collector.close());
  return collector;
}

test("what is left is sent at the end, also the trace of a deploy that is under way", async () => {
  const collector = await collectorOf();
  const telemetry = await telemetryFor(collector);
  telemetry.sink({ type: "phase-started", phase: "stage", tag: "v2" });
  await telemetry.close(5_000);
  const spans = spansOf(collector.taken.map(({ body }) => body));
  expect(spans.map(({ name }) => name).sort()).toEqual(["deploy", "stage"]);
  const [root] = spans.filter(({ name }) => name === "deploy").map(attributesOf);
  expect(root).toMatchObject({ "dewy.app": "blog", "dewy.outcome": "interrupted" });
  expect(collector.taken.map(({ path }) => path).sort()).toEqual(["/v1/metrics", "/v1/traces"]);
});

test("a collector that does not answer at the end is given its time, then a warning", async () => {
  const collector = await collectorOf();
  const messages: unknown[] = [];
  const telemetry = await telemetryFor(collector, (event) => {
    if (event.type === "warning") messages.push(event.message);
  });
  collector.answers = [hanging, hanging];
  const closed = telemetry.close(5_000);
  await clock.sleeping(5_000);
  clock.advance(5_000);
  await closed;
  expect(messages).toEqual(["The last telemetry was not sent"]);
});

test("one that has failed before is given less, and is not reported again", async () => {
  const collector = await collectorOf();
  collector.answers = [() => new Response("no", { status: 400 }), ...Array(20).fill(hanging)];
  const events: DewyEvent[] = [];
  let failed = (): void => {};
  const hasFailed = new Promise<void>((resolve) => {
    failed = resolve;
  });
  const emit = (event: DewyEvent): void => {
    events.push(event);
    failed();
  };
  const telemetry = await telemetryFor(collector, emit, { OTEL_METRIC_EXPORT_INTERVAL: "20" });
  await hasFailed;
  const closed = telemetry.close(5_000);
  await clock.sleeping(500);
  clock.advance(500);
  await closed;
  expect(events).toHaveLength(1);
});
