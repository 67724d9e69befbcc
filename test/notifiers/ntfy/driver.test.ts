import { describe, expect, test } from "vitest";
import { splitUrl } from "../../../src/core/url.ts";
import { ntfy } from "../../../src/notifiers/ntfy/driver.ts";
import { code, rich } from "../../../src/notifiers/rich_text.ts";
import { fakeNtfy, NTFY_TOKEN, ntfyRateLimit } from "../../fakes/ntfy.ts";
import { notifierContext } from "../context.ts";
import { HOSTILE, hookNote, LONG, NEVER, note, openWith } from "../notes.ts";

const ENV = { NTFY_TOKEN };

describe("ntfy URLs", () => {
  test.each([
    ["ntfy+https://ntfy.sh/hush?titel=x", 'unknown option "titel"'],
    ["ntfy+https://ntfy.sh", "the path is not a topic"],
    ["ntfy+https://ntfy.sh/hush/json", "the path is not a topic"],
    ["ntfy+https://ntfy.sh/hu%20sh", "the path is not a topic"],
    ["ntfy+https://:hush@ntfy.sh/topic", "credentials do not belong"],
    ["ntfy+https://ntfy.sh/hush?priority=loud", "priority=loud is not one of min, low,"],
    ["ntfy+http://ntfy.example.com/hush", "plain HTTP is allowed to this machine only"],
  ])("refuses %s", (url, why) => {
    const refused = (): unknown => ntfy.open(splitUrl(url, "--notifier"), notifierContext());
    expect(refused).toThrow(why);
    expect(refused).not.toThrow("hush");
  });
  test("plain HTTP reaches a server on this machine", async () => {
    const urls: string[] = [];
    const { notifier } = openWith(ntfy, "ntfy+http://127.0.0.1:2586/deploys", (request) => {
      urls.push(request.url);
      return Response.json({});
    });
    await notifier.send(note(), NEVER);
    expect(urls).toEqual(["http://127.0.0.1:2586/"]);
  });
});

describe("a message for ntfy", () => {
  test("says what happened and where", async () => {
    const fake = fakeNtfy();
    const url = `${fake.url}?title=my+app&url=https://app.example.com`;
    const { notifier } = openWith(ntfy, url, fake.handler, ENV);
    await notifier.send(note(), NEVER);
    expect(fake.messages).toEqual([
      {
        topic: "dewy-topic-0123456789",
        title: "my app on web-1",
        message: "Downloaded artifact for v1",
        tags: [],
        click: "https://app.example.com",
      },
    ]);
  });
  test("an error is louder than other messages", async () => {
    const fake = fakeNtfy();
    const { notifier } = openWith(ntfy, fake.url, fake.handler, ENV);
    await notifier.send(note(["x"], "success"), NEVER);
    await notifier.send(note(["x"], "error"), NEVER);
    expect(fake.messages.map(({ tags, priority }) => [tags, priority])).toEqual([
      [["white_check_mark"], undefined],
      [["rotating_light"], 4],
    ]);
  });
  test.each([
    ["min", 1],
    ["max", 5],
  ])("the priority of errors may be %s", async (name, priority) => {
    const fake = fakeNtfy();
    const { notifier } = openWith(ntfy, `${fake.url}?priority=${name}`, fake.handler, ENV);
    await notifier.send(hookNote(), NEVER);
    expect(fake.messages[0]?.priority).toBe(priority);
  });
  test("shows the output of a hook", async () => {
    const fake = fakeNtfy();
    const { notifier } = openWith(ntfy, fake.url, fake.handler, ENV);
    await notifier.send(hookNote({ stdout: "out", stderr: "err" }), NEVER);
    expect(fake.messages[0]?.message).toBe(
      "✗ Before Deploy Hook: make\nStdout\nout\nStderr\nerr\nDuration: 1.5s",
    );
  });
  test.each(HOSTILE)("shows a text as it is: %j", async (text) => {
    const fake = fakeNtfy();
    const { notifier } = openWith(ntfy, fake.url, fake.handler, ENV);
    await notifier.send(note(rich`${text} ${code(text)} ${{ lines: [text] }}`), NEVER);
    expect(fake.messages[0]?.message).toBe(`${text} ${text} \n${text}`);
  });
  test.each([
    ["a long text", note(["é🙂 ".repeat(5_000)], "error")],
    ["escapes in JSON", note(['"'.repeat(5_000)])],
    ["many lines", note(["x", { lines: Array.from({ length: 5_000 }, () => "y") }])],
    ["a hook's output", hookNote({ stdout: "é\n".repeat(30_000), stderr: "*".repeat(30_000) })],
  ])("fits whatever the length: %s", async (_, notification) => {
    const fake = fakeNtfy();
    const { notifier } = openWith(ntfy, `${fake.url}?title=${"t".repeat(900)}`, fake.handler, ENV);
    await notifier.send(notification, NEVER);
    expect(fake.messages[0]?.message).toContain("characters truncated)");
    expect(() => encodeURIComponent(fake.messages[0]?.message ?? "")).not.toThrow(); // No half characters.
  });
});

test("a message fits around the limit of ntfy", async () => {
  const fake = fakeNtfy();
  const { notifier } = openWith(ntfy, fake.url, fake.handler, ENV);
  for (const text of LONG) await notifier.send(note([text]), NEVER);
  expect(fake.messages).toHaveLength(LONG.length);
});

describe("an ntfy server that refuses", () => {
  test.each([
    ["no token", {}, "HTTP 403: forbidden; check the topic and NTFY_TOKEN"],
    ["a wrong token", { NTFY_TOKEN: "tk_wrong" }, "HTTP 401: unauthorized; check the topic"],
  ])("%s needs an operator", async (_, env, why) => {
    const fake = fakeNtfy();
    const { notifier } = openWith(ntfy, fake.url, fake.handler, env);
    await expect(notifier.send(note(), NEVER)).rejects.toMatchObject({
      code: "credential",
      message: expect.stringContaining(`Cannot send to ntfy: ${why}`),
    });
  });
  test("a rate limit is worth a retry", async () => {
    const { notifier } = openWith(ntfy, fakeNtfy().url, ntfyRateLimit, ENV);
    await expect(notifier.send(note(), NEVER)).rejects.toMatchObject({
      code: "rate-limited",
      retryable: true,
    });
  });
});
