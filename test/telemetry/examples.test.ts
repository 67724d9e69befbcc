import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { prometheusName } from "../../src/telemetry/prometheus.ts";
import { METRICS, type MetricSpec } from "../../src/telemetry/table.ts";
import { missingPeer } from "../peers/missing_peer.ts";
import { ROOT } from "../runtime/runtimes.ts";

const ALERTS = join(ROOT, "examples/alerts");
const rules = readFileSync(join(ALERTS, "dewy.rules.yml"), "utf8");
const ruleTests = readFileSync(join(ALERTS, "dewy.test.yml"), "utf8");
const dashboard = readFileSync(join(ROOT, "examples/grafana/dewy.json"), "utf8");

/** The labels of every series that dewy has, by its name. */
const LABELS = new Map(
  Object.entries(METRICS).flatMap(([name, { kind, unit, attributes }]: [string, MetricSpec]) => {
    const shown = prometheusName(name, unit, kind === "counter");
    const names =
      kind === "histogram" ? ["bucket", "sum", "count"].map((one) => `${shown}_${one}`) : [shown];
    return names.map((one) => [one, new Set<string>(attributes)] as const);
  }),
);
/** What Prometheus itself adds, and the bound of a bucket. */
const COMMON = ["instance", "job", "le"];

describe.each([
  ["examples/alerts/dewy.rules.yml", rules, 15],
  ["examples/alerts/dewy.test.yml", ruleTests, 15],
  ["examples/grafana/dewy.json", dashboard, 35],
])("%s", (_, text, atLeast) => {
  const names = [...new Set([...text.matchAll(/\bdewy_\w+/g)].map(([name]) => name))];

  test("has no metric that dewy does not have", () => {
    expect(names.filter((name) => !LABELS.has(name))).toEqual([]);
    expect(names.length).toBeGreaterThanOrEqual(atLeast);
  });

  test("selects by labels that the metric has", () => {
    const unknown = [...text.matchAll(/\b(dewy_\w+)\{([^}]*)\}/g)].flatMap(
      ([selector, name = "", matchers = ""]) =>
        [...matchers.matchAll(/(\w+)(?:=~|!=|=)\\?"/g)]
          .map(([, label = ""]) => label)
          .filter((label) => !COMMON.includes(label) && !LABELS.get(name)?.has(label))
          .map((label) => `${selector}: ${label}`),
    );
    expect(unknown).toEqual([]);
  });
});

test("every metric is on the dashboard, but for what other panels say", () => {
  const shown = new Set([...dashboard.matchAll(/\bdewy_\w+/g)].map(([name]) => name));
  const missing = Object.entries(METRICS).filter(
    ([name, { kind, unit }]: [string, MetricSpec]) =>
      ![...shown].some((one) => one.startsWith(prometheusName(name, unit, kind === "counter"))),
  );
  expect(missing.map(([name]) => name).sort()).toEqual([
    "dewy.container.last_terminated.exit_code",
    "dewy.container.oom_killed",
    "dewy.container.restarts",
    "dewy.container.started.timestamp",
    "dewy.healthchecks.total",
    "dewy.listing.age",
    "dewy.poll.next.delay",
    "dewy.proxy.connection.duration",
    "dewy.versions.skipped",
  ]);
});

test("every alert has a test in which it fires", () => {
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const fired = [...ruleTests.matchAll(/alertname: (\w+)\n\s+exp_alerts:\n/g)].map(
    ([, name]) => name,
  );
  expect(alerts.length).toBeGreaterThan(10);
  expect(new Set(fired)).toEqual(new Set(alerts));
});

const noPromtool = missingPeer(["promtool"], "prometheus");

test.skipIf(noPromtool !== undefined)(noPromtool ?? "promtool finds the alerts right", () => {
  const check = spawnSync("promtool", ["check", "rules", "--lint-fatal", "dewy.rules.yml"], {
    cwd: ALERTS,
    encoding: "utf8",
  });
  expect(check.stderr).toBe("");
  expect(check.status).toBe(0);
  const output = execFileSync("promtool", ["test", "rules", "dewy.test.yml"], {
    cwd: ALERTS,
    encoding: "utf8",
  });
  expect(output).toContain("SUCCESS");
});
