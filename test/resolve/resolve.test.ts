import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/core/error.ts";
import type { Artifact } from "../../src/core/types.ts";
import {
  GRACE_MS,
  type ListedTag,
  type Policy,
  type ReleaseFiles,
  type ReleaseSource,
  resolve,
} from "../../src/resolve/resolve.ts";

const NOW = Date.UTC(2026, 5, 1, 12);

const policy: Policy = {
  url: "ghr://acme/app",
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
  artifact: "",
  platform: { os: "linux", arch: "x64" },
  graceMs: GRACE_MS,
};

interface FakeRelease extends Omit<ListedTag, "tag"> {
  files?: readonly string[];
  createdAt?: Date;
  isUploading?: boolean;
  isGone?: boolean;
}

/** A source that fails when a tag is looked up that was not listed, and remembers the look-ups. */
function fakeSource(
  releases: Readonly<Record<string, FakeRelease>>,
): ReleaseSource & { lookedUp: string[] } {
  const lookedUp: string[] = [];
  return {
    lookedUp,
    async *tags() {
      for (const [tag, { preRelease, unusable }] of Object.entries(releases)) {
        yield {
          tag,
          ...(preRelease === undefined ? {} : { preRelease }),
          ...(unusable === undefined ? {} : { unusable }),
        };
      }
    },
    async release(tag): Promise<ReleaseFiles | undefined> {
      const release = releases[tag];
      if (release === undefined) throw new Error(`unexpected look-up of ${tag}`);
      lookedUp.push(tag);
      if (release.isGone) return undefined;
      const files = (release.files ?? ["app_linux_amd64.tar.gz"]).map(
        (name): Artifact => ({ name, url: `test://${tag}/${name}` }),
      );
      return {
        id: `id of ${tag}`,
        files,
        ...(release.isUploading === undefined ? {} : { isUploading: release.isUploading }),
        ...(release.createdAt === undefined ? {} : { createdAt: release.createdAt }),
      };
    },
  };
}

async function messageOf(
  releases: Readonly<Record<string, FakeRelease>>,
  changes: Partial<Policy> = {},
  exclude: string[] = [],
): Promise<string> {
  const answer = await resolve(
    fakeSource(releases),
    { ...policy, ...changes },
    { now: NOW, exclude },
  );
  if (answer.kind !== "none") throw new Error(`expected none, got ${answer.kind}`);
  return `${answer.reason}: ${answer.message}`;
}

