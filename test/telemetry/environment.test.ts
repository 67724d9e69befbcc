import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  isDisabled,
  readMilliseconds,
  TELEMETRY_ENVIRONMENT,
} from "../../src/telemetry/environment.ts";
import { ROOT } from "../runtime/runtimes.ts";

test("every variable of the packages with credentials in it is a secret", async () => {
  const packages = join(ROOT, "node_modules", "@opentelemetry");
  const secrets = TELEMETRY_ENVIRONMENT.filter(({ secret }) => secret !== false);
  const names = secrets.map(({ name }) => name);
  const base = join(packages, "otlp-exporter-base", "build", "esnext", "configuration");
  const sources = (await readdir(base)).filter((file) => file.endsWith(".js"));
  const texts = await Promise.all(sources.map((file) => readFile(join(base, file), "utf8")));
  const read = texts.join().matchAll(/OTEL_EXPORTER_OTLP_(?:\$\{signalIdentifier\}_)?HEADERS/g);
  const signals = ["METRICS", "TRACES"];
  const expected = [...read].flatMap(([name]) =>
    signals.map((signal) => name.replace(/\$\{\w+\}/, signal)),
  );
  expect(new Set(names)).toEqual(new Set(expected));
});

test.each([
  ["true", true],
  [" TRUE ", true],
  ["false", false],
  ["1", false],
  [undefined, false],
])("OTEL_SDK_DISABLED=%s disables telemetry: %s", (value, disabled) => {
  expect(isDisabled({ OTEL_SDK_DISABLED: value })).toBe(disabled);
});

test.each([
  ["500", 500],
  ["0", undefined],
  ["-5", undefined],
  ["fast", undefined],
  [undefined, undefined],
])("an interval of %s is %s", (value, ms) => {
  expect(
    readMilliseconds({ OTEL_METRIC_EXPORT_INTERVAL: value }, "OTEL_METRIC_EXPORT_INTERVAL"),
  ).toBe(ms);
});
