import { expect, test } from "vitest";
import { ConfigError } from "../../src/core/error.ts";
import { endpointOf } from "../../src/telemetry/endpoint.ts";

const NO_FLAGS = { otlpEndpoint: undefined, otlpInsecure: false };

const flag = (otlpEndpoint: string, otlpInsecure = false) => ({ otlpEndpoint, otlpInsecure });

test.each([
  ["collector:4318", "https://collector:4318/v1/traces"],
  ["localhost:4318", "https://localhost:4318/v1/traces"],
  ["[::1]:4318", "https://[::1]:4318/v1/traces"],
  ["https://otlp.example.com", "https://otlp.example.com/v1/traces"],
  ["https://otlp.example.com/otlp/", "https://otlp.example.com/otlp/v1/traces"],
  ["https://otlp.example.com/otlp?tenant=1", "https://otlp.example.com/otlp/v1/traces?tenant=1"],
  ["https://otlp.example.com/v1/metrics", "https://otlp.example.com/v1/traces"],
  ["http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"],
])("--otlp-endpoint %s sends traces to %s", (text, url) => {
  expect(endpointOf("traces", flag(text), {})?.href).toBe(url);
});

test("--otlp-insecure allows http://, which is then the default", () => {
  expect(endpointOf("metrics", flag("collector:4318", true), {})?.href).toBe(
    "http://collector:4318/v1/metrics",
  );
  expect(endpointOf("metrics", flag("https://collector:4318", true), {})?.protocol).toBe("https:");
});

test.each([
  [flag("http://collector:4318"), "--otlp-insecure allows it"],
  [flag("collector:port"), "expected <host>:<port>"],
  [flag("4318"), "expected <host>:<port>"],
  [flag("/run/collector.sock"), "expected <host>:<port>"],
  [flag("grpc://collector:4317"), "expected <host>:<port>"],
  [flag("https://token@collector:4318"), "OTEL_EXPORTER_OTLP_HEADERS"],
])("%j is refused", (config, text) => {
  const read = (): unknown => endpointOf("traces", config, {});
  expect(read).toThrow(ConfigError);
  expect(read).toThrow(text);
});

test("the variables name a base URL, or the URL of one signal", () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/base" };
  expect(endpointOf("traces", NO_FLAGS, env)?.href).toBe("http://collector:4318/base/v1/traces");
  const own = { ...env, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://traces.example.com/in" };
  expect(endpointOf("traces", NO_FLAGS, own)?.href).toBe("https://traces.example.com/in");
  expect(endpointOf("metrics", NO_FLAGS, own)?.href).toBe("http://collector:4318/base/v1/metrics");
  expect(endpointOf("traces", flag("other:1"), own)?.href).toBe("https://other:1/v1/traces");
});

test("nothing is sent without an endpoint, or if a variable says so", () => {
  expect(endpointOf("traces", NO_FLAGS, { OTEL_EXPORTER_OTLP_ENDPOINT: " " })).toBeUndefined();
  const env = { OTEL_TRACES_EXPORTER: "none" };
  expect(endpointOf("traces", flag("collector:4318"), env)).toBeUndefined();
  expect(endpointOf("metrics", flag("collector:4318"), env)).toBeDefined();
});

test("an invalid variable is named, without the credentials in it", () => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "https://user:hunter2@collector" };
  const read = (): unknown => endpointOf("traces", NO_FLAGS, env);
  expect(read).toThrow(/^Invalid value for OTEL_EXPORTER_OTLP_ENDPOINT /);
  expect(read).not.toThrow("hunter2");
});
