import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { prometheusName } from "../../src/telemetry/prometheus.ts";
import { METRICS, type MetricSpec } from "../../src/telemetry/table.ts";
import { missingPeer } from "../peers/missing_peer.ts";
import { everything } from "./opened.ts";

const noPromtool = missingPeer(["promtool"], "prometheus");

test("has a value for every metric of the table", async () => {
  const { types } = await (await everything()).metrics();
  const names = Object.entries(METRICS).map(([name, { kind, unit }]: [string, MetricSpec]) =>
    prometheusName(name, unit, kind === "counter"),
  );
  expect([...types.keys()].sort()).toEqual(["target_info", ...names].sort());
  expect([...types.keys()].slice(1)).toEqual(names.sort());
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
