import { describe, expect, test } from "vitest";
import { type Explanation, parseVersion, type Resolution } from "../../../mod.ts";
import { toAnswer } from "../../../src/cli/commands/answer.ts";
import { resolutionText } from "../../../src/cli/commands/check.ts";
import { explanationText } from "../../../src/cli/commands/explain.ts";
import { terminalStyle } from "../../../src/cli/terminal.ts";

const PLAIN = terminalStyle({ isTerminal: false }, {});
const PLATFORM = { os: "linux", arch: "amd64", libc: "musl" } as const;
const AT = new Date(Date.UTC(2026, 4, 1));

function ready(tag: string): Resolution {
  const version = parseVersion(tag);
  if (version === undefined) throw new Error(tag);
  return {
    kind: "ready",
    release: { id: "1", tag, version, createdAt: AT, slot: "blue" },
    artifact: { name: "a.tar", url: "https://x/a.tar?token=abc", size: 2048, digest: "sha256:00" },
  };
}
const PENDING: Resolution = {
  kind: "pending",
  tag: "v2.0.0",
  reason: "artifact-missing",
  since: AT,
};
const NONE: Resolution = { kind: "none", reason: "filtered", message: "all are pre-releases" };

test("a ready answer has every field, its URL without secrets", () => {
  expect(toAnswer(ready("v1.0.0+blue"))).toEqual({
    kind: "ready",
    tag: "v1.0.0+blue",
    version: "1.0.0+blue",
    artifact: "a.tar",
    url: "https://x/a.tar?token=…",
    size: 2048,
    digest: "sha256:00",
    createdAt: "2026-05-01T00:00:00.000Z",
    slot: "blue",
  });
});

test("a pending answer has its date, an empty one its reason", () => {
  const nothing = {
    artifact: null,
    url: null,
    size: null,
    digest: null,
    createdAt: null,
    slot: null,
  };
  expect(toAnswer(PENDING)).toEqual({
    ...nothing,
    kind: "pending",
    tag: "v2.0.0",
    version: "2.0.0",
    reason: "artifact-missing",
    since: "2026-05-01T00:00:00.000Z",
  });
  expect(toAnswer(NONE)).toEqual({
    ...nothing,
    kind: "none",
    tag: null,
    version: null,
    reason: "filtered",
    message: "all are pre-releases",
  });
});

test("notes on the artifact, and on waiting for it, are included", () => {
  const noted = { ...ready("v1.0.0"), notes: ["2 files fit"] };
  expect(toAnswer(noted)).toMatchObject({ kind: "ready", notes: ["2 files fit"] });
  expect(resolutionText({ resolution: noted }, PLATFORM, PLAIN)).toContain(
    "\nnote       2 files fit\n",
  );
  const hopeless = { ...PENDING, message: "no artifact matches" };
  expect(toAnswer(hopeless)).toMatchObject({ kind: "pending", message: "no artifact matches" });
  expect(resolutionText({ resolution: hopeless }, PLATFORM, PLAIN)).toContain(
    "\nreason     no artifact matches\n",
  );
});

test("the text is aligned, without unknown values", () => {
  expect(resolutionText({ resolution: ready("v1.0.0") }, PLATFORM, PLAIN)).toBe(
    [
      "version    v1.0.0",
      "artifact   a.tar",
      "url        https://x/a.tar?token=…",
      "size       2 KiB",
      "digest     sha256:00",
      "published  2026-05-01T00:00:00.000Z",
      "slot       blue",
      "platform   linux/amd64 (musl)",
      "",
    ].join("\n"),
  );
  expect(resolutionText({ resolution: PENDING }, PLATFORM, PLAIN)).toContain(
    "pending    v2.0.0\nreason     ",
  );
  expect(resolutionText({ resolution: NONE }, PLATFORM, PLAIN)).toContain(
    "version   none (filtered)\nreason    all are pre-releases\n",
  );
});

const EXPLANATION: Explanation = {
  registry: "ghr://o/r",
  platform: PLATFORM,
  tags: [
    { tag: "v1.0.0", chosen: true, reason: "newest" },
    { tag: "\u001b[31mred\n", chosen: false, reason: "no version" },
  ],
  artifacts: [],
  resolution: NONE,
};

test("an explanation marks what was chosen, and escapes control characters in tags", () => {
  const text = explanationText(EXPLANATION, PLAIN);
  expect(text).toContain("*  v1.0.0 ");
  expect(text).toContain("   \\x1b[31mred\\n  no version\n");
  expect(text).toContain("\nartifacts (0)\n");
});

describe("at a terminal", () => {
  const style = terminalStyle({ isTerminal: true, columns: 80 }, { NO_COLOR: "1" });
  test.each([
    ["✓", "version", ready("v1.0.0")],
    ["✗", "pending", PENDING],
    ["✗", "version   none", NONE],
  ])("a mark %s precedes %s", (mark, name, resolution) => {
    const [first, ...rest] = resolutionText({ resolution }, PLATFORM, style).trimEnd().split("\n");
    expect(first).toMatch(new RegExp(`^${mark} ${name} `));
    for (const line of rest) expect(line).toMatch(/^ {2}\w/);
  });
  test("an explanation marks each candidate", () => {
    const text = explanationText(EXPLANATION, style);
    expect(text).toContain("\ntags (2)\n✓  v1.0.0 ");
    expect(text).toContain("\n✗  \\x1b[31mred\\n  no version\n");
    expect(text).toContain("\nartifacts (0)\n\nanswer\n✗ version   none ");
    expect(text).not.toContain("\u001b");
  });
  test("the choice is green, what was skipped is dim", () => {
    const text = explanationText(EXPLANATION, terminalStyle({ isTerminal: true }, {}));
    expect(text).toContain("\u001b[32m✓\u001b[39m  v1.0.0 ");
    expect(text).toContain("\u001b[31m✗\u001b[39m\u001b[2m  \\x1b[31mred");
  });
});
