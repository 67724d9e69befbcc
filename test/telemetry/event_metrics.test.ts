import { describe, expect, test } from "vitest";
import { DeployError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { opened } from "./opened.ts";

type EventOf<T extends DewyEvent["type"]> = Extract<DewyEvent, { type: T }>;

const request = (
  url: string,
  status: number | undefined,
  { method = "GET" } = {},
): EventOf<"request"> => ({ type: "request", method, url, status, durationMs: 5, attempt: 1 });

const phase = (name: EventOf<"phase">["phase"], tag: string, durationMs: number): DewyEvent => ({
  type: "phase",
  phase: name,
  tag,
  durationMs,
});

const failed = (name: EventOf<"failed">["phase"]): EventOf<"failed"> => ({
  type: "failed",
  phase: name,
  tag: "v1",
  error: new DeployError("verify", "Cannot deploy v1"),
  count: 1,
  retryInMs: undefined,
});

const rolledBack = { type: "rolled-back", tag: "v2", to: "v1", reason: "broken" } as const;

describe("requests to upstreams", () => {
  test.each([
    [200, "success"],
    [302, "success"],
    [304, "not-modified"],
    [404, "client-error"],
    [429, "rate-limited"],
    [503, "server-error"],
    [undefined, "failed"],
  ])("with status %s are counted as %s", async (status, outcome) => {
    const { emit, metrics } = await opened();
    emit(request("https://api.github.com/repos/o/a", status));
    const { value } = await metrics();
    const labels = { host: "api.github.com", method: "GET", outcome, app: "blog" };
    expect(value("dewy_upstream_requests_total", labels)).toBe(1);
  });

  test("have no more than twenty hosts and one other method", async () => {
    const { emit, metrics } = await opened();
    for (let host = 0; host < 50; host += 1) {
      emit(request(`https://${host}.example.com/?secret=${host}`, 200));
      emit(request("https://0.example.com/", 200, { method: `M${host}` }));
      emit({
        type: "retry",
        method: "GET",
        url: `https://${host}.example.com/`,
        reason: "503",
        delayMs: 1,
        attempt: 1,
      });
    }
    const { samples, value } = await metrics();
    const hosts = samples.filter(({ name }) => name === "dewy_upstream_requests_total");
    expect(hosts).toHaveLength(22);
    expect(value("dewy_upstream_requests_total", { host: "other" })).toBe(30);
    expect(value("dewy_upstream_requests_total", { method: "other" })).toBe(50);
    expect(value("dewy_upstream_retries_total", { host: "other" })).toBe(30);
    expect(value("dewy_upstream_retries_total", { host: "19.example.com" })).toBe(1);
  });
});

test("a poll is counted by its outcome", async () => {
  const { emit, metrics } = await opened();
  emit({ type: "polled", outcome: "fine" }, { type: "polled", outcome: "unreachable" });
  const { value } = await metrics();
  expect(value("dewy_polls_total", { outcome: "fine" })).toBe(1);
  expect(value("dewy_polls_total", { outcome: "unreachable" })).toBe(1);
  expect(value("dewy_polls_total", { outcome: "failed" })).toBe(0);
});

describe("deploys", () => {
  test("are counted and timed, in buckets of the Go dewy", async () => {
    const { emit, metrics } = await opened();
    emit({
      type: "deployed",
      command: "server",
      tag: "v1",
      previousTag: undefined,
      directory: "/opt/blog/releases/a",
      durationMs: 7_500,
    });
    const { value } = await metrics();
    expect(value("dewy_deployments_total", { command: "server" })).toBe(1);
    expect(value("dewy_deployment_duration_seconds_sum")).toBe(7.5);
    expect(value("dewy_deployment_duration_seconds_bucket", { le: "5" })).toBe(0);
    expect(value("dewy_deployment_duration_seconds_bucket", { le: "10" })).toBe(1);
  });

  test("that fail are errors, but not polls that fail", async () => {
    const { emit, metrics } = await opened();
    emit(failed("resolve"), failed("verify"), failed("stage"));
    expect((await metrics()).value("dewy_deployment_errors_total")).toBe(2);
  });

  test("have a time for each phase, and the bake is one of its own", async () => {
    const { emit, metrics } = await opened();
    emit(phase("stage", "v1", 2_000), phase("verify", "v1", 3_000), phase("bake", "v1", 60_000));
    emit(phase("verify", "v1", 4_000));
    const { value } = await metrics();
    const sum = (name: string) =>
      value("dewy_deployment_phase_duration_seconds_sum", { phase: name, command: "server" });
    expect({ stage: sum("stage"), verify: sum("verify"), bake: sum("bake") }).toEqual({
      stage: 2,
      verify: 7,
      bake: 60,
    });
  });
});

test("rollbacks are counted by their cause", async () => {
  const { emit, metrics } = await opened();
  emit(rolledBack, rolledBack, { ...rolledBack, operator: { user: "alice" } });
  const { value } = await metrics();
  expect(value("dewy_rollbacks_total", { cause: "failure" })).toBe(2);
  expect(value("dewy_rollbacks_total", { cause: "operator" })).toBe(1);
});

test("the time to ready has generations and replicas", async () => {
  const { emit, metrics } = await opened();
  emit({
    type: "replica-ready",
    tag: "v1",
    container: "a-1-0",
    address: "127.0.0.1:1",
    durationMs: 200,
  });
  const { value } = await metrics();
  expect(value("dewy_app_ready_duration_seconds_count")).toBe(1);
  expect(value("dewy_app_ready_duration_seconds_bucket", { le: "0.1" })).toBe(0);
  expect(value("dewy_app_ready_duration_seconds_bucket", { le: "0.25" })).toBe(1);
});

test("crashes, lost replicas and crash loops are counted", async () => {
  const { emit, metrics } = await opened();
  emit(
    {
      type: "app-exited",
      tag: "v1",
      generation: 1,
      pid: 2,
      code: 1,
      signal: null,
      lastLines: [],
      restartInMs: 1_000,
    },
    {
      type: "replica-lost",
      tag: "v1",
      container: "a-1-0",
      reason: "exited",
      lastLines: [],
      replaceInMs: 0,
    },
    { type: "crash-loop", tag: "v1", crashes: 5, action: "going back to v0" },
  );
  const { value } = await metrics();
  expect(value("dewy_server_crashes_total")).toBe(1);
  expect(value("dewy_container_lost_total")).toBe(1);
  expect(value("dewy_app_crash_loops_total")).toBe(1);
});

test("the times of the proxy's connections are in the buckets of the Go dewy", async () => {
  const { metrics } = await opened({
    observeProxy: (observer) => {
      observer.connected(80, 0.003);
      observer.closed(80, 30);
    },
  });
  const { value } = await metrics();
  const port = { proxy_port: "80" };
  expect(value("dewy_proxy_connect_latency_seconds_bucket", { ...port, le: "0.001" })).toBe(0);
  expect(value("dewy_proxy_connect_latency_seconds_bucket", { ...port, le: "0.005" })).toBe(1);
  expect(value("dewy_proxy_connection_duration_seconds_bucket", { ...port, le: "25" })).toBe(0);
  expect(value("dewy_proxy_connection_duration_seconds_bucket", { ...port, le: "50" })).toBe(1);
});
