import { describe, expect, test } from "vitest";
import { parseHistoryQuery, readHistory, readRecent } from "../../src/admin/history.ts";
import { entryLine } from "../../src/journal/entry.ts";
import { journalFile } from "../../src/journal/file.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { untilEnd } from "./source.ts";

const NOW = Date.parse("2026-01-10T00:00:00Z");

const parse = (query: string) => parseHistoryQuery(new URLSearchParams(query), NOW);

describe("the query", () => {
  test.each([
    ["", { limit: 100, since: Number.NEGATIVE_INFINITY, events: [] }],
    ["limit=1", { limit: 1 }],
    ["limit=1000", { limit: 1_000 }],
    ["since=24h", { since: NOW - 86_400_000 }],
    ["since=2026-01-02", { since: Date.parse("2026-01-02T00:00:00Z") }],
    ["since=2026-01-02T03:04:05%2B01:00", { since: Date.parse("2026-01-02T02:04:05Z") }],
    ["event=deployed,failed&event=polled", { events: ["deployed", "failed", "polled"] }],
  ])("%j is read", (query, expected) => {
    expect(parse(query)).toMatchObject(expected);
  });

  test.each([
    ["limit=0", "limit"],
    ["limit=1001", "limit"],
    ["limit=-1", "limit"],
    ["limit=1e3", "limit"],
    ["limit=", "limit"],
    ["since=yesterday", "since"],
    ["since=-1h", "since"],
    ["event=deployd", "event"],
    ["event=", "event"],
    ["format=csv", "parameter"],
  ])("%j is refused", (query, name) => {
    expect(parse(query)).toContain(name);
  });
});

describe("the history", () => {
  async function journal(): Promise<string> {
    const root = await tempDirectory();
    const lines = Array.from({ length: 9 }, (_, index) =>
      entryLine({
        at: `2026-01-0${index + 1}T00:00:00.000Z`,
        event: index % 3 === 0 ? "polled" : "deployed",
        tag: `v${index + 1}`,
      }),
    );
    await journalFile(root).append(lines, false, () => {});
    return root;
  }

  test.each([
    ["", ["v2", "v3", "v5", "v6", "v8", "v9"]],
    ["limit=2", ["v8", "v9"]],
    ["since=2026-01-05", ["v5", "v6", "v8", "v9"]],
    ["event=polled", ["v1", "v4", "v7"]],
    ["event=polled&limit=1&since=72h", ["v7"]],
    ["since=1h", []],
  ])("for %j has the latest entries, oldest first", async (text, tags) => {
    const query = parse(text);
    if (typeof query === "string") throw new Error(query);
    const entries = await readHistory(await journal(), query, untilEnd());
    expect(entries.map(({ tag }) => tag)).toEqual(tags);
  });

  test("of the page leaves out polls", async () => {
    const entries = await readRecent(await journal());
    expect(entries.map(({ tag }) => tag)).toEqual(["v2", "v3", "v5", "v6", "v8", "v9"]);
  });

  test("is empty without a journal", async () => {
    expect(await readRecent(await tempDirectory())).toEqual([]);
  });
});
