import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { MockOtlpServer } from "@elastic/mockotlpserver";
import { describe, expect, onTestFinished, test } from "vitest";
import { attributesOf, type Export, serveCollector, spansOf } from "../fakes/collector.ts";
import { startPrivateNetwork } from "../host/net/private_network.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { makeArtifact } from "./archive.ts";
import { cliRuntimes, liveVersion, runDewy, startDewy, until } from "./dewy.ts";
import { filePublisher, githubPublisher } from "./publishers.ts";

const LOG = ["--log-level", "info", "--log-format", "json"];

/** A collector of another project, behind TLS with a certificate of a private authority. */
async function privateCollector() {
  const exports: Export[] = [];
  const take = (body: Export): void => void exports.push(body);
  const collector = new MockOtlpServer({
    logLevel: "fatal",
    services: ["http"],
    httpHostname: "127.0.0.1",
    httpPort: 0,
    onTrace: take,
    onMetrics: take,
  });
  await collector.start();
  const network = await startPrivateNetwork((incoming, outgoing) => {
    const { url = "/", method, headers } = incoming;
    const forwarded = request(new URL(url, collector.httpUrl), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(forwarded);
  });
  onTestFinished(async () => {
    await network.close();
    await collector.close();
  });
  const { caFile, tlsUrl: url } = network;
  return { exports, caFile, url };
}

describe.each(cliRuntimes)("dewy with --otlp-endpoint on $name", ({ command }) => {
  test("sends the trace of a deploy and metrics over TLS", async () => {
    const { exports, url, caFile } = await privateCollector();
    const [publisher, cwd] = [await githubPublisher(), await tempDirectory()];
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const flags = ["--telemetry", "--otlp-endpoint", url, "--ca-file", caFile];
    const args = ["assets", "--registry", publisher.url, "--once", ...flags, ...LOG];
    const { code, stderr } = await runDewy(command, [...args, "--after-deploy-hook", "true"], {
      cwd,
      env: { ...publisher.env, OTEL_SERVICE_NAME: "shop", OTEL_RESOURCE_ATTRIBUTES: "team=a" },
    });
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/telemetry/i);
    const spans = spansOf(exports);
    const root = spans.find(({ name }) => name === "deploy");
    const children = spans.filter(({ parentSpanId }) => parentSpanId === root?.spanId);
    expect(children.map(({ name }) => name)).toEqual([
      "resolve",
      "stage",
      "before",
      "activate",
      "verify",
      "commit",
      "after-deploy hook",
    ]);
    expect(new Set(spans.map(({ traceId }) => traceId))).toEqual(new Set([root?.traceId]));
    const stage = children.find(({ name }) => name === "stage");
    const calls = spans.filter(({ parentSpanId, kind }) => kind === 3 && parentSpanId);
    expect(calls.some(({ parentSpanId }) => parentSpanId === stage?.spanId)).toBe(true);
    const metrics = exports.flatMap(({ resourceMetrics = [] }) => resourceMetrics);
    const names = metrics.flatMap(({ scopeMetrics }) =>
      scopeMetrics.flatMap((scope) => scope.metrics.map(({ name }) => name)),
    );
    expect(names).toContain("dewy.deployments.total");
    for (const { resource } of [...metrics, ...(exports[0]?.resourceSpans ?? [])]) {
      expect(attributesOf(resource)).toMatchObject({ "service.name": "shop", team: "a" });
    }
    const journal = await readFile(join(cwd, ".dewy", "journal.jsonl"), "utf8");
    expect(journal).toContain(`"traceId":"${root?.traceId}"`);
    expect(stderr).toContain(`"trace_id":"${root?.traceId}"`);
  });
});

describe("a collector that does not answer", () => {
  test("delays neither a deploy nor, for more than its limit, the end", async () => {
    const [command] = cliRuntimes.map((runtime) => runtime.command);
    if (command === undefined) throw new Error("there is no runtime");
    const collector = await serveCollector();
    onTestFinished(() => collector.close());
    collector.answers = Array.from({ length: 100 }, () => () => new Promise(() => {}));
    const [publisher, cwd] = [await filePublisher(), await tempDirectory()];
    await publisher.publish("v1.0.0", await makeArtifact("v1.0.0"));
    const flags = ["--telemetry", "--otlp-endpoint", collector.url];
    const args = ["assets", "--registry", publisher.url, "-i", "1s", ...flags, ...LOG];
    const env = {
      OTEL_METRIC_EXPORT_INTERVAL: "200",
      OTEL_EXPORTER_OTLP_TIMEOUT: "300",
      OTEL_BSP_SCHEDULE_DELAY: "100",
    };
    const dewy = startDewy(command, args, { cwd, env });
    await dewy.seen("the warning", ({ msg }) => msg.startsWith("Telemetry cannot be sent"));
    await publisher.publish("v1.1.0", await makeArtifact("v1.1.0"));
    await until(
      async () => (await liveVersion(cwd)) === "v1.1.0",
      () => dewy.stderr(),
    );
    await dewy.seen("the second deploy", ({ msg, tag }) => msg === "Deployed" && tag === "v1.1.0");
    const stoppedAt = performance.now();
    dewy.child.kill("SIGTERM");
    expect(await dewy.ended()).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(8_000);
    expect(dewy.lines().filter(({ msg }) => /telemetry/i.test(msg))).toHaveLength(1);
  });
});
