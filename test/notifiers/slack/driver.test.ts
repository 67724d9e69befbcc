import { describe, expect, test } from "vitest";
import { driverEnvironment } from "../../../src/core/environment.ts";
import { splitUrl } from "../../../src/core/url.ts";
import { hostColor, isRed } from "../../../src/host/host_identity.ts";
import type { AppLink } from "../../../src/notifiers/chat_options.ts";
import type { Notifier } from "../../../src/notifiers/driver.ts";
import { code, rich } from "../../../src/notifiers/rich_text.ts";
import { mrkdwn, slackAttachment, slackOutput } from "../../../src/notifiers/slack/attachment.ts";
import { parseSlackUrl, slack } from "../../../src/notifiers/slack/driver.ts";
import { testVectors } from "../../support/vectors.ts";
import vectors from "../../vectors/notifier.json" with { type: "json" };
import { type FakeNotifierContext, notifierContext } from "../context.ts";
import { AT, note } from "../entries.ts";

const POST = "POST https://slack.com/api/chat.postMessage";
const OK = (): Response => Response.json({ ok: true });
const MESSAGE = note(rich`Downloaded artifact for ${code("v1")}`);
const NEVER = new AbortController().signal;

interface Case<In, Out> {
  name: string;
  op: string;
  in: In;
  out: Out;
}
function of<In, Out>(op: string): Case<In, Out>[] {
  const cases = vectors as unknown as Partial<Case<In, Out>>[];
  return cases.filter((one): one is Case<In, Out> => one.op === op && one.out !== undefined);
}

interface UrlParts {
  channel: string;
  title: string;
  url: string;
  thread: boolean;
}
interface MessageIn {
  title: string;
  url: string;
  message?: string;
  hookType: string;
  command: string;
  stdout: string;
  stderr: string;
  exitCode: number;
  durationMs: number;
}
interface AttachmentOut {
  color: string;
  title: string;
  text: string;
  fields: unknown[];
  footerIcon: string;
  footer: string;
}
type OutputOut = string | { prefix: string; suffix: string; length: number };

/** The recorded program has "" for unset. */
function link({ title, url }: { title: string; url: string }): AppLink {
  return { title: title || undefined, url: url || undefined };
}

function open(url: string, context: FakeNotifierContext): Notifier {
  const notifier = slack.open(splitUrl(url, "--notifier"), context);
  if (notifier === undefined) throw new Error("no notifier");
  return notifier;
}

function form(context: FakeNotifierContext, index = 0): URLSearchParams {
  return new URLSearchParams(context.server.requests[index]?.body);
}

