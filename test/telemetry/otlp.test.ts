import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { resourceFromAttributes } from "@opentelemetry/resources";
import type { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { DewyEvent } from "../../src/core/event.ts";
import { CollectorHealth } from "../../src/telemetry/collector_health.ts";
import { type OtlpOptions, openOtlp } from "../../src/telemetry/otlp.ts";
import { type FakeCollector, serveCollector, spansOf } from "../fakes/collector.ts";

interface Sender {
  provider: BasicTracerProvider;
  warnings(): string[];
  /** Sends one span, and resolves when the export has ended, whatever its outcome. */
  send(): Promise<void>;
  isFailing(): boolean;
}

async function senderTo(url: string, options: Partial<OtlpOptions> = {}): Promise<Sender> {
  const events: DewyEvent[] = [];
  const otlp = await openOtlp({
    config: { otlpEndpoint: url, otlpInsecure: false },
    env: {},
    version: "1.2.3",
    emit: (event) => void events.push(event),
    redact: (text) => text,
    ...options,
  });
  const provider = otlp?.tracerProvider(resourceFromAttributes({ "service.name": "dewy" }));
  if (otlp === undefined || provider === undefined) throw new Error("nothing is sent");
  onTestFinished(() => provider.shutdown());
  return {
    provider,
    isFailing: otlp.isFailing,
    warnings: () =>
      events.flatMap((event) =>
        event.type === "warning" ? [`${event.message}: ${Object.values(event.fields ?? {})}`] : [],
      ),
    async send() {
      provider.getTracer("test").startSpan("deploy").end();
      await provider.forceFlush();
    },
  };
}

async function collectorOf(): Promise<FakeCollector> {
  const collector = await serveCollector();
  onTestFinished(() => collector.close());
  return collector;
}

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const refusing =
  (status: number, headers: Record<string, string> = {}) =>
  () =>
    new Response("no", { status, headers });

afterEach(() => vi.unstubAllEnvs());

/** Less than the pause before the first retry of the exporters. */
const WITHOUT_RETRIES = "700";

describe("telemetry for a collector", () => {
  test("arrives as JSON with the headers of the environment and the name of dewy", async () => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter22,x-tenant=shop");
    const collector = await collectorOf();
    const { send, warnings } = await senderTo(collector.url);
    await send();
    const [taken] = collector.taken;
    expect(taken?.path).toBe("/v1/traces");
    expect(taken?.headers.get("authorization")).toBe("Bearer hunter22");
    expect(taken?.headers.get("x-tenant")).toBe("shop");
    expect(taken?.headers.get("user-agent")).toMatch(/^dewy\/1\.2\.3 /);
    expect(spansOf(collector.taken.map(({ body }) => body))).toMatchObject([{ name: "deploy" }]);
    expect(warnings()).toEqual([]);
  });

  test("is not sent through a proxy, of which a warning tells", async () => {
    const env = { HTTPS_PROXY: "http://proxy.internal:3128" };
    const config = { otlpEndpoint: "https://otlp.example.com", otlpInsecure: false };
    const { warnings } = await senderTo("", { config, env });
    expect(warnings()).toEqual([
      expect.stringMatching(/does not use the proxy.*: otlp\.example\.com,proxy\.internal:3128$/),
    ]);
    const inner = { otlpEndpoint: "https://10.0.0.5:4318", otlpInsecure: false };
    expect((await senderTo("", { config: inner, env })).warnings()).toEqual([]);
  });

  test("needs the files that variables name", async () => {
    const env = { OTEL_EXPORTER_OTLP_CERTIFICATE: "/nowhere/ca.pem" };
    await expect(senderTo("https://127.0.0.1:1", { env })).rejects.toThrow(
      'Cannot read OTEL_EXPORTER_OTLP_CERTIFICATE "/nowhere/ca.pem"',
    );
    await expect(senderTo("http://127.0.0.1:1", { env })).resolves.toBeDefined();
  });
});

describe("a collector that fails", () => {
  test("is reported once, and once when it works again", async () => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_TIMEOUT", WITHOUT_RETRIES);
    const collector = await collectorOf();
    collector.answers = [refusing(503), refusing(503), refusing(503)];
    const { send, warnings, isFailing } = await senderTo(collector.url);
    for (let attempt = 0; attempt < 3; attempt += 1) await send();
    const traces = `${collector.url}/v1/traces`;
    expect(warnings()).toEqual([
      `Telemetry cannot be sent; deploys continue, and what is not sent is dropped: ${traces},` +
        "it is overloaded or not available (429, 502, 503 or 504)",
    ]);
    expect(isFailing()).toBe(true);
    await send();
    await send();
    expect(warnings().slice(1)).toEqual([`Telemetry is sent again: ${traces}`]);
    expect(isFailing()).toBe(false);
  });

  test("gets the telemetry again when it says", async () => {
    const collector = await collectorOf();
    collector.answers = [refusing(503, { "retry-after": "1" })];
    const { send, warnings } = await senderTo(collector.url);
    const startedAt = performance.now();
    await send();
    expect(performance.now() - startedAt).toBeGreaterThan(900);
    expect(collector.taken).toHaveLength(1);
    expect(warnings()).toEqual([]);
  });

  test.each([
    [401, "check OTEL_EXPORTER_OTLP_HEADERS"],
    [404, "check the path of --otlp-endpoint"],
  ])("with status %i comes with a hint", async (status, hint) => {
    const collector = await collectorOf();
    collector.answers = [refusing(status)];
    const { send, warnings } = await senderTo(collector.url);
    await send();
    expect(warnings()).toEqual([expect.stringContaining(`it answered ${status} `)]);
    expect(warnings()).toEqual([expect.stringContaining(hint)]);
  });

  test.each([
    ["refuses connections", async () => `http://127.0.0.1:${await closedPort()}`, /refused/],
    [
      "never answers",
      async () => {
        const collector = await collectorOf();
        collector.answers = [() => new Promise(() => {})];
        return collector.url;
      },
      /timed out/,
    ],
  ])("because it %s is reported with the reason", async (_, urlOf, reason) => {
    vi.stubEnv("OTEL_EXPORTER_OTLP_TIMEOUT", WITHOUT_RETRIES);
    const { send, warnings } = await senderTo(await urlOf());
    await send();
    expect(warnings()).toEqual([expect.stringMatching(reason)]);
  });

  test("for metrics and traces alike is reported once", () => {
    const messages: string[] = [];
    const emit = (event: DewyEvent): void => {
      if (event.type === "warning") messages.push(event.message);
    };
    const health = new CollectorHealth({ emit, redact: (text) => text });
    const metrics = health.watcher("metrics", "https://collector:4318/v1/metrics");
    const traces = health.watcher("traces", "https://collector:4318/v1/traces");
    const refused = Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
    for (const failed of [metrics, traces, metrics]) failed(refused);
    metrics(undefined);
    expect(messages).toHaveLength(1);
    traces(undefined);
    expect(messages).toEqual([expect.any(String), "Telemetry is sent again"]);
  });

  test.each([
    ["http://collector:4317", new Error("Parse Error"), "usually on port 4318"],
    ["https://collector:4318", new Error("wrong version number"), "--otlp-insecure"],
  ])("at %s with %s comes with a hint", (url, error, hint) => {
    const hints: unknown[] = [];
    const emit = (event: DewyEvent): void => {
      if (event.type === "warning") hints.push(event.fields?.hint);
    };
    const health = new CollectorHealth({ emit, redact: (text) => text });
    health.watcher("traces", `${url}/v1/traces`)(error);
    expect(hints).toEqual([expect.stringContaining(hint)]);
  });
});