describe("resolve", () => {
  test("is ready with the newest version and its artifact, and looks up no other", async () => {
    const createdAt = new Date(NOW - 1000);
    const source = fakeSource({
      "v1.0.0": {},
      "v1.10.0+blue": { createdAt, files: ["app_darwin_arm64.zip", "app_linux_x86_64.tgz"] },
      "v1.9.0": {},
      latest: {},
    });
    expect(await resolve(source, policy, { now: NOW })).toEqual({
      kind: "ready",
      release: {
        id: "id of v1.10.0+blue",
        tag: "v1.10.0+blue",
        slot: "blue",
        createdAt,
        version: {
          original: "v1.10.0+blue",
          v: "v",
          segments: [1, 10, 0],
          preRelease: "",
          buildMetadata: "blue",
        },
      },
      artifact: { name: "app_linux_x86_64.tgz", url: "test://v1.10.0+blue/app_linux_x86_64.tgz" },
      files: [
        { name: "app_darwin_arm64.zip", url: "test://v1.10.0+blue/app_darwin_arm64.zip" },
        { name: "app_linux_x86_64.tgz", url: "test://v1.10.0+blue/app_linux_x86_64.tgz" },
      ],
    });
    expect(source.lookedUp).toEqual(["v1.10.0+blue"]);
  });

  test("leaves out drafts, and what the registry calls a pre-release", async () => {
    const releases = {
      "v3.0.0": { unusable: "draft" },
      "v2.0.0": { preRelease: true },
      "v1.0.0": {},
    };
    expect(await resolve(fakeSource(releases), policy, { now: NOW })).toMatchObject({
      release: { tag: "v1.0.0" },
    });
    expect(
      await resolve(fakeSource(releases), { ...policy, preRelease: true }, { now: NOW }),
    ).toMatchObject({ release: { tag: "v2.0.0" } });
  });

  test("applies slot, constraint, calver and exclude before it chooses", async () => {
    const releases = {
      "v2.0.0+blue": {},
      "v1.2.0+green": {},
      "v1.1.0+blue": {},
      "v1.0.0+blue": {},
    };
    const answer = (changes: Partial<Policy>, exclude: string[] = []) =>
      resolve(fakeSource(releases), { ...policy, ...changes }, { now: NOW, exclude });
    expect(await answer({ slot: "blue", constraint: "^1" })).toMatchObject({
      release: { tag: "v1.1.0+blue" },
    });
    expect(await answer({ slot: "blue", constraint: "^1" }, ["v1.1.0+blue"])).toMatchObject({
      release: { tag: "v1.0.0+blue" },
    });
    expect(
      await resolve(
        fakeSource({ "2024.06.1": {}, "v9.9.9": {} }),
        { ...policy, calver: "YYYY.0M.MICRO" },
        { now: NOW },
      ),
    ).toMatchObject({ release: { tag: "2024.06.1", version: { segments: [2024, 6, 1] } } });
  });

  test("waits for an artifact until the grace period is over, and does not fall back", async () => {
    const releaseAt = (createdAt: Date | undefined) =>
      fakeSource({
        "v2.0.0": {
          files: ["app_darwin_arm64.tar.gz"],
          ...(createdAt === undefined ? {} : { createdAt }),
        },
        "v1.0.0": {},
      });
    const young = new Date(NOW - GRACE_MS + 1);
    expect(await resolve(releaseAt(young), policy, { now: NOW })).toEqual({
      kind: "pending",
      tag: "v2.0.0",
      reason: "artifact-missing",
      since: young,
    });
    for (const createdAt of [new Date(NOW - GRACE_MS), undefined]) {
      expect(await resolve(releaseAt(createdAt), policy, { now: NOW })).toEqual({
        kind: "none",
        reason: "artifact-missing",
        tag: "v2.0.0",
        message:
          'Cannot resolve "ghr://acme/app": no artifact of v2.0.0 matches linux/amd64, found app_darwin_arm64.tar.gz',
      });
    }
  });

  test("gives the next newest when the pending tag is excluded", async () => {
    const source = fakeSource({ "v2.0.0": { files: [] }, "v1.0.0": {} });
    expect(await resolve(source, policy, { now: NOW, exclude: ["v2.0.0"] })).toMatchObject({
      release: { tag: "v1.0.0" },
    });
  });

  test("is pending, not older, when the listed release is not there", async () => {
    const source = fakeSource({ "v2.0.0": { isGone: true }, "v1.0.0": {} });
    expect(await resolve(source, policy, { now: NOW })).toEqual({
      kind: "pending",
      tag: "v2.0.0",
      reason: "artifact-missing",
    });
  });

  test("takes the file that artifact names, or says that it is not found", async () => {
    const files = ["app", "app_linux_amd64.tar.gz"];
    expect(
      await resolve(
        fakeSource({ "v1.0.0": { files } }),
        { ...policy, artifact: "app" },
        { now: NOW },
      ),
    ).toMatchObject({ kind: "ready", artifact: { name: "app" } });
    expect(await messageOf({ "v1.0.0": { files } }, { artifact: "nope.tar.gz" })).toBe(
      'artifact-missing: Cannot resolve "ghr://acme/app": artifact not found: nope.tar.gz in v1.0.0, found app, app_linux_amd64.tar.gz',
    );
  });

  test("adds remarks for the operator on the choice", async () => {
    const files = ["tool_linux_amd64.zip", "app_linux_amd64.zip"];
    const answer = (changes: Partial<Policy>) =>
      resolve(fakeSource({ "v1.0.0": { files } }), { ...policy, ...changes }, { now: NOW });
    expect(await answer({})).toMatchObject({
      artifact: { name: files[0] },
      notes: [expect.stringContaining("2 files fit (tool_linux_amd64.zip, app_linux_amd64.zip)")],
    });
    expect(await answer({ repository: "app" })).toMatchObject({
      artifact: { name: files[1] },
      notes: [expect.stringContaining("named after the repository")],
    });
    expect(await answer({ artifact: "app*" })).toMatchObject({ notes: undefined });
  });

  test("says whether artifact names the very file", async () => {
    const files = ["app-1.0.0", "app_linux_amd64.tar.gz"];
    const isNamed = async (artifact: string) => {
      const source = fakeSource({ "v1.0.0": { files } });
      const answer = await resolve(source, { ...policy, artifact }, { now: NOW });
      return answer.kind === "ready" && answer.isNamed === true;
    };
    expect(await isNamed("app-1.0.0")).toBe(true);
    expect(await isNamed("app-{version}")).toBe(false);
    expect(await isNamed("app-*")).toBe(false);
    expect(await isNamed("")).toBe(false);
  });

  test("emulates only where the policy allows it", async () => {
    const changes = { platform: { os: "darwin", arch: "arm64" } };
    const files = ["app_darwin_amd64.zip"];
    expect(await messageOf({ "v1.0.0": { files } }, changes)).toContain("matches darwin/arm64");
    const source = fakeSource({ "v1.0.0": { files } });
    const emulating = { ...policy, ...changes, emulation: true };
    expect(await resolve(source, emulating, { now: NOW })).toMatchObject({ kind: "ready" });
  });

  test("waits with a guess while files are being uploaded, until the grace period is over", async () => {
    const answer = async (file: string, createdAt: Date, artifact = "") => {
      const source = fakeSource({ "v1.0.0": { files: [file], createdAt, isUploading: true } });
      return (await resolve(source, { ...policy, artifact }, { now: NOW })).kind;
    };
    const young = new Date(NOW - 1000);
    for (const file of ["site.tar.gz", "app-linux.zip", "app-linux-amd64"]) {
      expect(await answer(file, young)).toBe("pending");
      expect(await answer(file, young, "*")).toBe("pending");
      expect(await answer(file, young, file)).toBe("ready");
      expect(await answer(file, new Date(NOW - GRACE_MS))).toBe("ready");
    }
    expect(await answer("app-linux-amd64.zip", young)).toBe("ready");
  });

  test("says within the grace period what may keep the release from ever fitting", async () => {
    const pending = async (files: readonly string[], artifact = "") => {
      const source = fakeSource({ "v1.0.0": { files, createdAt: new Date(NOW - 1000) } });
      const answer = await resolve(source, { ...policy, artifact }, { now: NOW });
      expect(answer.kind).toBe("pending");
      return answer.kind === "pending" ? answer.message : undefined;
    };
    expect(await pending([])).toBeUndefined();
    expect(await pending(["app_darwin_arm64.zip"])).toBeUndefined();
    expect(await pending(["app_darwin_arm64.zip"], "nope")).toBeUndefined();
    expect(await pending(["app-x86_64.zip"])).toBe(
      "no artifact of v1.0.0 matches linux/amd64, found app-x86_64.zip; " +
        "app-x86_64.zip: its name has no operating system; set artifact= to use it",
    );
    expect(await pending(["app_darwin_arm64.zip", "checksums.txt"])).toBe(
      "no artifact of v1.0.0 matches linux/amd64, found app_darwin_arm64.zip, checksums.txt; " +
        "it looks complete, as it has checksums.txt",
    );
    expect(await pending(["a.jar", "SHA256SUMS"], "nope")).toBe(
      "artifact=nope selects no file of v1.0.0: found a.jar, SHA256SUMS; it looks complete, as it has SHA256SUMS",
    );
    expect(await pending(["a.jar", "b.jar"], "*.jar")).toBe(
      "artifact=*.jar selects no file of v1.0.0: it matches 2 files (a.jar, b.jar); make it more specific",
    );
  });

  test("throws for a constraint or format that cannot be used", async () => {
    await expect(
      resolve(fakeSource({}), { ...policy, constraint: "new" }, { now: NOW }),
    ).rejects.toThrow(ConfigError);
    await expect(
      resolve(fakeSource({}), { ...policy, calver: "foo" }, { now: NOW }),
    ).rejects.toThrow("no valid specifiers");
  });

  test("passes the signal on, and does not answer once it is aborted", async () => {
    const controller = new AbortController();
    const source: ReleaseSource = {
      async *tags(signal) {
        expect(signal).toBe(controller.signal);
        yield { tag: "v1.0.0" };
        controller.abort(new Error("stopped"));
      },
      release: () => Promise.reject(new Error("unexpected look-up")),
    };
    await expect(resolve(source, policy, { now: NOW, signal: controller.signal })).rejects.toThrow(
      "stopped",
    );
  });
});

