import { describe, expect, test } from "vitest";
import { ConfigError, type DewyEvent } from "../../mod.ts";
import { redactor } from "../../src/agent/redactor.ts";
import { splitUrl } from "../../src/core/url.ts";
import { type Notifications, openNotifiers } from "../../src/notifiers/open.ts";
import { parseSlackUrl } from "../../src/notifiers/slack/driver.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { REFUSED, testVectors } from "../support/vectors.ts";
import vectors from "../vectors/notifier.json" with { type: "json" };
import { type FakeNotifierContext, notifierContext } from "./context.ts";
import { entriesOf } from "./entries.ts";

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

function open(url: string, context: FakeNotifierContext): Notifications {
  return openNotifiers([url], notifiers, { ...context, redact: redactor(context.env) });
}

/** The texts that reach Slack until dewy has stopped. */
async function textsFor(
  url: string,
  events: readonly DewyEvent[],
  context: FakeNotifierContext,
  directory?: string,
): Promise<string[]> {
  const before = context.server.requests.length;
  const notifications = open(url, context);
  notifications.start({ name: "app", directory: directory ?? (await tempDirectory()) });
  for (const entry of entriesOf(events, context)) notifications.push(entry);
  await notifications.close(5_000);
  return context.server.requests.slice(before).map(({ body }) => {
    const [attachment] = JSON.parse(new URLSearchParams(body).get("attachments") ?? "[]");
    return attachment.text;
  });
}

function warningsOf({ events }: FakeNotifierContext): string[] {
  return events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
}

testVectors(
  "notifier",
  ({ in: { url, env }, out }) => {
    const context = notifierContext({ env: env as Record<string, string> });
    try {
      open(String(url), context);
      const split = splitUrl(String(url), "--notifier");
      const quiet = split.query.get("quiet") === "true";
      const [warning] = warningsOf(context);
      if (warning === undefined) {
        // The recorded program has "" for unset.
        const { title = "", url = "", ...rest } = parseSlackUrl(split);
        return { type: "slack", quiet, ...rest, title, url };
      }
      expect(warning).toContain("slack token is required");
      return { type: "null", quiet, log: (out as { log: string }).log };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return REFUSED;
    }
  },
  ["new"],
);

