import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { metricsText } from "../../src/admin/answer.ts";
import { METRICS, type MetricName, type MetricSpec } from "../../src/telemetry/table.ts";
import { parseSample } from "../support/prometheus.ts";
import { container, everything, MEASURES, opened, ready, STATUS } from "./opened.ts";

interface Case {
  name: string;
  op: string;
  in: Record<string, unknown>;
  out: unknown;
}

const { cases }: { cases: readonly Case[] } = JSON.parse(
  readFileSync(new URL("../vectors/metrics.json", import.meta.url), "utf8"),
);
const ofOp = (op: string): readonly Case[] => cases.filter((one) => one.op === op);
const caseOf = (name: string): Case => cases.find((one) => one.name === name) as Case;

const KINDS: Readonly<Record<string, MetricSpec["kind"]>> = {
  "Counter (int)": "counter",
  "UpDownCounter (int)": "up-down-counter",
  "ObservableGauge (int)": "gauge",
};

describe("an instrument of the Go dewy", () => {
  interface Instrument {
    type: string;
    unit: string;
    attributes: readonly string[];
    description: string;
    prometheusName: string;
    prometheusType: string;
  }

  test.each(ofOp("instrument"))("$name is the same", async ({ name, out }) => {
    const expected = out as Instrument;
    const { kind, unit, attributes, description } = METRICS[name as MetricName];
    expect({ kind, unit, attributes: [...attributes].sort(), description }).toEqual({
      kind: KINDS[expected.type],
      unit: expected.unit,
      attributes: [...expected.attributes].sort(),
      description: expected.description,
    });
    const { help, types, samples } = await (await everything()).metrics();
    expect(help.get(expected.prometheusName)).toBe(expected.description);
    expect(types.get(expected.prometheusName)).toBe(expected.prometheusType);
    const sample = samples.find((one) => one.name === expected.prometheusName);
    const labels = Object.keys(sample?.labels ?? {}).filter((label) => !label.startsWith("otel_"));
    expect(labels.sort()).toEqual([...expected.attributes].sort());
  });

  test("has a series for each of the six states of a container", async () => {
    const { samples } = await (await everything()).metrics();
    const states = samples.filter(
      ({ name, labels }) => name === "dewy_container_status" && labels.container === "app-1-1",
    );
    expect(states.map(({ labels, value }) => [labels.state, value])).toEqual([
      ["created", 0],
      ["running", 0],
      ["paused", 0],
      ["restarting", 0],
      ["exited", 1],
      ["dead", 0],
    ]);
  });

  test("is left out if it says nothing about a container", async () => {
    const { metrics } = await opened({
      containers: async () => [container({ started_at: "0001-01-01T00:00:00Z" })],
    });
    const { samples } = await metrics();
    const names = new Set(samples.map(({ name }) => name));
    expect(names).toContain("dewy_container_info");
    expect(names).not.toContain("dewy_container_started_timestamp_seconds");
    expect(names).not.toContain("dewy_container_oom_killed");
    expect(names).not.toContain("dewy_container_last_terminated_exit_code");
  });
});

describe("the Prometheus text of the Go dewy", () => {
  const { out } = caseOf("all instruments");
  const expected = out as { contentType: string; typeLines: string[]; sampleLines: string[] };

  test("has the same content type", () => {
    expect(metricsText("").headers.get("content-type")).toBe(expected.contentType);
  });

  test.each(expected.typeLines)("%s", async (line) => {
    const text = await (await everything()).text();
    expect(text.split("\n")).toContain(line);
  });

  // An empty label is the same as none: https://prometheus.io/docs/concepts/data_model/
  const known = (labels: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));

  test.each(expected.sampleLines)("has the series %s", async (line) => {
    const { name, labels } = parseSample(line);
    const { metrics } = await opened({
      instance: { name: "app", mode: "container", version: "1.2.3" },
      measure: () => MEASURES,
      containers: async () => [
        container(),
        container({
          name: "app-1-1",
          labels: { "dewy.replica": "1", "dewy.version": "v1" },
        }),
      ],
    });
    const { samples } = await metrics();
    const series = samples.filter((one) => one.name === name).map((one) => known(one.labels));
    expect(series).toContainEqual(known(labels));
  });

  test("starts with the target, and every counter at 0", async () => {
    const lines = caseOf("nothing recorded yet").out as string[];
    const { text, metrics } = await opened();
    expect((await text()).split("\n").slice(0, 3)).toEqual(lines);
    const { samples, types } = await metrics();
    const counters = samples.filter(({ name }) => types.get(name) === "counter");
    expect(counters.map(({ value }) => value)).toEqual(counters.map(() => 0));
    expect(counters.length).toBeGreaterThan(5);
  });

  test("has the start of a container as a Unix timestamp", async () => {
    const { value } = await (await everything()).metrics();
    const { value: expectedAt } = parseSample(
      expected.sampleLines.find((line) => line.startsWith("dewy_container_started")) ?? "",
    );
    expect(value("dewy_container_started_timestamp_seconds", { container: "app-1-0" })).toBe(
      expectedAt,
    );
  });
});