describe("the message when there is nothing", () => {
  test("says that nothing is published", async () => {
    expect(await messageOf({})).toBe(
      'empty: Cannot resolve "ghr://acme/app": no valid versioned object found: nothing is published yet',
    );
  });

  test("shows the tags that are not versions, and the expected form", async () => {
    expect(await messageOf({ latest: {}, main: {} })).toBe(
      'no-version: Cannot resolve "ghr://acme/app": no valid versioned object found: ' +
        "2 tags (latest, main) are not versions (expected SemVer such as v1.2.3)",
    );
    expect(await messageOf({ "v1.2.3": {} }, { calver: "YYYY.0M.MICRO" })).toContain(
      'calver format "YYYY.0M.MICRO"',
    );
  });

  test("shows a few of many, and never control characters", async () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, nth) => [`build-${nth}`, {}]));
    expect(await messageOf(many)).toContain(
      "30 tags (build-0, build-1, build-2, build-3, build-4 and 25 more)",
    );
    expect(await messageOf({ "a\u001b[31m\nb": {}, ["x".repeat(500)]: {} })).toContain(
      `(a?[31m?b, ${"x".repeat(80)}…)`,
    );
  });

  test("says how to include pre-releases", async () => {
    expect(await messageOf({ "v1.0.0-rc.1": {}, "v1.0.0": { preRelease: true } })).toBe(
      'filtered: Cannot resolve "ghr://acme/app": no valid versioned object found: ' +
        "2 versions (v1.0.0-rc.1, v1.0.0) are pre-release; set pre-release=true to include them",
    );
  });

  test("names the slots that were seen", async () => {
    expect(
      await messageOf({ "v1.0.0+blue": {}, "v1.1.0+blue": {}, "v1.2.0": {} }, { slot: "green" }),
    ).toBe(
      'filtered: Cannot resolve "ghr://acme/app": no valid versioned object found: ' +
        '3 versions (v1.0.0+blue, v1.1.0+blue, v1.2.0) are not of slot "green", slots seen: blue, none',
    );
  });

  test("names the constraint, the excluded ones and the drafts", async () => {
    const message = await messageOf(
      { "v1.0.0": {}, "v2.0.0": {}, "v3.0.0": { unusable: "draft" } },
      { constraint: "^2" },
      ["v2.0.0"],
    );
    expect(message).toContain('1 version (v1.0.0) outside of constraint "^2"');
    expect(message).toContain("1 version (v2.0.0) excluded");
    expect(message).toContain("1 tag (v3.0.0) ruled out by the registry (draft)");
  });

  test("says what keeps a file from being chosen, and what to do", async () => {
    const files = ["app-linux.zip", "tool-linux.zip"];
    expect(await messageOf({ "v1.0.0": { files } })).toContain(
      "2 files fit equally well (app-linux.zip, tool-linux.zip); set artifact= to one of them",
    );
    expect(await messageOf({ "v1.0.0": { files } }, { artifact: "*.zip" })).toBe(
      'artifact-missing: Cannot resolve "ghr://acme/app": artifact=*.zip selects no file of v1.0.0: ' +
        "2 files fit equally well (app-linux.zip, tool-linux.zip); make it more specific",
    );
  });

  test("says what files there are, or that there are none", async () => {
    expect(await messageOf({ "v1.0.0": { files: [] } })).toContain(
      "no artifact of v1.0.0 matches linux/amd64, it has no files",
    );
    const files = Array.from({ length: 8 }, (_, nth) => `f${nth}.txt`);
    expect(await messageOf({ "v1.0.0": { files } })).toContain(
      "found f0.txt, f1.txt, f2.txt, f3.txt, f4.txt and 3 more",
    );
  });
});

