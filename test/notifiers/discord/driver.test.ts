import { describe, expect, test } from "vitest";
import { splitUrl } from "../../../src/core/url.ts";
import { discord } from "../../../src/notifiers/discord/driver.ts";
import { markdown } from "../../../src/notifiers/discord/message.ts";
import { code, rich } from "../../../src/notifiers/rich_text.ts";
import { discordRateLimit, fakeDiscord } from "../../fakes/discord.ts";
import { notifierContext } from "../context.ts";
import { HOSTILE, hookNote, LONG, NEVER, note, openWith } from "../notes.ts";

const URL_START = "discord+https://discord.com/api/webhooks";

describe("discord+https:// URLs", () => {
  test.each([
    [`${URL_START}/123/hush-hush?titel=x`, 'unknown option "titel"'],
    [`${URL_START}/123`, "the path is not that of a webhook"],
    [`${URL_START}/123/hush-hush/slack`, "the path is not that of a webhook"],
    [`${URL_START}/123/hush-hush?mention=admins`, "mention=admins is not everyone, here,"],
    [`${URL_START}/123/hush-hush?mention=role:x`, "mention=role:x is not everyone, here,"],
    ["discord+https://u:hush-hush@discord.com/api/webhooks/1/t", "credentials do not belong"],
  ])("refuses %s", (url, why) => {
    const refused = (): unknown => discord.open(splitUrl(url, "--notifier"), notifierContext());
    expect(refused).toThrow(why);
    expect(refused).not.toThrow("hush");
  });
});

