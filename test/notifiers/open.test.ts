import { describe, expect, test } from "vitest";
import { ConfigError, type DewyEvent } from "../../mod.ts";
import { redactor } from "../../src/agent/redactor.ts";
import { splitUrl } from "../../src/core/url.ts";
import { openNotifier } from "../../src/notifiers/open.ts";
import { parseSlackUrl } from "../../src/notifiers/slack/driver.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { REFUSED, testVectors } from "../support/vectors.ts";
import vectors from "../vectors/notifier.json" with { type: "json" };
import { type FakeNotifierIo, notifierIo } from "./io.ts";

const POST = "POST https://slack.com/api/chat.postMessage";
const STARTED: DewyEvent = {
  type: "started",
  version: "1.2.3",
  command: "assets",
  registry: "r",
  directory: "d",
};
const DEPLOYED: DewyEvent = {
  type: "deployed",
  command: "assets",
  tag: "v1",
  previousTag: undefined,
  directory: "/d",
  durationMs: 1,
};

function open(url: string, io: FakeNotifierIo): ReturnType<typeof openNotifier> {
  return openNotifier(url, notifiers, io, redactor(io.env));
}

async function textsFor(
  url: string,
  events: readonly DewyEvent[],
  io: FakeNotifierIo,
): Promise<string[]> {
  const notifications = open(url, io);
  for (const event of events) notifications.sink(event);
  await notifications.close(5000);
  return io.server.requests.map(({ body }) => {
    const [attachment] = JSON.parse(new URLSearchParams(body).get("attachments") ?? "[]");
    return attachment.text;
  });
}

function warningsOf({ events }: FakeNotifierIo): string[] {
  return events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
}

testVectors(
  "notifier",
  ({ in: { url, env }, out }) => {
    const io = notifierIo({ env: env as Record<string, string> });
    try {
      open(String(url), io);
      const split = splitUrl(String(url), "--notifier");
      const quiet = split.query.get("quiet") === "true";
      const [warning] = warningsOf(io);
      if (warning === undefined) return { type: "slack", quiet, ...parseSlackUrl(split) };
      expect(warning).toContain("slack token is required");
      return { type: "null", quiet, log: (out as { log: string }).log };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return REFUSED;
    }
  },
  ["new"],
);

