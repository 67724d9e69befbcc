import { describe, expect, test } from "vitest";
import { splitUrl } from "../../../src/core/url.ts";
import { code, rich } from "../../../src/notifiers/rich_text.ts";
import { slackWebhook } from "../../../src/notifiers/slack_webhook/driver.ts";
import { fakeSlackWebhook } from "../../fakes/slack_webhook.ts";
import { notifierContext } from "../context.ts";
import { HOSTILE, hookNote, NEVER, note, openWith } from "../notes.ts";

describe("slack+https:// URLs", () => {
  test.each([
    ["slack+https://hooks.slack.com/services/T/B/hush?titel=x", 'unknown option "titel"'],
    ["slack+https://hooks.slack.com/services/hush", "not that of an incoming webhook"],
    ["slack+https://hooks.slack.com/triggers/T/1/hush", "not that of an incoming webhook"],
    ["slack+https://hooks.slack.com/services/T/B/hush?mention=bob", "mention=bob is not here,"],
  ])("refuses %s", (url, why) => {
    const refused = (): unknown => {
      return slackWebhook.open(splitUrl(url, "--notifier"), notifierContext());
    };
    expect(refused).toThrow(why);
    expect(refused).not.toThrow("hush");
  });
});

describe("a message for a Slack webhook", () => {
  test("is that of the bot", async () => {
    const fake = fakeSlackWebhook();
    const url = `${fake.url}?title=my+app&url=https://app.example.com`;
    const { notifier } = openWith(slackWebhook, url, fake.handler);
    await notifier.send(note(), NEVER);
    expect(fake.messages[0]?.attachments?.[0]).toMatchObject({
      color: "#421AA9",
      text: "Downloaded artifact for `v1`",
      footer: "<https://app.example.com|my app>/web-1",
    });
  });
  test.each([
    ["here", "<!here>"],
    ["channel", "<!channel>"],
    ["U012AB", "<@U012AB>"],
    ["S012AB", "<!subteam^S012AB>"],
  ])("a failure mentions %s, anything else does not", async (mention, expected) => {
    const fake = fakeSlackWebhook();
    const url = `${fake.url}?mention=${mention}`;
    const { notifier } = openWith(slackWebhook, url, fake.handler);
    await notifier.send(note(), NEVER);
    await notifier.send(note(["v1 <exited>", { lines: ["panic"] }, "x"], "error"), NEVER);
    await notifier.send(hookNote({ stdout: "out" }), NEVER);
    await notifier.send(hookNote({ exitCode: 0 }), NEVER);
    expect(fake.specials).toEqual([[], [expected], [expected], []]);
    const [, failure, hook] = fake.messages;
    expect(failure?.text).toBe(`${expected} v1 &lt;exited&gt;`);
    expect(failure?.attachments?.[0]).toMatchObject({
      text: "\n```\npanic\n```x",
      fallback: "v1 &lt;exited&gt;\npanicx",
    });
    expect(hook?.text).toBe(`${expected} ✗ Before Deploy Hook: make`);
    expect(hook?.attachments?.[0]?.fields?.[0]?.value).toBe("```\nout\n```");
  });
  test.each(HOSTILE)("has no link and no mention of a text: %j", async (text) => {
    const fake = fakeSlackWebhook();
    const { notifier } = openWith(slackWebhook, fake.url, fake.handler);
    await notifier.send(
      note(rich`${text} ${code(text)} ${{ bold: text }} ${{ lines: [text] }}`),
      NEVER,
    );
    await notifier.send(hookNote({ command: text, stdout: text, stderr: text }), NEVER);
    expect(fake.specials).toEqual([[], []]);
  });
  test.each([
    ["an unknown webhook", "B0000HOOK", "B0000GONE", "HTTP 404: no_service"],
    ["a wrong token", "slackWebhookToken", "wrong", "HTTP 403: invalid_token"],
  ])("%s needs an operator", async (_, right, wrong, why) => {
    const fake = fakeSlackWebhook();
    const { notifier } = openWith(slackWebhook, fake.url.replace(right, wrong), fake.handler);
    await expect(notifier.send(note(), NEVER)).rejects.toMatchObject({
      code: "credential",
      message: expect.stringContaining(`Cannot send to Slack: ${why}; check the URL`),
    });
  });
});
