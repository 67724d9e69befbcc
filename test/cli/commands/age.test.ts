import { describe, expect, test } from "vitest";
import type { Registry, Resolution } from "../../../mod.ts";
import { parseVersion } from "../../../mod.ts";
import { agedTags, ageJson, ageRows, resolveAged } from "../../../src/cli/commands/age.ts";
import { resolutionText } from "../../../src/cli/commands/check.ts";
import { explanationJson, explanationText } from "../../../src/cli/commands/explain.ts";
import { terminalStyle } from "../../../src/cli/terminal.ts";

const PLAIN = terminalStyle({ isTerminal: false }, {});
const PLATFORM = { os: "linux", arch: "amd64" } as const;
const NOW = Date.UTC(2026, 4, 1, 12);
const HOUR = 3_600_000;
const LIMIT = { minAgeMs: 2 * HOUR, now: NOW };

function version(tag: string, ageMs?: number): Resolution & { kind: "ready" } {
  const parsed = parseVersion(tag);
  if (parsed === undefined) throw new Error(tag);
  const createdAt = ageMs === undefined ? {} : { createdAt: new Date(NOW - ageMs) };
  return {
    kind: "ready",
    release: { id: tag, tag, version: parsed, ...createdAt },
    artifact: { name: "a.tar", url: "https://x/a.tar" },
  };
}

/** Answers with the first that is not excluded. */
function registryOf(...answers: Resolution[]): Registry {
  return {
    resolve: async ({ exclude = [] } = {}) => {
      const excluded = new Set(exclude);
      const left = answers.find((one) => one.kind !== "ready" || !excluded.has(one.release.tag));
      return left ?? { kind: "none", reason: "filtered", message: "all are excluded" };
    },
    open: async () => {
      throw new Error("nothing is opened");
    },
  };
}

const YOUNG = version("v1.2.0", HOUR);
const OLD = version("v1.1.0", 3 * HOUR + 1_234);
const UNTIL = "2026-05-01T13:00:00.000Z";

describe("a minimum age", () => {
  test("chooses the newest version that is old enough, and says what waits", async () => {
    const { resolution, age } = await resolveAged(registryOf(YOUNG, OLD), {}, LIMIT);
    expect(resolution).toBe(OLD);
    expect(age && ageJson(age)).toEqual({
      minAgeMs: 2 * HOUR,
      ageMs: 3 * HOUR + 1_234,
      waiting: [
        {
          tag: "v1.2.0",
          why: "min-age",
          reason: "published 2026-05-01T11:00:00.000Z, --min-age is 2h0m0s",
          until: UNTIL,
        },
      ],
    });
  });

  test("is shown by check", async () => {
    const answer = await resolveAged(registryOf(YOUNG, OLD), {}, LIMIT);
    expect(resolutionText(answer, PLATFORM, PLAIN)).toBe(
      [
        "version    v1.1.0",
        "artifact   a.tar",
        "url        https://x/a.tar",
        "published  2026-05-01T08:59:58.766Z",
        "age        3h0m1s",
        "min-age    2h0m0s",
        `waiting    v1.2.0 until ${UNTIL}: published 2026-05-01T11:00:00.000Z, --min-age is 2h0m0s`,
        "platform   linux/amd64",
        "",
      ].join("\n"),
    );
  });

  test("leaves nothing to deploy if every version is too young", async () => {
    const { resolution, age } = await resolveAged(registryOf(YOUNG), {}, LIMIT);
    expect(resolution).toMatchObject({ kind: "none" });
    expect(age && ageJson(age)).toMatchObject({ ageMs: null, waiting: [{ tag: "v1.2.0" }] });
    expect(age && ageRows(resolution, age).map(([name, value]) => value && name)).toEqual([
      undefined,
      "min-age",
      "waiting",
    ]);
  });

  test("does not hold back a version without a date", async () => {
    const undated = version("v1.3.0");
    const { resolution, age } = await resolveAged(registryOf(undated, OLD), {}, LIMIT);
    expect(resolution).toBe(undated);
    expect(age && ageRows(resolution, age)[0]).toEqual(["age", "unknown, so it does not wait"]);
  });

  test.each([
    [2 * HOUR, "v1.0.0"],
    [2 * HOUR - 1, undefined],
  ])("is over to the millisecond: %i", async (ageMs, tag) => {
    const { resolution } = await resolveAged(registryOf(version("v1.0.0", ageMs)), {}, LIMIT);
    expect(resolution.kind === "ready" ? resolution.release.tag : undefined).toBe(tag);
  });

  test("ends with a registry that ignores what is excluded", async () => {
    const registry = { ...registryOf(), resolve: async () => YOUNG };
    const { resolution, age } = await resolveAged(registry, {}, LIMIT);
    expect(resolution).toMatchObject({ kind: "none", tag: "v1.2.0" });
    expect(age?.waiting).toHaveLength(1);
  });

  test("changes nothing if there is none", async () => {
    const answer = await resolveAged(registryOf(YOUNG), {}, { minAgeMs: 0, now: NOW });
    expect(answer).toEqual({ resolution: YOUNG });
  });
});

describe("an explanation", () => {
  const explanation = {
    registry: "ghr://o/r",
    platform: PLATFORM,
    tags: [
      { tag: "v1.2.0", chosen: false, reason: "excluded" },
      { tag: "v1.1.0", chosen: true, reason: "newest" },
    ],
    artifacts: [],
    resolution: OLD,
  };

  test("explains until when a tag that is too young waits", async () => {
    const { age } = await resolveAged(registryOf(YOUNG, OLD), {}, LIMIT);
    if (age === undefined) throw new Error("no age");
    const [young, old] = agedTags(explanation.tags, age);
    expect(young?.reason).toContain(`too young; it waits until ${UNTIL}`);
    expect(old).toBe(explanation.tags[1]);
    expect(explanationText({ ...explanation, age }, PLAIN)).toContain("\nmin-age    2h0m0s\n");
    expect(explanationJson({ ...explanation, age })).toMatchObject({
      resolution: { tag: "v1.1.0" },
      minAgeMs: 2 * HOUR,
      waiting: [{ tag: "v1.2.0" }],
    });
  });

  test.each([
    [{ isOpen: true, until: new Date(NOW) }, "open until 2026-05-01T12:00:00.000Z"],
    [{ isOpen: false, until: new Date(NOW) }, "closed until 2026-05-01T12:00:00.000Z"],
    [{ isOpen: true, until: undefined }, "always open"],
  ])("says whether a window is open, and until when: %j", (window, text) => {
    expect(explanationText({ ...explanation, window }, PLAIN)).toContain(`\nwindow    ${text}\n`);
    expect(explanationJson({ ...explanation, window }).window).toEqual({
      open: window.isOpen,
      until: window.until?.toISOString() ?? null,
    });
  });

  test("has neither age nor window without the flags", () => {
    expect(Object.keys(explanationJson(explanation))).toEqual([
      "registry",
      "platform",
      "tags",
      "artifacts",
      "resolution",
    ]);
  });
});