describe("the attribute", () => {
  test.each(caseOf("command").out as string[])("command can be %s", async (command) => {
    const { metrics } = await opened({
      instance: { name: "app", mode: command as "server", version: "1.2.3" },
    });
    expect((await metrics()).value("dewy_deployments_total", { command })).toBe(0);
  });

  test("proxy_port is text", async () => {
    const { out } = caseOf("proxy_port is a number in OTLP and text in Prometheus");
    const { prometheus } = out as { prometheus: string };
    const { metrics } = await opened({ measure: () => MEASURES });
    const { value } = await metrics();
    expect(value("dewy_proxy_connections_total", { proxy_port: prometheus })).toBe(7);
  });
});

describe("the observer of containers", () => {
  test("caches what it has seen for 5 s", async () => {
    const { in: given, out } = caseOf("result cached for 5 s");
    let calls = 0;
    const { clock, metrics } = await opened({
      containers: async () => {
        calls += 1;
        return [container()];
      },
    });
    expect(await countedAt(given.atSeconds as number[], clock, metrics, () => calls)).toEqual(
      (out as { observations: number[] }).observations,
    );
  });

  test("reports nothing after a failure, and caches it", async () => {
    const { in: given, out } = caseOf("a failure reports nothing and is cached as well");
    const expected = out as { observations: number[]; reported: boolean[] };
    let calls = 0;
    const { clock, metrics } = await opened({
      containers: async () => {
        calls += 1;
        throw new Error("no engine");
      },
    });
    const reported: boolean[] = [];
    const observe = async () => {
      const { samples } = await metrics();
      reported.push(samples.some(({ name }) => name.startsWith("dewy_container_replicas")));
    };
    expect(await countedAt(given.atSeconds as number[], clock, observe, () => calls)).toEqual(
      expected.observations,
    );
    expect(reported).toEqual(expected.reported);
  });

  test("gives an inspection 2 s, and aborts it then", async () => {
    const { out } = caseOf("an inspection has 2 s");
    let signal: AbortSignal | undefined;
    const { clock, metrics } = await opened({
      status: async () => STATUS,
      containers: (given) => {
        signal = given;
        return new Promise(() => {});
      },
    });
    const collected = metrics();
    await clock.sleeping(2_000);
    clock.advance(1_999);
    expect(signal?.aborted).toBe(false);
    clock.advance(1);
    const { samples } = await collected;
    const reported = samples.some(({ name }) => name.startsWith("dewy_container"));
    expect({ reported }).toEqual(out);
    expect(signal?.aborted).toBe(true);
    expect(samples.some(({ name }) => name === "dewy_paused")).toBe(true);
  });
});

/** What a counter says after a collection at each time. */
async function countedAt(
  seconds: readonly number[],
  clock: { advance(ms: number): void },
  collect: () => Promise<unknown>,
  count: () => number,
): Promise<number[]> {
  const counts: number[] = [];
  let now = 0;
  for (const at of seconds) {
    clock.advance((at - now) * 1_000);
    now = at;
    await collect();
    counts.push(count());
  }
  return counts;
}

test("restarts are counted by reason, and deployments by command", async () => {
  const { out } = caseOf("counted per reason; deployments carry the command");
  const expected = out as { restarts: Record<string, number>; "deployments.command": string };
  const { emit, metrics } = await opened();
  const reasons = ["start", "deploy", "signal"] as const;
  emit(...reasons.map((reason, generation) => ready({ reason, generation })));
  const { samples, value } = await metrics();
  const restarts = samples.filter(
    (one) => one.name === "dewy_server_restarts_total" && one.value > 0,
  );
  expect(Object.fromEntries(restarts.map(({ labels, value }) => [labels.reason, value]))).toEqual(
    expected.restarts,
  );
  const command = expected["deployments.command"];
  expect(value("dewy_deployments_total", { command })).toBe(0);
});
