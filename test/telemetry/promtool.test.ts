import { spawnSync } from "node:child_process";
import { expect, test, vi } from "vitest";
import { prometheusName } from "../../src/telemetry/prometheus.ts";
import { METRICS, type MetricSpec } from "../../src/telemetry/table.ts";
import { missingPeer } from "../peers/missing_peer.ts";
import { everything, opened, STATUS } from "./opened.ts";

const noPromtool = missingPeer(["promtool"], "prometheus");

test("has a value for every metric of the table", async () => {
  const { types } = await (await everything()).metrics();
  const names = Object.entries(METRICS).map(([name, { kind, unit }]: [string, MetricSpec]) =>
    prometheusName(name, unit, kind === "counter"),
  );
  expect([...types.keys()].sort()).toEqual(["target_info", ...names].sort());
  expect([...types.keys()].slice(1)).toEqual(names.sort());
});

test("attributes of the resource that get the same or an invalid name spoil no scrape", async () => {
  vi.stubEnv("OTEL_RESOURCE_ATTRIBUTES", "a.b=1,a_b=2,1st=x,__name__=y,quoted=%22%0Aevil%201");
  const text = await (await opened()).text();
  vi.unstubAllEnvs();
  expect(text.split("\n")[2]).toBe(
    'target_info{a_b="2",_1st="x",_name_="y",quoted="\\"\\nevil 1",service_name="dewy",service_version="1.2.3"} 1',
  );
});

test("a hostile tag stays in its label", async () => {
  const tag = 'v1"} 1\nevil{a="\\';
  const live = { tag, directory: "/", since: "2026-01-02T03:00:00.000Z" };
  const text = await (await opened({ status: async () => ({ ...STATUS, live }) })).text();
  expect(text).toContain(String.raw`version="v1\"} 1\nevil{a=\"\\"`);
  expect(text).not.toMatch(/^evil/m);
});

test.skipIf(noPromtool !== undefined)(
  `promtool has nothing to say${noPromtool ?? ""}`,
  async () => {
    const input = await (await everything()).text();
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], {
      input,
      encoding: "utf8",
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
  },
);