describe("slack:// URLs", () => {
  test.each(of<{ schema: string }, UrlParts>("slackURL"))("$name", ({ in: input, out }) => {
    const { channel, title, url, thread } = out;
    expect(parseSlackUrl(splitUrl(`slack://${input.schema}`, "--notifier"))).toEqual({
      channel: channel.replace(/^\//, ""), // Slack knows no channel with a slash in front
      ...link({ title, url }),
      thread,
    });
  });
  test.each([
    "slack:///general",
    "slack://general",
    "slack://general/",
    "slack://%23general",
    "slack:///%23general/?quiet=true",
  ])("%s is the channel general", (url) => {
    expect(parseSlackUrl(splitUrl(url, "--notifier")).channel).toBe("general");
  });
  test.each([
    ["slack://", "channel is required"],
    ["slack://general?titel=x", 'unknown option "titel"'],
    ["slack://general?thread=maybe", "neither true nor false"],
    ["slack://xoxb-1@general", "a token does not belong in a URL"],
  ])("refuses %s", (url, message) => {
    expect(() => parseSlackUrl(splitUrl(url, "--notifier"))).toThrow(message);
  });
  test.each(["", " ", "\n"])(
    "with the token %j there is an important warning, and no notifier",
    (SLACK_TOKEN) => {
      const context = notifierContext({
        env: driverEnvironment({ SLACK_TOKEN }, slack.environment),
      });
      expect(slack.open(splitUrl("slack://general", "--notifier"), context)).toBeUndefined();
      expect(context.events).toEqual([
        expect.objectContaining({
          type: "warning",
          important: true,
          message: expect.stringContaining("SLACK_TOKEN"),
        }),
      ]);
    },
  );
});

describe("the colour of a machine", () => {
  test.each(of<{ hostname: string }, string>("color"))("$name", ({ in: input, out }) => {
    expect(hostColor(input.hostname)).toBe(out);
  });
  test.each(of<{ r: number; g: number; b: number }, boolean>("isRed"))(
    "red: $name",
    ({ in: { r, g, b }, out }) => {
      const hex = [r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("");
      expect(isRed(hex)).toBe(out);
    },
  );
  test("is never the red of a failure", () => {
    const names = Array.from({ length: 2000 }, (_, index) => `host-${index}`);
    expect(names.map(hostColor).filter((color) => isRed(color.slice(1)))).toEqual([]);
  });
});

describe("attachments", () => {
  const host = { name: "<hostname>", color: "<hostname-color>" };
  const NOW = Date.parse(AT);
  const unescaped = (text: string): string => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">");

  test.each([
    ...of<MessageIn, AttachmentOut>("slackMessage"),
    ...of<MessageIn, AttachmentOut>("slackHook"),
  ])("$name", ({ in: input, out }) => {
    const { hookType, command, exitCode, stdout, stderr, durationMs } = input;
    const when = hookType?.startsWith("Before") ? "before" : "after";
    const hook = { when, command, exitCode, stdout, stderr, durationMs };
    const notification =
      input.message === undefined
        ? note([], { entry: { at: AT, event: "hook", ...hook } })
        : note([input.message]);
    const got = slackAttachment(notification, link(input), host);
    expect({ ...got, footer: unescaped(got.footer) }).toEqual({
      fallback: input.message ?? "",
      color: out.color,
      title: out.title,
      text: out.text,
      fields: out.fields,
      footer: out.footer,
      footer_icon: out.footerIcon,
      ts: NOW / 1000,
    });
  });
  test("a failed hook is red, and shows what it complained about", () => {
    const hook = {
      when: "after",
      command: "false",
      exitCode: 1,
      stderr: "oh no",
      durationMs: 250,
    } as const;
    const got = slackAttachment(
      note([], { entry: { at: AT, event: "hook", ...hook } }),
      { title: undefined, url: undefined },
      host,
    );
    expect(got.color).toBe("#dd0000");
    expect(got.fields.map(({ title, value }) => [title, value])).toEqual([
      ["Stderr", "```\noh no\n```"],
      ["Exit Code", "`1`"],
      ["Duration", "250ms"],
    ]);
  });
  test.each(of<{ output: string; line: string; lines: number }, OutputOut>("slackOutput"))(
    "output: $name",
    ({ in: input, out }) => {
      if (typeof out === "string") {
        expect(slackOutput(input.output)).toBe(out);
        return;
      }
      const got = slackOutput(Array.from({ length: input.lines }, () => input.line).join("\n"));
      expect(got.startsWith(out.prefix)).toBe(true);
      expect(got.endsWith(out.suffix)).toBe(true);
      expect(got.length).toBe(out.length);
    },
  );
  test("output full of escapes stays below the limit of a field", () => {
    const block = slackOutput("<".repeat(1_900));
    expect(block.length).toBeLessThanOrEqual(2_000);
    expect(block).toMatch(/more characters truncated\)\n```$/);
  });
  test("a tag cannot end its code span", () => {
    expect(mrkdwn([code("v1`*b*")])).toBe("`v1ˋ*b*`");
  });
  test("names and output become neither mentions nor the end of a block", () => {
    const text = "<!channel> & <@U1>";
    const got = slackAttachment(note([text]), { title: "a|b>", url: "https://u|v" }, host);
    expect(got.text).toBe("&lt;!channel&gt; &amp; &lt;@U1&gt;");
    expect(got.footer).toBe("<https://u%7Cv|a¦b&gt;>/&lt;hostname&gt;");
    expect(slackOutput("a```b").split("```")).toHaveLength(3);
  });
});

describe("sending to Slack", () => {
  test.each(of<{ thread: boolean; ts: string; via: string }, Record<string, string>>("slackPost"))(
    "$name",
    async ({ in: input, out }) => {
      const context = { ...notifierContext(), readTextFile: async () => input.ts };
      context.server.on(POST, OK);
      const notifier = open(`slack://deploy?thread=${input.thread}`, context);
      await notifier.onActivated?.("/srv/app/releases/1");
      await notifier.send({ ...MESSAGE, kind: input.via === "error" ? "error" : "message" }, NEVER);
      context.server.verify();
      const { token, ...fields } = out; // the token travels in a header, which no redirect takes along
      expect(token).toBe("<bot token>");
      expect(context.server.requests[0]?.headers.get("authorization")).toBe(
        "Bearer xoxb-test-token",
      );
      const sent = Object.fromEntries(form(context));
      expect(JSON.parse(sent.attachments ?? "")).toHaveLength(1);
      delete sent.attachments;
      expect(sent).toEqual(fields);
    },
  );
  test("an error in a thread is shown in the channel, too", async () => {
    const context = { ...notifierContext(), readTextFile: async () => "1.1\n" };
    context.server.on(POST, OK);
    const notifier = open("slack://deploy?thread=true", context);
    await notifier.onActivated?.("/d");
    await notifier.send(note(["boom"], { kind: "error" }), NEVER);
    expect(form(context).get("thread_ts")).toBe("1.1");
    expect(form(context).get("reply_broadcast")).toBe("true");
  });
  const threadOf = async (flag: boolean, files: unknown[]): Promise<string> => {
    const context = {
      ...notifierContext(),
      readTextFile: async (path: string) => {
        expect(path).toBe("/d/.slack-thread-ts");
        const text = files.shift();
        if (typeof text !== "string") throw new Error("ENOENT");
        return text;
      },
    };
    context.server.on(POST, OK);
    const notifier = open(`slack://deploy?thread=${flag}`, context);
    for (const _ of [...files]) await notifier.onActivated?.("/d");
    await notifier.send(MESSAGE, NEVER);
    return form(context).get("thread_ts") ?? "";
  };
  testVectors(
    "notifier",
    ({ in: { thread, files } }) => threadOf(thread === true, [...(files as unknown[])]),
    ["threadFile"],
  );
  test.each([[null], [""], ["no timestamp"]])(
    "a later release whose thread file is %j is reported in the channel",
    async (second) => {
      expect(await threadOf(true, ["1.1", second])).toBe("");
    },
  );
  test.each([
    ["channel_not_found", "remote", false],
    ["invalid_auth", "credential", false],
    ["ratelimited", "remote", true],
  ])("the response %s is an error", async (code, kind, retryable) => {
    const context = notifierContext();
    context.server.on(POST, Response.json({ ok: false, error: code }));
    await expect(open("slack://deploy", context).send(MESSAGE, NEVER)).rejects.toMatchObject({
      code: kind,
      retryable,
      message: expect.stringContaining(code),
    });
  });
  test("a response that is not JSON is an error", async () => {
    const context = notifierContext();
    context.server.on(POST, new Response("<html>"));
    await expect(open("slack://deploy", context).send(MESSAGE, NEVER)).rejects.toThrow("not JSON");
  });
  test("SLACK_API_URL moves the API", async () => {
    const env = { SLACK_TOKEN: "t", SLACK_API_URL: "https://slack.internal/api" };
    const context = notifierContext({ env });
    context.server.on("POST https://slack.internal/api/chat.postMessage", OK);
    await open("slack://deploy", context).send(MESSAGE, NEVER);
    context.server.verify();
  });
});
