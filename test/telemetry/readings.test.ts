import { describe, expect, test } from "vitest";
import type { InstanceStatus } from "../../src/control/protocol.ts";
import { container, MEASURES, type Opened, opened, STATUS } from "./opened.ts";

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const at = (seconds: number): string => new Date(NOW + seconds * 1_000).toISOString();
const withStatus = (status: Partial<InstanceStatus>): Promise<Opened> =>
  opened({ status: async () => ({ ...STATUS, ...status }) });

describe("the live version", () => {
  test("is a label of an info metric, and only the one that is live", async () => {
    let tag = "v1.2.0";
    const { metrics } = await opened({
      status: async () => ({
        ...STATUS,
        live: { tag, directory: "/opt/blog/releases/a", since: at(-90) },
      }),
    });
    const before = await metrics();
    expect(before.value("dewy_app_info", { app: "blog", command: "server" })).toBe(1);
    expect(before.value("dewy_deployment_age_seconds", { app: "blog" })).toBe(90);
    tag = "v1.3.0";
    const { samples } = await metrics();
    expect(
      samples.filter(({ name }) => name === "dewy_app_info").map(({ labels }) => labels.version),
    ).toEqual(["v1.3.0"]);
  });

  test("is absent as long as no version is live", async () => {
    const { samples } = await (await opened()).metrics();
    const names = samples.map(({ name }) => name);
    expect(names).not.toContain("dewy_app_info");
    expect(names).not.toContain("dewy_deployment_age_seconds");
  });
});

describe("the age of the last successful poll", () => {
  const age = async ({ metrics }: Opened) =>
    (await metrics()).value("dewy_poll_success_age_seconds");

  test("counts from the start of dewy, then from each success", async () => {
    const telemetry = await opened();
    telemetry.clock.advance(40_000);
    expect(await age(telemetry)).toBe(40);
    telemetry.emit({ type: "polled", outcome: "fine" });
    telemetry.clock.advance(15_000);
    expect(await age(telemetry)).toBe(15);
  });

  test.each([
    ["fine", 0],
    ["waiting", 0],
    ["failed", 0],
    ["problem", 40],
    ["unreachable", 40],
  ] as const)("after a poll that ended as %s is %s s", async (outcome, expected) => {
    const telemetry = await opened();
    telemetry.clock.advance(40_000);
    telemetry.emit({ type: "polled", outcome });
    expect(await age(telemetry)).toBe(expected);
  });
});

describe("the next poll", () => {
  test.each([
    [at(30), 30],
    [at(-20), -20],
    [undefined, undefined],
  ])("at %s is in %s s", async (nextPollAt, expected) => {
    const { metrics } = await withStatus({ nextPollAt });
    expect((await metrics()).value("dewy_poll_next_delay_seconds")).toBe(expected);
  });
});

test("bad, skipped and waiting versions are counted", async () => {
  const waiting = (tag: string, why: string) => ({ tag, why, reason: why });
  const { metrics } = await withStatus({
    bad: [{ tag: "v2", reason: "crashed", at: at(-1) }],
    skipped: [
      { tag: "v3", user: "alice", at: at(-1) },
      { tag: "v4", user: "alice", at: at(-1) },
    ],
    waiting: [waiting("v5", "window"), waiting("v6", "window"), waiting("v7", "pinned")],
  });
  const { value } = await metrics();
  expect(value("dewy_versions_bad")).toBe(1);
  expect(value("dewy_versions_skipped")).toBe(2);
  expect(value("dewy_versions_waiting", { reason: "window" })).toBe(2);
  expect(value("dewy_versions_waiting", { reason: "pinned" })).toBe(1);
  expect(value("dewy_versions_waiting", { reason: "min-age" })).toBe(0);
});

test("a pin and a pause are 1 while they hold", async () => {
  const decision = { user: "alice", at: at(-1) };
  const free = await (await opened()).metrics();
  expect([free.value("dewy_pinned"), free.value("dewy_paused")]).toEqual([0, 0]);
  const held = await (
    await withStatus({
      pinned: { ...decision, tag: "v1" },
      paused: decision,
    })
  ).metrics();
  expect([held.value("dewy_pinned"), held.value("dewy_paused")]).toEqual([1, 1]);
});

test("the rate limit is by host", async () => {
  const { metrics } = await withStatus({
    rateLimits: [{ host: "api.github.com", remaining: 12, limit: 60, resetAt: at(600) }],
  });
  const { value } = await metrics();
  expect(value("dewy_rate_limit_remaining", { host: "api.github.com" })).toBe(12);
  expect(value("dewy_rate_limit_limit", { host: "api.github.com" })).toBe(60);
});

test("notifications that wait and that are lost are by notifier", async () => {
  const notifier = "slack+https://hooks.slack.com/…";
  const { metrics } = await withStatus({
    notifiers: [{ notifier, state: "failing", waiting: 3, lost: 2 }],
  });
  const { value, types } = await metrics();
  expect(value("dewy_notifications_waiting", { notifier })).toBe(3);
  expect(value("dewy_notifications_lost_total", { notifier })).toBe(2);
  expect(types.get("dewy_notifications_lost_total")).toBe("counter");
});

