import { describe, expect, test } from "vitest";
import { ConflictError } from "../../src/core/error.ts";
import type { HandlerOptions, HandlerReport } from "../../src/handler/mod.ts";
import { handlerWorld } from "./world.ts";

const TOKEN = "report-t0ken";
const REPORT = {
  ...{ schema: 1, id: "1", tag: "v1.0.0", command: "server", host: "web-1" },
  at: "2026-06-01T12:00:00.000Z",
};

const setup = (
  onReport?: HandlerOptions["onReport"],
): {
  reports: HandlerReport[];
  send: (body: unknown, headers?: Record<string, string>, path?: string) => Promise<Response>;
} => {
  const reports: HandlerReport[] = [];
  const { ask } = handlerWorld({
    reportToken: TOKEN,
    onError: () => {},
    onReport: onReport ?? ((report) => void reports.push(report)),
  });
  const own = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  return {
    reports,
    send: (body, headers = own, path = "/app/report") =>
      ask(path, {
        method: "POST",
        headers,
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
  };
};

describe("a report", () => {
  test("with the token reaches onReport, with the registry and as plain text", async () => {
    const { send, reports } = setup();
    expect((await send(REPORT)).status).toBe(204);
    expect((await send({ ...REPORT, error: "failed\u001b[31m\nagain", more: 1 })).status).toBe(204);
    const parts = { registry: "app", url: "ghr://acme/app", id: "1", tag: "v1.0.0" };
    const common = { ...parts, command: "server", host: "web-1", at: new Date(REPORT.at) };
    expect(reports).toEqual([common, { ...common, error: "failed\\x1b[31m\nagain" }]);
  });

  test.each([
    ["no token", {}],
    ["a wrong token", { authorization: "Bearer report-t0kem" }],
    ["a part of the token", { authorization: "Bearer report" }],
    ["another scheme", { authorization: `Basic ${TOKEN}` }],
  ])("with %s is refused", async (_, headers) => {
    const { send, reports } = setup();
    const response = await send(REPORT, headers as Record<string, string>);
    expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect(reports).toEqual([]);
  });

  test.each([
    ["not JSON", "{", "the body"],
    ["without a tag", { ...REPORT, tag: undefined }, "tag"],
    ["of another version", { ...REPORT, schema: 2 }, "schema"],
    ["with a line break in the host", { ...REPORT, host: "a\nb" }, "host"],
    ["of an unknown command", { ...REPORT, command: "rm" }, "command"],
    ["with an invalid time", { ...REPORT, at: "now" }, "at"],
  ])("%s is a 400 that names the field", async (_, body, field) => {
    const { send, reports } = setup();
    const response = await send(body);
    expect(response.status).toBe(400);
    expect((await response.json()).error.message).toContain(`Cannot read the report: ${field} is`);
    expect(reports).toEqual([]);
  });

  test("that is too long is not read to its end", async () => {
    const { send, reports } = setup();
    expect((await send({ ...REPORT, more: "x".repeat(20_000) })).status).toBe(413);
    expect(reports).toEqual([]);
  });

  test("about a registry that the handler does not serve is a 404", async () => {
    const { send } = setup();
    expect((await send(REPORT, undefined, "/other/report")).status).toBe(404);
  });

  test("that cannot be stored is an error for the host, which sends it again", async () => {
    const failing = setup(() => {
      throw new Error("s3cret database");
    });
    const response = await failing.send(REPORT);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("s3cret");
    const conflict = setup(() => {
      throw new ConflictError("Cannot store it: it exists already");
    });
    expect((await conflict.send(REPORT)).status).toBe(502);
    const leaking = setup(() => {
      throw new ConflictError(`Cannot store it with ${TOKEN}: it exists already`);
    });
    expect(await (await leaking.send(REPORT)).text()).not.toContain(TOKEN);
  });

  test("is not taken without onReport, and a GET is a 405", async () => {
    expect((await handlerWorld().ask("/app/report", { method: "POST" })).status).toBe(404);
    const { ask } = handlerWorld({ reportToken: TOKEN, onReport: () => {} });
    const response = await ask("/report");
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST, OPTIONS"]);
  });
});