describe("openNotifier", () => {
  test("warns of missing credentials again after each day, and not in between", () => {
    const io = notifierIo({ env: {} });
    const { sink } = open("slack://deploy", io);
    const day = 24 * 60 * 60_000;
    const warningsAfter = (ms: number): number => {
      io.clock.advance(ms);
      sink({ type: "unchanged", tag: "v1.0.0" });
      sink({ type: "unchanged", tag: "v1.0.0" });
      return warningsOf(io).length;
    };
    expect(warningsOf(io)).toHaveLength(1);
    expect(warningsAfter(day - 1)).toBe(1);
    expect(warningsAfter(1)).toBe(2);
    expect(warningsAfter(day - 1)).toBe(2);
    expect(warningsAfter(1)).toBe(3);
    expect(io.server.requests).toEqual([]);
  });

  test.each([
    ["slack", "Cannot read --notifier"],
    ["SLACK://general", "supported: slack"],
    ["__proto__://x", "Cannot read --notifier"],
    ["constructor://x", "unsupported notifier"],
    ["pigeon://coop", "supported: slack"],
    ["slack://general?colour=red", 'unknown option "colour"'],
    ["https://h.example/secret?a=secret#secret", 'unsupported notifier: "https://h.example/…"'],
    ["https://me:secret@h.example/secret", 'unsupported notifier: "https://h.example/…"'],
    ["h.example/secret", 'Cannot read --notifier "h.example/…": expected slack://<channel>'],
    ["secret@h.example", 'Cannot read --notifier "…@h.example"'],
    [
      "https://hooks.slack.com/services/T0/B0/secret",
      "for Slack use slack://<channel>, and set SLACK_TOKEN",
    ],
    ["hooks.slack.com/services/T0/B0/secret", "for Slack use slack://<channel>"],
  ])("refuses %s", (url, message) => {
    const refused = (): unknown => open(url, notifierIo());
    expect(refused).toThrow(message);
    expect(refused).not.toThrow("secret");
  });
  test.each([...vectors.filter((v) => v.op === "quiet" && v.in.rawPart !== "")])(
    "$name",
    async (vector) => {
      const io = notifierIo();
      // "on" is true for every option here; the recorded program did not agree with itself.
      const isQuiet = vector.out === true || vector.in.rawPart?.endsWith("=on");
      if (!isQuiet) io.server.on(POST, () => Response.json({ ok: true }));
      const texts = await textsFor(`slack://${vector.in.rawPart}`, [STARTED], io);
      expect(texts).toHaveLength(isQuiet ? 0 : 1);
      io.server.verify();
    },
  );
  test("a channel may be written as people see it", async () => {
    const io = notifierIo();
    io.server.on(POST, () => Response.json({ ok: true }));
    await textsFor("slack://#deploy", [STARTED], io);
    expect(new URLSearchParams(io.server.requests[0]?.body).get("channel")).toBe("deploy");
  });
  test("tells what happens in order; a deploy of assets by its download, and by its success when quiet", async () => {
    const downloaded: DewyEvent = {
      type: "downloaded",
      tag: "v1",
      artifact: "a",
      bytes: 1,
      resumedFrom: 0,
      durationMs: 1,
    };
    const events = [STARTED, downloaded, DEPLOYED];
    const io = notifierIo();
    io.server.on(POST, () => Response.json({ ok: true }), { times: 2 });
    expect(await textsFor("slack://c", events, io)).toEqual([
      "Automatic shipping started by *Dewy* (v1.2.3: assets)",
      "Downloaded artifact for `v1`",
    ]);
    const quietIo = notifierIo();
    quietIo.server.on(POST, () => Response.json({ ok: true }));
    expect(await textsFor("slack://c?quiet=true", events, quietIo)).toEqual(["Deployed `v1`"]);
  });
  test("a token that cannot be sent is refused, and not shown", () => {
    const io = notifierIo({ env: { SLACK_TOKEN: "xoxb-1\nxoxb-2" } });
    expect(() => open("slack://general", io)).toThrow(
      /^Cannot use SLACK_TOKEN: it has spaces or non-ASCII characters$/,
    );
  });
  test("the end of the line that a token was read from is no part of it", async () => {
    const io = notifierIo({ env: { SLACK_TOKEN: "xoxb-1\r\n" } });
    io.server.on(POST, () => Response.json({ ok: true }));
    await textsFor("slack://general", [STARTED], io);
    expect(io.server.requests[0]?.headers.get("authorization")).toBe("Bearer xoxb-1");
  });
  test("what an app printed leaves without secrets", async () => {
    const io = notifierIo({ env: { SLACK_TOKEN: "xoxb-test-token", GH_TOKEN: "hunter2hunter2" } });
    io.server.on(POST, () => Response.json({ ok: true }));
    const exited: DewyEvent = {
      type: "app-exited",
      tag: "v1",
      generation: 1,
      pid: 7,
      code: 3,
      signal: null,
      lastLines: ["token hunter2hunter2"],
      restartInMs: 1_000,
    };
    const [text] = await textsFor("slack://c", [exited], io);
    expect(text).toContain("token …");
  });
  test("what a hook printed leaves without secrets", async () => {
    const io = notifierIo({
      env: { SLACK_TOKEN: "xoxb-test-token", DB_PASSWORD: "hunter2hunter2" },
    });
    io.server.on(POST, () => Response.json({ ok: true }));
    const result = {
      when: "before",
      command: "login hunter2hunter2",
      exitCode: 1,
      stdout: "as hunter2hunter2",
      stderr: "xoxb-test-token",
      durationMs: 1,
      timedOut: false,
    } as const;
    await textsFor("slack://c", [{ type: "hook", tag: "v1", result }], io);
    expect(io.server.requests[0]?.body).not.toMatch(/hunter2|xoxb/);
  });
  test("a notifier that fails is a warning in the log, and nothing else", async () => {
    const io = notifierIo();
    io.server.on(POST, () => Response.json({ ok: false, error: "channel_not_found" }));
    await textsFor("slack://c", [STARTED], io);
    expect(io.events.filter((event) => event.type === "warning")).toEqual([
      expect.objectContaining({
        fields: { error: expect.stringContaining("channel_not_found") },
      }),
    ]);
  });
});
