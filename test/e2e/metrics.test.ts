import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { freePorts } from "../peers/ports.ts";
import { missingPrometheus, startPrometheus } from "../peers/prometheus.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { type CliRuntime, cliRuntimes, startDewy, until } from "./dewy.ts";
import { filePublisher } from "./publishers.ts";
import { killAllNaming } from "./server/processes.ts";

const noPrometheus = missingPrometheus();
const RULES = join(ROOT, "examples/alerts/dewy.rules.yml");
const APP = `require("node:http").createServer((_, response) => response.end("hi"))
  .listen(process.env.PORT, "127.0.0.1");
`;

/** Runs an app behind dewy's proxy, and sends it one request. Returns the address of dewy's metrics. */
async function serve({ command, name }: CliRuntime, registry: string): Promise<string> {
  const [cwd, [port = 0, adminPort = 0]] = [await tempDirectory(), await freePorts(2)];
  const app = join(cwd, "app.cjs");
  onTestFinished(() => killAllNaming(app));
  await writeFile(app, APP);
  const dewy = startDewy(
    command,
    [
      ...["server", "--registry", registry, "--name", name, "--interval", "2s", "--bake", "0"],
      ...["--log-level", "info", "--log-format", "json", "--handoff", "proxy", "-p", `${port}`],
      ...["--telemetry", "--admin-port", `${adminPort}`, "--", process.execPath, app],
    ],
    { cwd },
  );
  await dewy.seen("the deploy", ({ msg }) => msg === "Deployed");
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
  expect(await response.text()).toBe("hi");
  return `127.0.0.1:${adminPort}`;
}

test.skipIf(noPrometheus !== undefined)(
  noPrometheus ?? "Prometheus scrapes dewy on each runtime, and evaluates alerts and dashboard",
  async () => {
    const publisher = await filePublisher();
    await publisher.publish("v1.2.3", await makeArtifact("v1.2.3"));
    const targets = await Promise.all(cliRuntimes.map((one) => serve(one, publisher.url)));
    const prometheus = await startPrometheus(targets, { ruleFile: RULES });
    const answers = async (expression: string): Promise<unknown> => {
      const found = await prometheus.query(expression);
      return Object.fromEntries(found.map(({ labels, value }) => [labels.instance, value]));
    };
    const everywhere = (value: number) => Object.fromEntries(targets.map((one) => [one, value]));

    await until(
      async () => (await prometheus.query("dewy_app_info")).length === targets.length,
      () => "the first scrapes",
    );
    const versions = await prometheus.query("dewy_app_info");
    expect(
      versions.map(({ labels }) => [labels.app, labels.version, labels.command]).sort(),
    ).toEqual(cliRuntimes.map(({ name }) => [name, "v1.2.3", "server"]).sort());
    expect(await answers("dewy_deployments_total")).toEqual(everywhere(1));
    expect(await answers('dewy_app_health{state="serving"}')).toEqual(everywhere(1));
    expect(await answers('dewy_proxy_requests_total{outcome="answered"}')).toEqual(everywhere(1));
    expect(await answers("dewy_proxy_connect_latency_seconds_count > bool 0")).toEqual(
      everywhere(1),
    );
    expect(await answers("dewy_app_ready_duration_seconds_count")).toEqual(everywhere(1));
    expect(await answers("dewy_poll_success_age_seconds < bool 60")).toEqual(everywhere(1));

    for (const expression of dashboardExpressions()) await prometheus.query(expression);
    await until(
      async () => (await prometheus.rules()).every(({ health }) => health !== "unknown"),
      () => "the first evaluation of the rules",
    );
    const rules = await prometheus.rules();
    expect(rules.filter(({ health }) => health !== "ok")).toEqual([]);
    expect(rules.filter(({ state }) => state === "firing")).toEqual([]);
  },
);

/** The queries of the dashboard, with its variables set. */
function dashboardExpressions(): string[] {
  const text = readFileSync(join(ROOT, "examples/grafana/dewy.json"), "utf8");
  const dashboard = JSON.parse(text, (_, value) =>
    typeof value === "string"
      ? value.replaceAll("$instance", ".+").replaceAll("$__rate_interval", "1m")
      : value,
  );
  const { panels, annotations } = dashboard as {
    panels: { targets?: { expr: string }[] }[];
    annotations: { list: { expr: string }[] };
  };
  const found = [...panels.flatMap(({ targets = [] }) => targets), ...annotations.list];
  expect(found.length).toBeGreaterThan(30);
  return found.map(({ expr }) => expr);
}
