import { readFileSync } from "node:fs";
import { join } from "node:path";
import { transform } from "esbuild";
import type * as v from "valibot";
import { describe, expect, test } from "vitest";
import { splitUrl } from "../../src/core/url.ts";
import { JournalEntry } from "../../src/journal/entry.ts";
import type { Notification } from "../../src/notifiers/driver.ts";
import { https } from "../../src/notifiers/https/driver.ts";
import { ROOT } from "../runtime/runtimes.ts";
import { codeBlocks } from "../support/documents.ts";
import { type JsonSchema, schemaProblems } from "../support/json_schema.ts";
import { notifierContext } from "./context.ts";

const textOf = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const schema: JsonSchema = JSON.parse(textOf("docs/reference/notification.schema.json"));
const entrySchema = schema.properties?.entry ?? {};

const blocks = codeBlocks(textOf("docs/notifications.md"));
const example = JSON.parse(blocks.find(({ language }) => language === "json")?.code ?? "");
const head = blocks.find(({ code }) => code.startsWith("POST /dewy"))?.code ?? "";

/** What the webhook notifier sends. */
async function sent(notification: Notification, overrides = {}) {
  const context = notifierContext(overrides);
  context.server.on("POST https://hooks.example.com/dewy", new Response());
  const notifier = https.open(splitUrl("https://hooks.example.com/dewy", "--notifier"), context);
  await notifier?.send(notification, new AbortController().signal);
  const [request] = context.server.requests;
  return { headers: Object.fromEntries(request?.headers ?? []), body: request?.body ?? "" };
}

describe("the schema of notifications", () => {
  test("describes an entry as the journal has it", () => {
    const types = Object.entries(JournalEntry.entries).map(([name, type]) => [name, jsonOf(type)]);
    const described = Object.entries(entrySchema.properties ?? {});
    expect(Object.fromEntries(described.map(([name, type]) => [name, bare(type)]))).toEqual(
      Object.fromEntries(types),
    );
  });
  test("describes every property", () => {
    const all = { ...schema.properties, ...entrySchema.properties };
    const { version: _, ...others } = all;
    for (const [name, { description }] of Object.entries(others)) {
      expect(description, name).toMatch(/\.$/);
    }
  });
  test.each(["message", "success", "error", "hook-passed", "hook-failed"] as const)(
    "accepts what is sent of kind %s",
    async (kind) => {
      const entry = {
        at: "2026-01-01T00:00:00.000Z",
        event: "hook",
        phases: { stage: 1 },
        lastLines: ["a"],
        timedOut: false,
        future: { is: "here" },
      };
      const { body } = await sent({ id: "1", kind, text: ["a"], entry });
      const report = JSON.parse(body);
      expect(schemaProblems(schema, report)).toEqual([]);
      expect(Object.keys(report)).toEqual(schema.required);
    },
  );
  test("refuses what is not a notification", () => {
    expect(schemaProblems(schema, { ...example, version: 2, kind: "joy", at: "now" })).toEqual([
      "$.version is not 1",
      "$.at is not a date-time",
      "$.kind is not in the enum",
    ]);
    expect(schemaProblems(schema, { ...example, entry: { at: 1, lastLines: [2] } })).toEqual([
      "$.entry.event is missing",
      "$.entry.at is not of type string",
      "$.entry.at is not a date-time",
      "$.entry.lastLines[0] is not of type string",
    ]);
  });
});

describe("the example in docs/notifications.md", () => {
  test("is valid", () => {
    expect(schemaProblems(schema, example)).toEqual([]);
  });
  test("is what is sent, signed with the secret that is named there", async () => {
    const { entry, host, app: name, mode, registry, directory, id, kind, text } = example;
    const { headers, body } = await sent(
      { id, kind, text: [text], entry },
      {
        env: { DEWY_WEBHOOK_NOTIFIER_SECRET: "open sesame" },
        host: { name: host, color: "" },
        instance: { name, mode, registry, directory },
      },
    );
    expect(body).toBe(JSON.stringify(example));
    const documented = head
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.split(": "))
      .map(([key = "", value]) => [key.toLowerCase(), value]);
    expect(headers).toMatchObject(Object.fromEntries(documented));
    expect(documented.map(([key]) => key)).toContain("x-dewy-signature-256");
  });
  test("is accepted by the code that is shown there, and a forged one is not", async () => {
    const code = blocks.find((block) => block.code.includes("isFromDewy"))?.code ?? "";
    const javascript = (await transform(code, { loader: "ts" })).code;
    const { isFromDewy } = await import(`data:text/javascript,${encodeURIComponent(javascript)}`);
    const body = JSON.stringify(example);
    const [, signature = ""] = /^X-Dewy-Signature-256: (.*)$/m.exec(head) ?? [];
    expect(isFromDewy(body, signature, "open sesame")).toBe(true);
    expect(isFromDewy(`${body} `, signature, "open sesame")).toBe(false);
    expect(isFromDewy(body, signature, "another secret")).toBe(false);
    expect(isFromDewy(body, "", "open sesame")).toBe(false);
  });
});

/** The JSON type of one of the journal's fields. */
function jsonOf(schema: v.GenericSchema): JsonSchema {
  const field = schema as v.GenericSchema & {
    wrapped?: v.GenericSchema;
    item?: v.GenericSchema;
    value?: v.GenericSchema;
  };
  if (field.wrapped !== undefined) return jsonOf(field.wrapped);
  if (field.item !== undefined) return { type: "array", items: jsonOf(field.item) };
  if (field.value !== undefined) {
    return { type: "object", additionalProperties: jsonOf(field.value) };
  }
  return { type: field.type as "string" };
}

/** Without what the journal's schema does not say. */
function bare({ description: _, format: _format, ...type }: JsonSchema): JsonSchema {
  return type;
}