describe("openNotifiers", () => {
  test("warns of missing credentials at the start, and then once a day", async () => {
    const context = notifierContext({ env: {} });
    const notifications = open("slack://deploy", context);
    const day = 24 * 60 * 60_000;
    for (const warnings of [1, 2, 3]) {
      await expect.poll(() => warningsOf(context)).toHaveLength(warnings);
      context.clock.advance(day - 1);
      expect(warningsOf(context)).toHaveLength(warnings);
      context.clock.advance(1);
    }
    expect(notifications.status()).toEqual([
      {
        notifier: "slack://deploy",
        state: "failing",
        error: "its credentials are missing",
        waiting: 0,
        lost: 0,
      },
    ]);
    await notifications.close(0);
    expect(context.server.requests).toEqual([]);
  });

  test.each([
    ["slack", "Cannot read --notifier"],
    ["SLACK://general", "supported: slack"],
    ["__proto__://x", "Cannot read --notifier"],
    ["constructor://x", "unsupported notifier"],
    ["discord://x", "did you mean discord+https://?"],
    ["SLACK://x", "did you mean slack://?"],
    ["slak://deploy", "did you mean slack://?"],
    ["pigeon://coop", "supported: slack"],
    ["slack://general?colour=red", 'unknown option "colour"'],
    ["owl://h.example/secret?a=secret#secret", 'unsupported notifier: "owl://h.example/…"'],
    ["owl://me:secret@h.example/secret", 'unsupported notifier: "owl://h.example/…"'],
    ["https://h.example/secret#secret", '"https://h.example/…": a fragment is not allowed'],
    ["https://me:secret@h.example/secret", '"https://h.example/…": credentials do not belong'],
    ["h.example/secret", 'Cannot read --notifier "h.example/…": expected slack://<channel>'],
    ["secret@h.example", 'Cannot read --notifier "…@h.example"'],
    ["https://app.slack.com/secret", "for Slack use slack://<channel>, and set SLACK_TOKEN"],
    ["https://hooks.slack.com/services/T0/B0/secret", "use slack+https://hooks.slack.com/serv"],
    ["hooks.slack.com/services/T0/B0/secret", "use slack+https://hooks.slack.com/services/"],
    ["https://discord.com/api/webhooks/1/secret", "for Discord use discord+https://discord.com"],
    ["https://ptb.discord.com/api/webhooks/1/secret", "for Discord use discord+https://"],
    ["slack+https://discord.com/api/webhooks/1/secret/slack", "for Discord use discord+https://"],
    ["https://x.westus.logic.azure.com/workflows/secret?sig=secret", "use teams+https://"],
    ["https://x.y.environment.api.powerplatform.com:443/secret", "use teams+https://"],
    ["https://x.webhook.office.com/webhookb2/secret", "for Microsoft Teams use teams+https://"],
    ["http://ntfy.sh/secret", "for ntfy use ntfy+https://<host>/<topic>, and set NTFY_TOKEN"],
    ["discord+https://discord.com/api/webhooks/1/secret?quiet=maybe", "quiet=maybe is neither"],
  ])("refuses %s", (url, message) => {
    const refused = (): unknown => open(url, notifierContext());
    expect(refused).toThrow(message);
    expect(refused).not.toThrow("secret");
  });
  test.each([...vectors.filter((v) => v.op === "quiet" && v.in.rawPart !== "")])(
    "$name",
    async (vector) => {
      const context = notifierContext();
      // "on" is true for every option here; the recorded program did not agree with itself.
      const isQuiet = vector.out === true || vector.in.rawPart?.endsWith("=on");
      if (!isQuiet) context.server.on(POST, () => Response.json({ ok: true }));
      const texts = await textsFor(`slack://${vector.in.rawPart}`, [STARTED], context);
      expect(texts).toHaveLength(isQuiet ? 0 : 1);
      context.server.verify();
    },
  );
  test("a channel may be written with #", async () => {
    const context = notifierContext();
    context.server.on(POST, () => Response.json({ ok: true }));
    await textsFor("slack://#deploy", [STARTED], context);
    expect(new URLSearchParams(context.server.requests[0]?.body).get("channel")).toBe("deploy");
  });
  test("sends in order; a quiet notifier sends only the success", async () => {
    const downloaded: DewyEvent = {
      type: "downloaded",
      tag: "v1",
      artifact: "a",
      bytes: 1,
      resumedFrom: 0,
      durationMs: 1,
    };
    const events = [STARTED, downloaded, DEPLOYED];
    const context = notifierContext();
    context.server.on(POST, () => Response.json({ ok: true }), { times: 3 });
    expect(await textsFor("slack://c", events, context)).toEqual([
      "Automatic shipping started by *Dewy* (v1.2.3: assets)",
      "Downloaded artifact for `v1`",
      "Deployed `v1`",
    ]);
    const quietContext = notifierContext();
    quietContext.server.on(POST, () => Response.json({ ok: true }));
    expect(await textsFor("slack://c?quiet=true", events, quietContext)).toEqual(["Deployed `v1`"]);
  });
  test("a token that cannot be sent is refused, and not shown", () => {
    const context = notifierContext({ env: { SLACK_TOKEN: "xoxb-1\nxoxb-2" } });
    expect(() => open("slack://general", context)).toThrow(
      /^Cannot use SLACK_TOKEN: it has spaces or non-ASCII characters$/,
    );
  });
  test("a line break after a token is not part of it", async () => {
    const context = notifierContext({ env: { SLACK_TOKEN: "xoxb-1\r\n" } });
    context.server.on(POST, () => Response.json({ ok: true }));
    await textsFor("slack://general", [STARTED], context);
    expect(context.server.requests[0]?.headers.get("authorization")).toBe("Bearer xoxb-1");
  });
  test("the output of an app is sent without secrets", async () => {
    const context = notifierContext({
      env: { SLACK_TOKEN: "xoxb-test-token", GH_TOKEN: "hunter2hunter2" },
    });
    context.server.on(POST, () => Response.json({ ok: true }));
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
    const [text] = await textsFor("slack://c", [exited], context);
    expect(text).toContain("token …");
  });
  test("the output of a hook is sent without secrets", async () => {
    const context = notifierContext({
      env: { SLACK_TOKEN: "xoxb-test-token", DB_PASSWORD: "hunter2hunter2" },
    });
    context.server.on(POST, () => Response.json({ ok: true }));
    const result = {
      when: "before",
      command: "login hunter2hunter2",
      exitCode: 1,
      stdout: "as hunter2hunter2",
      stderr: "xoxb-test-token",
      durationMs: 1,
      timedOut: false,
    } as const;
    await textsFor("slack://c", [{ type: "hook", tag: "v1", result }], context);
    expect(context.server.requests[0]?.body).not.toMatch(/hunter2|xoxb/);
  });
  test("a failure of the notifier is only a warning", async () => {
    const context = notifierContext();
    context.server.on(POST, () => Response.json({ ok: false, error: "invalid_attachments" }));
    await textsFor("slack://c", [STARTED], context);
    expect(context.events.filter(({ type }) => type !== "request")).toEqual([
      {
        type: "notifications-lost",
        notifier: "slack://c",
        count: 1,
        reason: 'Cannot send to Slack channel "c": invalid_attachments',
      },
    ]);
  });
  test("a secret of several lines is masked in the output of an app", async () => {
    const key = "-----BEGIN KEY-----\nhunter2hunter2\n-----END KEY-----";
    const context = notifierContext({ env: { SLACK_TOKEN: "xoxb-test-token", DB_PASSWORD: key } });
    context.server.on(POST, () => Response.json({ ok: true }));
    const exited: DewyEvent = {
      type: "app-exited",
      tag: "v1",
      generation: 1,
      pid: 7,
      code: 3,
      signal: null,
      lastLines: ["key:", ...key.split("\n")],
      restartInMs: 1_000,
    };
    const [text] = await textsFor("slack://c", [exited], context);
    expect(text).not.toContain("hunter2");
  });
});