describe("resolve with explain", () => {
  test("gives every tag its reason, newest first, and every file of the chosen one", async () => {
    const source = fakeSource({
      "1.0.0+blue": {},
      latest: {},
      "v2.1.0-rc.1+blue": {},
      "v2.0.0+green": {},
      "v3.0.0+blue": { unusable: "draft" },
      "v1.5.0+blue": { files: ["checksums.txt", "app_linux_amd64.zip"] },
      "1.5.0+blue": {},
      "v1.6.0+blue": {},
      "v4.0.0+blue": {},
      "v1.4.0+blue": { preRelease: true },
      "v1.3.0": {},
    });
    const explained = await resolve(
      source,
      { ...policy, slot: "blue", constraint: "<4" },
      { now: NOW, exclude: ["v1.6.0+blue"], explain: true },
    );
    expect(
      explained.explanation?.tags.map(
        ({ tag, chosen, reason }) => `${chosen ? "+" : "-"} ${tag}: ${reason}`,
      ),
    ).toEqual([
      '- v4.0.0+blue: does not satisfy the constraint "<4"',
      "- v3.0.0+blue: draft",
      "- v2.1.0-rc.1+blue: a pre-release; pre-release=true includes it",
      '- v2.0.0+green: slot "green" is not "blue"',
      "- v1.6.0+blue: excluded: marked bad, skipped, too young, or not complete yet",
      "+ v1.5.0+blue: the newest version that fits",
      "- 1.5.0+blue: equal to v1.5.0+blue, which is listed first",
      "- v1.4.0+blue: marked as a pre-release by the registry; pre-release=true includes it",
      '- v1.3.0: no build metadata, slot "blue" is wanted',
      "- 1.0.0+blue: older than v1.5.0+blue",
      "- latest: no SemVer version",
    ]);
    expect(explained.explanation?.artifacts.map((one) => [one.name, one.chosen])).toEqual([
      ["checksums.txt", false],
      ["app_linux_amd64.zip", true],
    ]);
    expect(explained.explanation?.platform).toEqual({ os: "linux", arch: "amd64" });
    const { explanation: _, ...resolution } = explained;
    expect(resolution).toEqual(
      await resolve(
        source,
        { ...policy, slot: "blue", constraint: "<4" },
        { now: NOW, exclude: ["v1.6.0+blue"] },
      ),
    );
  });

  test("has no files when nothing was chosen", async () => {
    const explained = await resolve(fakeSource({ main: {} }), policy, { now: NOW, explain: true });
    expect(explained).toMatchObject({
      kind: "none",
      reason: "no-version",
      explanation: { artifacts: [] },
    });
  });
});
