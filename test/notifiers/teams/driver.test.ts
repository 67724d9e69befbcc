import { describe, expect, test } from "vitest";
import { splitUrl } from "../../../src/core/url.ts";
import { code, rich } from "../../../src/notifiers/rich_text.ts";
import { teams } from "../../../src/notifiers/teams/driver.ts";
import { fakeTeams, type TeamsCard, teamsDisabled } from "../../fakes/teams.ts";
import { notifierContext } from "../context.ts";
import { HOSTILE, hookNote, NEVER, note, openWith } from "../notes.ts";

const FLOW = "teams+https://prod-1.westus.logic.azure.com/workflows/hush/triggers/manual/paths";

describe("teams+https:// URLs", () => {
  test.each([
    [`${FLOW}?sig=hush&titel=x`, 'unknown option "titel"; did you mean title?'],
    [`${FLOW}?api-version=1`, "the URL has no sig="],
    [`${FLOW}?sig=hush&mention=here`, "mention=here is not a sign-in name"],
    ["teams+https://x.webhook.office.com/webhookb2/hush", "connectors are retired"],
    ["teams+https://outlook.office.com/webhook/hush?sig=x", "connectors are retired"],
  ])("refuses %s", (url, why) => {
    const refused = (): unknown => teams.open(splitUrl(url, "--notifier"), notifierContext());
    expect(refused).toThrow(why);
    expect(refused).not.toThrow("hush");
  });
});

/** The card that Teams shows for a notification. */
async function cardFor(
  notification: Parameters<ReturnType<typeof openWith>["notifier"]["send"]>[0],
  options = "",
): Promise<TeamsCard> {
  const fake = fakeTeams();
  const { notifier } = openWith(teams, `${fake.url}${options}`, fake.handler);
  await notifier.send(notification, NEVER);
  expect(fake.failedRuns).toEqual([]);
  const [card] = fake.cards;
  if (card === undefined) throw new Error("no card");
  return card;
}

/** What a person reads, line by line. */
function linesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(linesOf);
  const element = value as Record<string, unknown>;
  if (element.type === "RichTextBlock") {
    return [(element.inlines as { text: string }[]).map(({ text }) => text).join("")];
  }
  if (element.type === "TextBlock") return [element.text as string];
  return linesOf(element.items);
}

describe("a card for Teams", () => {
  test("says what happened, where and when", async () => {
    const card = await cardFor(note(), "&title=my+app&url=https://app.example.com");
    expect(linesOf(card.body)).toEqual([
      "Downloaded artifact for v1",
      "my app · web-1 · 2026-01-02 03:04 UTC",
    ]);
    expect(card.actions).toEqual([
      { type: "Action.OpenUrl", title: "my app", url: "https://app.example.com" },
    ]);
    expect(JSON.stringify(card.body)).toContain('"text":"v1","fontType":"Monospace"');
  });
  test.each([
    ["message", "default"],
    ["success", "good"],
    ["error", "attention"],
  ] as const)("has the colour of a %s", async (kind, style) => {
    const { body } = await cardFor(note(["x"], kind));
    expect(body[0]).toMatchObject({ type: "Container", style });
  });
  test("shows the output of a hook", async () => {
    const card = await cardFor(hookNote({ stdout: "one\n\ntwo", stderr: "err" }));
    expect(linesOf(card.body)).toEqual([
      "✗ Before Deploy Hook: make",
      "Stdout",
      "one",
      " ",
      "two",
      "Stderr",
      "err",
      "Duration: 1.5s",
      "web-1 · 2026-01-02 03:04 UTC",
    ]);
  });
  test("an error mentions a user, anything else does not", async () => {
    const fake = fakeTeams();
    const { notifier } = openWith(teams, `${fake.url}&mention=al_i@example.com`, fake.handler);
    await notifier.send(note(), NEVER);
    await notifier.send(note(["x"], "error"), NEVER);
    await notifier.send(hookNote(), NEVER);
    expect(fake.failedRuns).toEqual([]);
    expect(fake.mentions).toEqual([[], ["al_i@example.com"], ["al_i@example.com"]]);
  });
  test.each(HOSTILE)("only shows what a text says: %j", async (text) => {
    const hostile = rich`${text} ${code(text)} ${{ bold: text }} ${{ lines: text.split("\n") }}`;
    for (const notification of [
      note(hostile, "error"),
      hookNote({ command: text, stdout: text }),
    ]) {
      const card = await cardFor(notification, "&mention=alice@example.com");
      // Everything but our own mention is in a TextRun, which has no markup.
      const all = JSON.stringify(card);
      expect(all.match(/"TextBlock"/g)).toHaveLength(1);
      expect(all.match(/<at>/g)).toHaveLength(2);
      expect(card.actions).toBeUndefined();
    }
  });
  test.each([
    ["a long text", note(["é🙂 ".repeat(20_000)], "error")],
    ["many lines", note(["x", { lines: Array.from({ length: 2_000 }, () => '"') }])],
    ["many parts", note(Array.from({ length: 900 }, (_, index) => code(`v${index}`)))],
    ["a hook's output", hookNote({ stdout: "é\n".repeat(30_000), stderr: "*".repeat(30_000) })],
  ])("fits whatever the length: %s", async (_, notification) => {
    const card = await cardFor(notification, `&title=${"t".repeat(900)}`);
    expect(linesOf(card.body).join("\n")).toContain("characters truncated)");
    expect(JSON.stringify(card)).not.toMatch(/\\ud[89a-f]/);
  });
});

describe("a workflow that refuses", () => {
  test.each([
    ["a wrong signature", "sig=teams", "sig=other", "HTTP 401: The authentication credentials"],
    ["another workflow", "0123456789abcdef/triggers", "x/triggers", "HTTP 404: The workflow is"],
  ])("%s needs an operator", async (_, right, wrong, why) => {
    const fake = fakeTeams();
    const { notifier } = openWith(teams, fake.url.replace(right, wrong), fake.handler);
    await expect(notifier.send(note(), NEVER)).rejects.toMatchObject({
      code: "credential",
      message: expect.stringContaining(why),
    });
  });
  test("a workflow that is turned off needs an operator", async () => {
    const { notifier } = openWith(teams, fakeTeams().url, teamsDisabled);
    await expect(notifier.send(note(), NEVER)).rejects.toMatchObject({
      code: "credential",
      message: expect.stringContaining("with state 'Disabled'; check the URL of the workflow"),
    });
  });
});
