import { describe, expect, test } from "vitest";
import { timelineOf } from "../../../src/admin/page/timeline.ts";
import type { JournalEntry } from "../../../src/journal/entry.ts";
import { isoAgo } from "./views.ts";

const entry = (event: string, more: Partial<JournalEntry> = {}): JournalEntry => ({
  at: isoAgo(0),
  event,
  ...more,
});

describe("the timeline", () => {
  test("shows the latest first", () => {
    const items = timelineOf([
      entry("deployed", { tag: "v1", deploy: "a" }),
      entry("app-exited", { tag: "v1" }),
      entry("deployed", { tag: "v2", deploy: "b" }),
    ]);
    expect(items.map(({ kind, entry: { tag } }) => [kind, tag])).toEqual([
      ["deploy", "v2"],
      ["event", "v1"],
      ["deploy", "v1"],
    ]);
  });

  test("shows a version that failed and was rolled back once, with what both entries say", () => {
    const [item, ...others] = timelineOf([
      entry("hook", { tag: "v2", deploy: "a", exitCode: 1, lastLines: ["no disk"] }),
      entry("rolled-back", { tag: "v2", to: "v1", deploy: "a", phases: { stage: 1 } }),
      entry("failed", { tag: "v2", phase: "verify", deploy: "a", reason: "it exited" }),
    ]);
    expect(others).toEqual([]);
    expect(item).toMatchObject({
      kind: "deploy",
      key: "a",
      outcome: "rolled-back",
      entry: { to: "v1", phase: "verify", reason: "it exited" },
      hooks: [{ lastLines: ["no disk"] }],
    });
  });

  test("keeps two failed attempts apart", () => {
    const items = timelineOf([
      entry("failed", { tag: "v2", deploy: "a" }),
      entry("failed", { tag: "v2", deploy: "b" }),
    ]);
    expect(items.map(({ key }) => key)).toEqual(["b", "a"]);
  });

  test("orders the phases, and adds them up if the entry has no duration", () => {
    const phases = { bake: 3, stage: 1, unknown: 5, verify: 2 };
    const [item] = timelineOf([entry("failed", { tag: "v2", deploy: "a", phases })]);
    expect(item).toMatchObject({
      phases: [
        ["stage", 1],
        ["verify", 2],
        ["bake", 3],
      ],
      totalMs: 6,
    });
  });

  test("counts what happens several times in a row", () => {
    const exited = entry("app-exited", { tag: "v1" });
    const items = timelineOf([
      { ...exited, at: isoAgo(3) },
      { ...exited, at: isoAgo(2) },
      entry("app-exited", { tag: "v2" }),
      { ...exited, at: isoAgo(1) },
    ]);
    expect(items.map((item) => item.kind === "event" && item.count)).toEqual([1, 1, 2]);
    expect(items[2]).toMatchObject({ key: `app-exited-${isoAgo(3)}`, entry: { at: isoAgo(2) } });
  });

  test("leaves out what a deploy or a rollback says itself, and what is of no interest", () => {
    const items = timelineOf([
      entry("ordered", { command: "rollback v1" }),
      entry("ordered", { command: "deploy v1" }),
      entry("ordered", { command: "pin v1" }),
      entry("polled", { outcome: "fine" }),
      entry("pruned"),
      entry("made-up"),
    ]);
    expect(items.map(({ entry: { command } }) => command)).toEqual(["pin v1"]);
  });

  test("ends before the eleventh deploy, and at thirty items", () => {
    const deploys = Array.from({ length: 12 }, (_, index) =>
      entry("deployed", { tag: `v${index}`, deploy: `${index}` }),
    );
    expect(timelineOf(deploys).map(({ key }) => key)).toEqual([
      "11",
      "10",
      "9",
      "8",
      "7",
      "6",
      "5",
      "4",
      "3",
      "2",
    ]);
    const orders = Array.from({ length: 40 }, (_, index) =>
      entry("ordered", { command: `pin v${index}`, at: isoAgo(index) }),
    );
    expect(timelineOf(orders)).toHaveLength(30);
  });
});
