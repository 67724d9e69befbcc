import { describe, expect, test } from "vitest";
import type { Artifact } from "../../src/core/types.ts";
import {
  type ChosenArtifact,
  GRACE_MS,
  type ListedTag,
  type Policy,
  type ReleaseSource,
  resolve,
} from "../../src/resolve/resolve.ts";

const NOW = Date.UTC(2026, 5, 1, 12);

const POLICY: Policy = {
  url: "ghr://acme/app",
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  platform: { os: "linux", arch: "x64" },
  graceMs: GRACE_MS,
};

function sourceOf(
  listed: readonly (string | ListedTag)[],
  release: { files?: readonly string[]; chosen?: ChosenArtifact; createdAt?: Date } = {},
): ReleaseSource {
  const { files = [], chosen, createdAt } = release;
  return {
    async *tags() {
      for (const one of listed) yield typeof one === "string" ? { tag: one } : one;
    },
    release: async (tag) => ({
      id: tag,
      files: files.map((name): Artifact => ({ name, url: `test://${name}` })),
      ...(createdAt === undefined ? {} : { createdAt }),
      ...(chosen === undefined ? {} : { chosen }),
    }),
  };
}

async function messageOf(
  source: ReleaseSource,
  changes: Partial<Policy> = {},
): Promise<string | undefined> {
  const answer = await resolve(source, { ...POLICY, ...changes }, { now: NOW });
  if (answer.kind === "ready") throw new Error(`expected no version, got ${answer.release.tag}`);
  return answer.message;
}

describe("the message if no version passes", () => {
  const PREFIX = 'Cannot resolve "ghr://acme/app": no valid versioned object found: ';

  test("speaks of one tag in the singular, and separates the reasons", async () => {
    const listed = [{ tag: "v1.0.0", unusable: "draft" }, "latest", "v2.0.0-rc.1"];
    expect(await messageOf(sourceOf(listed))).toBe(
      `${PREFIX}1 tag (latest) is not a version (expected SemVer such as v1.2.3); ` +
        "1 version (v2.0.0-rc.1) is pre-release; set pre-release=true to include them; " +
        "1 tag (v1.0.0) ruled out by the registry (draft)",
    );
  });

  test("names each of the registry's own reasons once", async () => {
    const listed = ["draft", "draft", "yanked"].map((unusable, nth) => ({
      tag: `v1.0.${nth}`,
      unusable,
    }));
    expect(await messageOf(sourceOf(listed))).toBe(
      `${PREFIX}3 tags (v1.0.0, v1.0.1, v1.0.2) ruled out by the registry (draft, yanked)`,
    );
  });

  test("is not that of an empty registry if the only version is a draft", async () => {
    const answer = await resolve(sourceOf([{ tag: "v1.0.0", unusable: "draft" }]), POLICY, {
      now: NOW,
    });
    expect(answer).toMatchObject({ kind: "none", reason: "filtered" });
  });

  test("names only slots of versions that the slot has ruled out", async () => {
    const listed = ["latest+nightly", "v1.0.0+blue", "v1.1.0-rc.1+green"];
    expect(await messageOf(sourceOf(listed), { slot: "green" })).toContain(
      '1 version (v1.0.0+blue) is not of slot "green", slots seen: blue;',
    );
  });
});

describe("the message if the version has no artifact for this machine", () => {
  test("explains a tie by the platform if artifact= is not set", async () => {
    const files = ["app-linux.zip", "tool-linux.zip"];
    expect(await messageOf(sourceOf(["v1.0.0"], { files }))).toBe(
      'Cannot resolve "ghr://acme/app": no artifact of v1.0.0 matches linux/amd64, ' +
        "found app-linux.zip, tool-linux.zip; " +
        "2 files fit equally well (app-linux.zip, tool-linux.zip); set artifact= to one of them",
    );
  });
});

describe("a source that chooses among other things than files", () => {
  const image = { name: "app:v1.0.0", url: "img://r.test/app:v1.0.0" };
  const candidates = ["linux/arm64", "windows/amd64"].map((name) => ({
    name,
    chosen: false,
    reason: "for another platform",
  }));

  test("makes the version ready with its own choice, without notes on names of files", async () => {
    const source = sourceOf(["v1.0.0"], { chosen: { artifact: image, candidates } });
    const answer = await resolve(source, POLICY, { now: NOW });
    expect(answer).toMatchObject({ kind: "ready", artifact: image });
    expect(answer).toMatchObject({ notes: undefined, isNamed: undefined, files: undefined });
  });

  test("is taken at its word even while a name of a file would be doubtful", async () => {
    const chosen = { artifact: image, candidates };
    const source = sourceOf(["v1.0.0"], { chosen, createdAt: new Date(NOW - 1000) });
    expect(await resolve(source, POLICY, { now: NOW })).toMatchObject({ kind: "ready" });
  });

  test("has its candidates in the message if none of them fits", async () => {
    const chosen = { artifact: undefined, candidates };
    expect(await messageOf(sourceOf(["v1.0.0"], { chosen }))).toBe(
      'Cannot resolve "ghr://acme/app": no artifact of v1.0.0 matches linux/amd64, ' +
        "found linux/arm64, windows/amd64",
    );
  });

  test("is waited for within the grace period if none of its candidates fits", async () => {
    const chosen = { artifact: undefined, candidates };
    const createdAt = new Date(NOW - 1000);
    const answer = await resolve(sourceOf(["v1.0.0"], { chosen, createdAt }), POLICY, { now: NOW });
    expect(answer).toMatchObject({ kind: "pending", since: createdAt, message: undefined });
  });
});

test("a version without build metadata has no slot, and one without a date no date", async () => {
  const files = ["app-linux-amd64.zip"];
  const answer = await resolve(sourceOf(["v1.0.0"], { files }), POLICY, { now: NOW });
  if (answer.kind !== "ready") throw new Error(answer.kind);
  expect(answer.release).toMatchObject({ tag: "v1.0.0", slot: undefined, createdAt: undefined });
});