test("the health of the app is one state of six", async () => {
  const { metrics } = await withStatus({ app: { health: "degraded", restarts: 4 } });
  const { value, samples } = await metrics();
  expect(value("dewy_app_health", { state: "degraded" })).toBe(1);
  expect(value("dewy_app_health", { state: "serving" })).toBe(0);
  expect(samples.filter(({ name }) => name === "dewy_app_health")).toHaveLength(6);
  expect(value("dewy_app_restarts_total")).toBe(4);
});

test("the proxy's counters are by port", async () => {
  const { value, types } = await (await opened({ measure: () => MEASURES })).metrics();
  const port = { proxy_port: "8080" };
  expect({
    accepted: value("dewy_proxy_connections_total", port),
    active: value("dewy_proxy_connections_active", port),
    bytes: value("dewy_proxy_bytes_transferred_total", port),
    errors: value("dewy_proxy_errors_total", port),
    refused: value("dewy_proxy_refused_total", port),
    backends: value("dewy_proxy_backends", port),
    answered: value("dewy_proxy_requests_total", { ...port, outcome: "answered" }),
    interrupted: value("dewy_proxy_requests_total", { ...port, outcome: "interrupted" }),
    checks: value("dewy_healthchecks_total"),
    failures: value("dewy_healthchecks_failures_total"),
  }).toEqual({
    accepted: 7,
    active: 2,
    bytes: 1_000,
    errors: 4,
    refused: 1,
    backends: 1,
    answered: 20,
    interrupted: 1,
    checks: 12,
    failures: 4,
  });
  expect(types.get("dewy_proxy_connections_active")).toBe("gauge");
});

test("what looks the same is one series, because Prometheus refuses it twice", async () => {
  const [proxy] = MEASURES.proxies;
  const notifier = "discord+https://discord.com/…";
  const { metrics, emit } = await opened({
    status: async () => ({
      ...STATUS,
      notifiers: [
        { notifier, state: "fine", waiting: 1, lost: 0 },
        { notifier, state: "failing", waiting: 2, lost: 5 },
      ],
    }),
    // 127.0.0.1:8080 and [::1]:8080.
    measure: () => ({ ...MEASURES, proxies: proxy === undefined ? [] : [proxy, proxy] }),
  });
  emit({ type: "polled", outcome: "fine" });
  const { samples, value } = await metrics();
  const series = samples.map(({ name, labels }) => JSON.stringify([name, labels]));
  expect(series).toEqual([...new Set(series)]);
  expect(value("dewy_notifications_waiting", { notifier })).toBe(3);
  expect(value("dewy_notifications_lost_total", { notifier })).toBe(5);
  expect(value("dewy_proxy_connections_total", { proxy_port: "8080" })).toBe(14);
});

describe("containers", () => {
  test("that are gone have no series, and those that are there have theirs", async () => {
    let containers = [container()];
    const { clock, metrics } = await opened({
      containers: async () => containers,
      measure: () => ({ ...MEASURES, replicas: { wanted: 3, ready: 1 } }),
    });
    await metrics();
    containers = [
      container({ name: "app-2-0", status: "exited", exit_code: 137, oom_killed: true }),
    ];
    clock.advance(5_000);
    const { samples, value } = await metrics();
    const names = samples.flatMap(({ labels }) => labels.container ?? []);
    expect(new Set(names)).toEqual(new Set(["app-2-0"]));
    expect(value("dewy_container_last_terminated_exit_code")).toBe(137);
    expect(value("dewy_container_oom_killed")).toBe(1);
    expect(value("dewy_container_replicas", { app: "blog" })).toBe(0);
    expect(value("dewy_container_ready_replicas")).toBe(1);
    expect(value("dewy_container_desired_replicas")).toBe(3);
  });

  test("are at most a hundred, however many the engine has", async () => {
    const many = Array.from({ length: 300 }, (_, index) => container({ name: `app-1-${index}` }));
    const { samples, value } = await (await opened({ containers: async () => many })).metrics();
    expect(samples.filter(({ name }) => name === "dewy_container_info")).toHaveLength(100);
    expect(value("dewy_container_replicas")).toBe(300);
  });
});

describe("a source that fails", () => {
  test("costs only what it would have said", async () => {
    const { metrics } = await opened({
      status: async () => {
        throw new Error("state.json is not JSON");
      },
      measure: () => {
        throw new Error("the supervisor has ended");
      },
      containers: async () => [container()],
    });
    const { samples } = await metrics();
    const names = samples.map(({ name }) => name);
    expect(names).toContain("dewy_container_info");
    expect(names).toContain("dewy_poll_success_age_seconds");
    expect(names).not.toContain("dewy_paused");
  });

  test("has two seconds", async () => {
    const { clock, metrics } = await opened({
      status: () => new Promise(() => {}),
      measure: () => MEASURES,
    });
    const collected = metrics();
    await clock.sleeping(2_000);
    clock.advance(2_000);
    expect((await collected).value("dewy_healthchecks_total")).toBe(12);
  });
});
