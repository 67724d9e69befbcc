import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missingEngine } from "../../peers/container_engine.ts";
import { missingDockerRegistry } from "../../peers/docker_registry.ts";
import { type Metrics, parseMetrics } from "../../support/prometheus.ts";
import { type CliRuntime, cliRuntimes, until } from "../dewy.ts";
import { deployed } from "../server/served_app.ts";
import { type ContainerPeers, serveContainers, startContainerPeers } from "./served_containers.ts";

const [NODE] = cliRuntimes as [CliRuntime, ...CliRuntime[]];
const missing = missingEngine("docker") ?? missingDockerRegistry();

describe.skipIf(missing !== undefined)(missing ?? "the metrics of dewy container", () => {
  let peers: ContainerPeers;
  beforeAll(async () => {
    peers = await startContainerPeers("docker");
  });
  afterAll(() => peers?.stop());

  it("are those of the containers, the proxy and the health checks", async () => {
    const app = await serveContainers(peers, NODE);
    await app.publish("v1.0.0");
    const dewy = app.start(["--replicas", "2", "--telemetry"]);
    await deployed(dewy, "v1.0.0");
    const { url } = await dewy.seen("the port", ({ protocols }) => protocols === "admin API");
    const metrics = async (): Promise<Metrics> =>
      parseMetrics(await (await fetch(`${url}/metrics`)).text());
    await (await fetch(`http://127.0.0.1:${app.port}/`)).text();

    const { samples, value } = await metrics();
    const [name, proxy] = [{ app: app.app }, { proxy_port: String(app.port) }];
    expect({
      version: value("dewy_app_info", { ...name, version: "v1.0.0", command: "container" }),
      wanted: value("dewy_container_desired_replicas", name),
      ready: value("dewy_container_ready_replicas", name),
      running: value("dewy_container_replicas", name),
      backends: value("dewy_proxy_backends", proxy),
      becameReady: value("dewy_app_ready_duration_seconds_count", name),
    }).toEqual({ version: 1, wanted: 2, ready: 2, running: 2, backends: 2, becameReady: 2 });
    expect(value("dewy_healthchecks_total")).toBeGreaterThanOrEqual(2);
    expect(value("dewy_proxy_connections_total", proxy)).toBeGreaterThanOrEqual(1);
    expect(value("dewy_proxy_connect_latency_seconds_count", proxy)).toBeGreaterThanOrEqual(1);

    const infos = samples.filter((one) => one.name === "dewy_container_info");
    expect(infos.map(({ labels }) => [labels.replica, labels.version]).sort()).toEqual([
      ["0", "v1.0.0"],
      ["1", "v1.0.0"],
    ]);
    for (const container of infos.map(({ labels }) => labels.container ?? "")) {
      expect(value("dewy_container_status", { container, state: "running" })).toBe(1);
      expect(value("dewy_container_restarts", { container })).toBe(0);
      const startedAt = value("dewy_container_started_timestamp_seconds", { container });
      expect(Math.abs(Number(startedAt) - Date.now() / 1_000)).toBeLessThan(120);
    }

    const [first] = await app.containers();
    await peers.engine.run("kill", first?.id ?? "");
    await until(
      async () => (await metrics()).value("dewy_container_lost_total", name) === 1,
      () => "the lost container",
    );
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
  });
});
