import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { AlwaysOffSampler } from "@opentelemetry/sdk-trace-base";
import { describe, expect, test } from "vitest";
import { AbortedError, DeployError, NotFoundError } from "../../src/core/error.ts";
import { type DewyEvent, fanOut } from "../../src/core/event.ts";
import { failedEvent } from "../../src/deploy/loop.ts";
import { candidate, deploy, never, type TestWorld, testWorld } from "../deploy/world.ts";
import { fakeClock } from "../fakes/clock.ts";
import { millis, type RecordedTraces, recordTraces } from "./trace_recorder.ts";

const NOW = Date.UTC(2026, 0, 1);

/** The real sequence, without a network and a disk. */
function tracedWorld(): TestWorld & { recorded: RecordedTraces } {
  const world = testWorld();
  const recorded = recordTraces(world.io.clock);
  world.io.emit = fanOut([world.io.emit, recorded.traces.sink]);
  return Object.assign(world, { recorded });
}

function request(url: string, durationMs: number, status: number | "none" = 200): DewyEvent {
  const answered = status === "none" ? undefined : status;
  return { type: "request", method: "GET", url, status: answered, durationMs, attempt: 1 };
}

function eventsOf(clock = fakeClock({ now: NOW })) {
  const recorded = recordTraces(clock);
  const emit = (...events: readonly DewyEvent[]): void => {
    for (const event of events) recorded.traces.sink(event);
  };
  /** A phase, with events in it. */
  const phase = (
    name: "stage" | "before" | "activate" | "verify" | "bake" | "commit",
    ms: number,
    ...events: readonly DewyEvent[]
  ): void => {
    emit({ type: "phase-started", phase: name, tag: "v2" });
    clock.advance(ms);
    emit(...events, { type: "phase", phase: name, tag: "v2", durationMs: ms });
  };
  return { clock, emit, phase, ...recorded };
}

const deployed: DewyEvent = {
  type: "deployed",
  command: "server",
  tag: "v2",
  previousTag: "v1",
  directory: "/srv/app/releases/2",
  durationMs: 1,
};

