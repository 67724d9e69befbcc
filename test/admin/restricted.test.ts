import { describe, expect, test } from "vitest";
import { restricted, restrictedEntry } from "../../src/admin/restricted.ts";
import { withLastLines } from "../../src/deployers/with_last_lines.ts";
import { JournalEntry } from "../../src/journal/entry.ts";
import { TALKATIVE } from "./source.ts";

const AT = "2026-01-01T10:00:00.000Z";
const REASON = withLastLines("it exited", ["secret line", "another\nsecret"]);

describe("an entry without a token file", () => {
  test("has every field but messages, output and the command of a hook", () => {
    const fields = Object.keys(JournalEntry.entries);
    const entry = { ...Object.fromEntries(fields.map((name) => [name, name])), at: AT };
    const shown = Object.keys(restrictedEntry({ ...entry, event: "hook" }));
    const hidden = fields.filter((name) => !shown.includes(name));
    expect(hidden.sort()).toEqual(["command", "lastLines", "message", "stderr", "stdout"]);
  });

  test("keeps the command of an operator", () => {
    const entry = { at: AT, event: "ordered", command: "deploy v1", user: "alice", message: "m" };
    expect(restrictedEntry(entry)).toEqual({
      at: AT,
      event: "ordered",
      command: "deploy v1",
      user: "alice",
    });
  });

  test("quotes no output, however deep", () => {
    const entry = { at: AT, event: "warning", reason: REASON, fields: { error: REASON } };
    expect(restrictedEntry(entry)).toEqual({
      ...entry,
      reason: "it exited",
      fields: { error: "it exited" },
    });
  });
});

test("a status without a token file quotes no output and no message", () => {
  const text = JSON.stringify(restricted(TALKATIVE));
  expect(text).not.toContain("secret");
  expect(text).toContain("it exited with exit code 3");
  expect(JSON.stringify(TALKATIVE)).toContain("a secret message");
});
