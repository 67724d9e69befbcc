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