describe("the trace of a deploy", () => {
  test("has a span per phase and hook of the sequence, below one root", async () => {
    const { io, hooks, recorded } = tracedWorld();
    Object.assign(hooks, { before: 0, after: 0 });
    await deploy(candidate("v1.0.0"), io, never());
    expect(recorded.outline()).toEqual([
      "deploy",
      "  stage",
      "  before",
      "    before-deploy hook",
      "  activate",
      "  verify",
      "  commit",
      "  after-deploy hook",
    ]);
    expect(new Set(recorded.spans().map((span) => span.spanContext().traceId)).size).toBe(1);
    expect(recorded.span("deploy").attributes).toEqual({
      "dewy.app": "shop",
      "dewy.tag": "v1.0.0",
      "dewy.outcome": "deployed",
      "deployment.status": "succeeded",
    });
  });

  test("begins with the first call of its poll, and has each call in its phase", () => {
    const { clock, emit, phase, outline, span } = eventsOf();
    emit(request("https://api.example.com/stale", 5), { type: "polled", outcome: "fine" });
    clock.advance(10_000);
    emit(request("https://api.example.com/releases?page=2", 300));
    clock.advance(100);
    const message = { ...request("https://hooks.slack.com/…", 90), isNotification: true as const };
    phase("stage", 2_000, message, request("https://cdn.example.com:8443/app.tar.gz", 500));
    phase("verify", 1_000);
    emit(deployed);
    expect(outline()).toEqual(["deploy", "  resolve", "    GET", "  stage", "    GET", "  verify"]);
    const [root, resolve] = [span("deploy"), span("resolve")];
    expect(millis(root.startTime)).toBe(NOW + 10_000 - 300);
    expect(millis(root.endTime)).toBe(NOW + 13_100);
    expect(millis(resolve.endTime)).toBe(NOW + 10_100);
    expect(millis(span("stage").duration)).toBe(2_000);
  });

  test("describes a call as the conventions for HTTP clients ask", () => {
    const { phase, emit, spans } = eventsOf();
    const failed = request("https://api.example.com/a", 20, "none");
    phase("stage", 50, request("https://cdn.example.com:8443/b?c=…", 30), failed);
    emit(deployed);
    const [ok, bad] = spans();
    expect(ok).toMatchObject({ name: "GET", kind: SpanKind.CLIENT });
    expect(ok?.attributes).toEqual({
      "http.request.method": "GET",
      "http.response.status_code": 200,
      "url.full": "https://cdn.example.com:8443/b?c=…",
      "server.address": "cdn.example.com",
      "server.port": 8443,
    });
    expect(ok?.status.code).toBe(SpanStatusCode.UNSET);
    expect(bad?.attributes).toMatchObject({ "error.type": "network" });
    expect(bad?.status.code).toBe(SpanStatusCode.ERROR);
  });

  test("has the bake as a phase of its own, without the calls of the polls meanwhile", () => {
    const { phase, emit, outline } = eventsOf();
    phase("stage", 5);
    phase("verify", 5);
    phase("bake", 60_000, request("https://api.example.com/releases", 5));
    phase("commit", 5);
    emit(deployed);
    expect(outline()).toEqual(["deploy", "  stage", "  verify", "  bake", "  commit"]);
  });

  test("shows downloads, extraction and the time to ready", () => {
    const { phase, emit, outline, span } = eventsOf();
    const stage = { tag: "v2", durationMs: 10 };
    phase(
      "stage",
      50,
      { type: "downloaded", artifact: "app.tar.gz", bytes: 9, resumedFrom: 4, ...stage },
      { type: "extracted", directory: "/srv", entries: 2, bytes: 18, ...stage },
    );
    const ready: DewyEvent = {
      type: "generation-ready",
      tag: "v2",
      generation: 3,
      pid: 1,
      reason: "deploy",
      durationMs: 7,
    };
    phase("verify", 50, ready);
    emit(deployed);
    // A restart later is not part of it.
    emit(ready);
    expect(outline()).toEqual([
      "deploy",
      "  stage",
      "    download",
      "    extract",
      "  verify",
      "    get ready",
    ]);
    expect(span("download").attributes).toMatchObject({
      "dewy.bytes": 9,
      "dewy.resumed_from_bytes": 4,
    });
    expect(millis(span("get ready").duration)).toBe(7);
  });

  test("names the operator who asked for it, and a retry", () => {
    const { phase, emit, span } = eventsOf();
    emit({ type: "ordered", command: "deploy v2", operator: { user: "alice" } });
    const { method, url } = { method: "GET", url: "https://api.example.com/" };
    phase("stage", 5, {
      type: "retry",
      method,
      url,
      reason: "it answered 503",
      delayMs: 250,
      attempt: 1,
    });
    emit({ ...deployed, operator: { user: "alice" } });
    expect(span("deploy").attributes).toMatchObject({ "dewy.operator": "alice" });
    expect(span("stage").events).toMatchObject([
      { name: "retry", attributes: { "dewy.reason": "it answered 503", "dewy.delay_ms": 250 } },
    ]);
  });
});

