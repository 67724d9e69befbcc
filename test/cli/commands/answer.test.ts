import { expect, test } from "vitest";
import { parseVersion, type Resolution } from "../../../mod.ts";
import { toAnswer } from "../../../src/cli/commands/answer.ts";
import { resolutionText } from "../../../src/cli/commands/check.ts";
import { explanationText } from "../../../src/cli/commands/explain.ts";

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

test("a pending answer says since when, one of nothing says why", () => {
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

test("what is worth knowing about the artifact, or about waiting for it, is told", () => {
  const noted = { ...ready("v1.0.0"), notes: ["2 files fit"] };
  expect(toAnswer(noted)).toMatchObject({ kind: "ready", notes: ["2 files fit"] });
  expect(resolutionText(noted, PLATFORM)).toContain("\nnote       2 files fit\n");
  const hopeless = { ...PENDING, message: "no artifact matches" };
  expect(toAnswer(hopeless)).toMatchObject({ kind: "pending", message: "no artifact matches" });
  expect(resolutionText(hopeless, PLATFORM)).toContain("\nreason     no artifact matches\n");
});

test("people get aligned lines, without what is not known", () => {
  expect(resolutionText(ready("v1.0.0"), PLATFORM)).toBe(
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
  expect(resolutionText(PENDING, PLATFORM)).toContain("pending    v2.0.0\nreason     ");
  expect(resolutionText(NONE, PLATFORM)).toContain(
    "none      filtered\nreason    all are pre-releases\n",
  );
});

test("an explanation marks what was chosen, and obeys no tag", () => {
  const text = explanationText({
    registry: "ghr://o/r",
    platform: PLATFORM,
    tags: [
      { tag: "v1.0.0", chosen: true, reason: "newest" },
      { tag: "\u001b[31mred\n", chosen: false, reason: "no version" },
    ],
    artifacts: [],
    resolution: NONE,
  });
  expect(text).toContain("*  v1.0.0 ");
  expect(text).toContain("   \\x1b[31mred\\n  no version\n");
  expect(text).toContain("\nartifacts (0)\n");
});