describe("a message for Discord", () => {
  test("says what happened, where and when", async () => {
    const fake = fakeDiscord();
    const url = `${fake.url}?title=my+app&url=https://app.example.com`;
    const { notifier } = openWith(discord, url, fake.handler);
    await notifier.send(note(), NEVER);
    expect(fake.messages).toEqual([
      {
        username: "Dewy",
        avatar_url: expect.stringContaining("https://"),
        allowed_mentions: { parse: [] },
        embeds: [
          {
            author: { name: "my app", url: "https://app.example.com" },
            description: "Downloaded artifact for `v1`",
            color: 0x421aa9,
            footer: { text: "web-1" },
            timestamp: "2026-01-02T03:04:05.678Z",
          },
        ],
      },
    ]);
  });
  test.each([
    ["success", 0x36a64f],
    ["error", 0xdd0000],
  ] as const)("has the colour of %s", async (kind, color) => {
    const fake = fakeDiscord();
    const { notifier } = openWith(discord, fake.url, fake.handler);
    await notifier.send(note(["x"], kind), NEVER);
    expect(fake.messages[0]?.embeds?.[0]?.color).toBe(color);
  });
  test("shows the output of a hook", async () => {
    const fake = fakeDiscord();
    const { notifier } = openWith(discord, fake.url, fake.handler);
    await notifier.send(hookNote({ command: "make x_y", stdout: "out", stderr: "err" }), NEVER);
    expect(fake.messages[0]?.embeds?.[0]?.description).toBe(
      "✗ Before Deploy Hook: make x\\_y\n**Stdout**\n```\nout\n```\n**Stderr**\n```\nerr\n```\nDuration: 1.5s",
    );
  });
  test.each([
    ["everyone", "@everyone"],
    ["here", "@here"],
    ["role:42", "<@&42>"],
    ["user:43", "<@43>"],
  ])("an error mentions %s, anything else does not", async (mention, expected) => {
    const fake = fakeDiscord();
    const { notifier } = openWith(discord, `${fake.url}?mention=${mention}`, fake.handler);
    await notifier.send(note(), NEVER);
    await notifier.send(note(["x"], "error"), NEVER);
    await notifier.send(hookNote(), NEVER);
    await notifier.send(hookNote({ exitCode: 0 }), NEVER);
    expect(fake.mentions).toEqual([[], [expected], [expected], []]);
  });
  test("can go to a thread, and waits until Discord has stored it", async () => {
    const fake = fakeDiscord();
    const queries: string[] = [];
    const { notifier } = openWith(discord, `${fake.url}?title=t&thread_id=77`, (request) => {
      queries.push(new URL(request.url).search);
      return fake.handler(request);
    });
    await notifier.send(note(), NEVER);
    expect(fake.threads).toEqual(["77"]);
    expect(queries).toEqual(["?thread_id=77&wait=true"]);
  });
  test.each(HOSTILE)("mentions nobody, whatever a text says: %j", async (text) => {
    const fake = fakeDiscord();
    const { notifier } = openWith(discord, `${fake.url}?mention=user:43&title=t`, fake.handler);
    await notifier.send(
      note(rich`${text} ${code(text)} ${{ bold: text }} ${{ lines: [text] }}`, "error"),
      NEVER,
    );
    await notifier.send(hookNote({ command: text, stdout: text, stderr: text }), NEVER);
    expect(fake.mentions).toEqual([["<@43>"], ["<@43>"]]);
  });
  test.each([
    ["a long text", note(["é🙂 ".repeat(5_000)], "error")],
    ["long lines", note(["x", { lines: Array.from({ length: 20 }, () => "🙂".repeat(250)) }])],
    ["many parts", note(Array.from({ length: 900 }, (_, index) => code(`v${index}`)))],
    ["a hook's output", hookNote({ stdout: "é\n".repeat(30_000), stderr: "*".repeat(30_000) })],
  ])("fits whatever the length: %s", async (_, notification) => {
    const fake = fakeDiscord();
    const { notifier } = openWith(discord, `${fake.url}?title=${"t".repeat(900)}`, fake.handler);
    await notifier.send(notification, NEVER);
    const [embed] = fake.messages[0]?.embeds ?? [];
    expect(embed?.description).toContain("characters truncated)");
    expect(() => encodeURIComponent(embed?.description ?? "")).not.toThrow(); // No half characters.
  });
  test("fits around the limit", async () => {
    const fake = fakeDiscord();
    const { notifier } = openWith(discord, fake.url, fake.handler);
    for (const text of LONG) await notifier.send(note([text]), NEVER);
    expect(fake.messages).toHaveLength(LONG.length);
  });
  test("says how long a rate limit lasts, as exactly as Discord", async () => {
    const { notifier } = openWith(discord, fakeDiscord().url, () => discordRateLimit(64.57));
    await expect(notifier.send(note(), NEVER)).rejects.toMatchObject({ retryAfterMs: 64_570 });
  });
  test("an error says what Discord has against it", async () => {
    const fake = fakeDiscord();
    const { notifier } = openWith(discord, `${fake.url}x`, fake.handler);
    await expect(notifier.send(note(), NEVER)).rejects.toThrow(
      "Cannot send to Discord: HTTP 401: Invalid Webhook Token; check the URL",
    );
  });
});

describe("Discord's Markdown", () => {
  test.each([
    ["plain words", "plain words"],
    ["v1.2.3-rc.1+blue", "v1.2.3-rc.1+blue"],
    ["my_app *x* ~~y~~ |z| `q`", "my\\_app \\*x\\* \\~\\~y\\~\\~ \\|z\\| \\`q\\`"],
    ["[click](x) <@1>", "\\[click\\](x) \\<@\u200b1>"],
    ["# h\n- l\n> q\n2. l", "\\# h\n\\- l\n\\> q\n2\\. l"],
    ["see https://h/a_b: no", "see https://h/a_b: no"],
    ["at https://h/a_b", "at https://h/a_b"],
    // A link would take the backslashes for its own.
    ["https://h/*<@1>", "https:\\/\\/h/\\*\\<@\u200b1>"],
  ])("%j becomes %j", (text, expected) => {
    expect(markdown([text])).toBe(expected);
  });
  test("a link does not swallow what follows it", () => {
    expect(markdown(["https://h/", code("v1")])).toBe("https:\\/\\/h/`v1`");
  });
  test("a code span and a code block keep their ends", () => {
    expect(markdown([code("a`b"), { lines: ["```", "x"] }])).toBe("`aˋb`\n```\nˋˋˋ\nx\n```");
    expect(markdown([code(""), { lines: [""] }, { bold: "" }])).toBe("");
  });
});