describe("a deploy that fails", () => {
  test("has the error in its phase and its root, and the rollback", async () => {
    const world = tracedWorld();
    const { io, fail, recorded } = world;
    await deploy(candidate("v1.0.0"), io, never());
    fail.verify = new DeployError("verify", "the app exited with exit code 1", {
      fault: "release",
    });
    const error = await deploy(candidate("v2.0.0"), io, never()).catch((thrown) => thrown);
    io.emit(failedEvent(error, 1, { tag: "v2.0.0", retryInMs: 1_000 }));
    const mine = recorded
      .spans()
      .filter((span) => span.spanContext().traceId === traceOf(recorded, "v2.0.0"));
    expect(mine.map(({ name }) => name)).toEqual([
      "stage",
      "before",
      "activate",
      "verify",
      "rollback",
      "deploy",
    ]);
    const [verify, root] = [mine[3], mine[5]];
    const message = "Cannot deploy v2.0.0: the app exited with exit code 1";
    for (const span of [verify, root]) {
      expect(span?.status).toEqual({ code: SpanStatusCode.ERROR, message });
      expect(span?.attributes).toMatchObject({ "error.type": "deploy", "dewy.fault": "release" });
      expect(span?.events).toMatchObject([
        { name: "exception", attributes: { "exception.message": message } },
      ]);
    }
    expect(root?.attributes).toMatchObject({
      "dewy.outcome": "rolled-back",
      "dewy.rolled_back_to": "v1.0.0",
      "deployment.status": "failed",
      "dewy.retry_in_ms": 1_000,
    });
  });

  test("has no secret in its texts", () => {
    const recorded = recordTraces(fakeClock(), {
      redact: (text) => text.replaceAll("hunter2", "…"),
    });
    const error = new NotFoundError("Cannot GET https://example.com/hunter2: not found");
    for (const event of [
      { type: "phase-started", phase: "stage", tag: "v2" },
      { ...request("https://example.com/hunter2", 5) },
      { type: "phase-failed", phase: "stage", tag: "v2", error, durationMs: 1 },
      { ...request("https://example.com/report", 0) },
      failedEvent(error, 1, { tag: "v2" }),
    ] as const) {
      recorded.traces.sink(event);
    }
    expect(recorded.outline()).toEqual(["deploy", "  stage", "    GET", "  GET"]);
    const shown = recorded.spans().map(({ attributes, events, status }) => {
      return { attributes, events, status };
    });
    expect(JSON.stringify(shown)).not.toContain("hunter2");
    expect(JSON.stringify(shown)).toContain("https://example.com/…");
  });

  test.each([
    [{ type: "superseded", tag: "v2", by: "v3" }, "superseded"],
    [{ type: "given-up", tag: "v2", reason: "pinned to v1 by alice" }, "given-up"],
  ] as const)("or was given up ends with its outcome: %j", (event, outcome) => {
    const { emit, span } = eventsOf();
    const error = new AbortedError("The deploy of v2 was given up");
    emit({ type: "phase-started", phase: "stage", tag: "v2" });
    emit({ type: "phase-failed", phase: "stage", tag: "v2", error, durationMs: 5 }, event);
    expect(span("stage").status.code).toBe(SpanStatusCode.UNSET);
    expect(span("deploy").attributes).toMatchObject({ "dewy.outcome": outcome });
    expect(span("deploy").attributes).not.toHaveProperty("deployment.status");
    expect(span("deploy").status.code).toBe(SpanStatusCode.UNSET);
  });
});

describe("traces", () => {
  test("are not made of polls that deploy nothing, of failed polls and of crashes", () => {
    const { emit, spans, traces } = eventsOf();
    emit(
      request("https://api.example.com/releases", 5, 304),
      { type: "unchanged", tag: "v1" },
      { type: "polled", outcome: "fine" },
      failedEvent(new NotFoundError("Cannot find the repository"), 1),
      { type: "polled", outcome: "unreachable" },
      { type: "rolled-back", tag: "v1", to: "v0", reason: "it keeps crashing" },
    );
    traces.close();
    expect(spans()).toEqual([]);
  });

  test("show an operator's rollback, with its hook", () => {
    const { clock, emit, outline, span, traces } = eventsOf();
    const operator = { user: "alice" };
    emit({ type: "ordered", command: "rollback", operator });
    clock.advance(700);
    const id = traces.traceIdOf("v2");
    emit({ type: "rolled-back", tag: "v2", to: "v1", reason: "asked for by alice", operator });
    expect(id).toBe(span("rollback").spanContext().traceId);
    const result = {
      when: "after" as const,
      command: "true",
      exitCode: 0,
      stdout: "",
      stderr: "",
      durationMs: 5,
      timedOut: false,
    };
    emit({ type: "hook", tag: "v1", result });
    expect(outline()).toEqual(["rollback", "  after-deploy hook"]);
    expect(millis(span("rollback").duration)).toBe(700);
    expect(span("rollback").attributes).toMatchObject({
      "dewy.tag": "v1",
      "dewy.previous_tag": "v2",
      "dewy.operator": "alice",
    });
  });

  test("show an operator's rollback that fails, but none that is refused", () => {
    const { emit, spans, span } = eventsOf();
    const [command, operator] = ["rollback v1", { user: "alice" }];
    emit({ type: "ordered", command, operator });
    emit({ type: "refused", command, operator, reason: "v1 is marked bad" });
    emit(failedEvent(new DeployError("stage", "no space left"), 1, { tag: "v3" }));
    expect(spans()).toEqual([]);
    emit({ type: "ordered", command, operator });
    emit(failedEvent(new DeployError("verify", "it exited"), 1, { tag: "v1" }));
    expect(span("rollback").status).toEqual({ code: SpanStatusCode.ERROR, message: "it exited" });
    expect(span("rollback").attributes).toMatchObject({
      "dewy.tag": "v1",
      "dewy.outcome": "failed",
    });
  });

  test("end as interrupted when dewy stops, and go on as resumed in the next process", () => {
    const before = eventsOf();
    before.phase("stage", 5);
    before.emit({ type: "phase-started", phase: "verify", tag: "v2" });
    before.traces.close();
    expect(before.outline()).toEqual(["deploy", "  stage", "  verify"]);
    expect(before.span("deploy").attributes).toMatchObject({ "dewy.outcome": "interrupted" });
    const after = eventsOf();
    after.emit(request("https://api.example.com/releases", 5));
    after.phase("verify", 5);
    after.phase("commit", 5);
    after.emit(deployed);
    expect(after.span("deploy").attributes).toMatchObject({ "dewy.resumed": true });
    expect(after.outline()).toEqual(["deploy", "  verify", "  commit"]);
  });

  test("have an id while they are under way, unless they are not sampled", () => {
    const { emit, traces, span } = eventsOf();
    expect(traces.traceIdOf("v2")).toBeUndefined();
    emit({ type: "phase-started", phase: "stage", tag: "v2" });
    const id = traces.traceIdOf("v2");
    emit(deployed);
    expect(id).toBe(span("deploy").spanContext().traceId);
    const unsampled = recordTraces(fakeClock(), { sampler: new AlwaysOffSampler() });
    unsampled.traces.sink({ type: "phase-started", phase: "stage", tag: "v2" });
    expect(unsampled.traces.traceIdOf("v2")).toBeUndefined();
  });

  test("of deploys that end without an event do not pile up, nor do the calls of a long poll", () => {
    const { emit, spans } = eventsOf();
    for (let call = 0; call < 500; call += 1) emit(request("https://api.example.com/", 5));
    for (let patch = 0; patch < 20; patch += 1) {
      emit({ type: "phase-started", phase: "stage", tag: `v1.0.${patch}` });
    }
    expect(spans().filter(({ name }) => name === "GET")).toHaveLength(200);
    expect(spans().filter(({ name }) => name === "deploy")).toHaveLength(12);
    emit({ type: "phase-started", phase: "stage", tag: "v1.0.19" });
    expect(spans().filter(({ name }) => name === "deploy")).toHaveLength(13);
  });
});

function traceOf(recorded: RecordedTraces, tag: string): string | undefined {
  return recorded
    .spans()
    .find(({ attributes }) => attributes["dewy.tag"] === tag)
    ?.spanContext().traceId;
}
