import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ListedVersion } from "../../../src/core/types.ts";
import {
  explain,
  latest,
  openRegistry,
  type RegistryOptions,
  versions,
} from "../../../src/registries/open.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { FakeGitHub } from "../../fakes/github.ts";
import { APP, type GhrWorld, ghrWorld } from "./world.ts";

const MINUTE = 60_000;
const REPO = "ghr://acme/app";
const PLATFORMS = ["linux_amd64", "linux_arm64", "linux_armv7", "darwin_amd64", "darwin_arm64"];
const NAMES = PLATFORMS.flatMap((platform) =>
  [".tar.gz", ".tar.gz.sha256", ".sbom.json", ".tar.gz.sig"].map((end) => `app_${platform}${end}`),
);

function asked({ github }: GhrWorld): string[] {
  return github.calls.map(({ call }) => call.replace("/repos/acme/app/", ""));
}

const TAGS = "GET git/matching-refs/tags?per_page=100";
const LIST = "GET releases?per_page=100";

describe("a single question", () => {
  test("costs two requests and less than 150 kB on 300 releases with 20 files", async () => {
    const world = ghrWorld();
    for (let minor = 0; minor < 300; minor += 1) {
      world.github.publish(
        `v1.${minor}.0`,
        NAMES.map((name) => ({ name, bytes: new Uint8Array(1) })),
      );
    }
    let wire = 0;
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const response = await world.github.fetch(input, init);
      wire += gzipSync(new Uint8Array(await response.clone().arrayBuffer())).byteLength;
      return response;
    };
    const left = world.github.remaining("ghp_reader");
    const answer = await latest(REPO, { ...world.options, fetch });
    expect(answer).toMatchObject({ kind: "ready", release: { tag: "v1.299.0" } });
    expect(asked(world)).toEqual([TAGS, "GET releases/tags/v1.299.0"]);
    expect(left - world.github.remaining("ghp_reader")).toBe(2);
    const plain = world.github.calls.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(plain).toBeLessThan(150_000);
    expect(wire).toBeLessThan(30_000);
  });

  test("costs one request more for each newer tag that cannot be chosen", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    world.github.publish("v1.1.0", APP, { preRelease: true });
    world.github.publish("v1.2.0", APP, { draft: true });
    world.github.pushTag("v1.2.0");
    world.github.pushTag("v1.3.0");
    expect(await latest(REPO, world.options)).toMatchObject({ release: { tag: "v1.0.0" } });
    expect(asked(world)).toEqual([
      TAGS,
      ...["v1.3.0", "v1.2.0", "v1.1.0", "v1.0.0"].map((tag) => `GET releases/tags/${tag}`),
    ]);
  });

  test("reads the list where many tags have no release", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    for (let minor = 1; minor < 30; minor += 1) world.github.pushTag(`v1.${minor}.0`);
    expect(await latest(REPO, world.options)).toMatchObject({ release: { tag: "v1.0.0" } });
    expect(asked(world)).toHaveLength(12);
    expect(asked(world).at(-1)).toBe(LIST);
  });

  test("reads the list where two versions are equal", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0+a", APP);
    world.github.publish("v1.0.0+b", APP);
    expect(await latest(REPO, world.options)).toMatchObject({ release: { tag: "v1.0.0+b" } });
    expect(asked(world)).toEqual([TAGS, LIST]);
  });

  test("does not change how the same registry polls later", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    await world.registry.resolve({ once: true });
    await world.registry.resolve();
    await world.registry.resolve({ once: true });
    expect(asked(world)).toEqual([TAGS, "GET releases/tags/v1.0.0", TAGS, LIST, TAGS]);
  });

  test("downloads what it has read without another look-up", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    const answer = await world.registry.resolve({ once: true });
    if (answer.kind !== "ready") throw new Error(answer.kind);
    const stream = await world.registry.open(answer.artifact);
    expect(await new Response(stream).text()).toContain("v1.0.0");
    expect(asked(world).filter((call) => call.includes("releases/tags"))).toHaveLength(1);
  });

  test("lists everything for an explanation", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    world.github.publish("v1.1.0", APP);
    expect((await explain(REPO, world.options)).tags).toHaveLength(2);
    expect(asked(world)).toEqual([TAGS, LIST]);
  });
});

const TAG = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("v", ""),
      fc.nat(2),
      fc.nat(1),
      fc.nat(2),
      fc.constantFrom("", "", "", "-rc.1", "-rc.2"),
      fc.constantFrom("", "", "", "+blue", "+green"),
    )
    .map(([v, a, b, c, pre, build]) => `${v}${a}.${b}.${c}${pre}${build}`),
  fc.constantFrom("2024.06.1", "2024.10.0", "2023.12.3", "latest", "nightly"),
);
const FILES = fc.subarray([
  { name: "app_linux_amd64.tar.gz" },
  { name: "app_linux_arm64.tar.gz" },
  { name: "app_linux_amd64.zip", state: "open" as const },
  { name: "app.jar" },
  { name: "checksums.txt" },
]);
const ENTRY = fc.record({
  tag: TAG,
  what: fc.constantFrom("release", "release", "release", "draft", "tag", "deleted"),
  preRelease: fc.constantFrom(false, false, true),
  minutesAgo: fc.constantFrom(1, 29, 31, 10_000),
  files: FILES,
});
/** Versions in the middle of those of the repositories, by calver format. */
const SINCE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "": { low: "0.1.1", high: "v1.1.1" },
  "YYYY.0M.MICRO": { low: "2023.12.3", high: "2024.06.1" },
};
const QUESTION = fc.record({
  preRelease: fc.boolean(),
  slot: fc.constantFrom("", "", "blue"),
  constraint: fc.constantFrom("", "", "^1", ">=1.1 <2"),
  calver: fc.constantFrom("", "", "", "YYYY.0M.MICRO"),
  artifact: fc.constantFrom("", "", "app.jar"),
  exclude: fc.array(TAG, { maxLength: 3 }),
  since: fc.constantFrom(undefined, undefined, undefined, "low", "high"),
  tag: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, TAG),
  token: fc.constantFrom("ghp_writer", "ghp_reader"),
});

function repositoryOf(
  entries: readonly (typeof ENTRY extends fc.Arbitrary<infer T> ? T : never)[],
): {
  github: FakeGitHub;
  options: RegistryOptions;
} {
  const clock = fakeClock({ now: Date.UTC(2026, 5, 1) });
  const github = new FakeGitHub({ clock });
  for (const { tag, what, preRelease, minutesAgo, files } of entries) {
    if (what === "tag") github.pushTag(tag);
    else {
      const publishedAt = clock.now() - minutesAgo * MINUTE;
      github.publish(tag, files, { draft: what === "draft", preRelease, publishedAt });
      if (what === "deleted") github.deleteRelease(tag);
    }
  }
  const platform = { os: "linux", arch: "amd64" };
  return { github, options: { platform, fetch: github.fetch, clock } };
}

test("a single question has the answer of a listing, whatever the repository holds", async () => {
  const paths = { single: 0, list: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(ENTRY, { maxLength: 20, size: "max" }),
      QUESTION,
      async (entries, question) => {
        const { github, options } = repositoryOf(entries);
        const { token, exclude, since, tag, ...query } = question;
        const has = since && SINCE[query.calver]?.[since];
        const how = {
          ...options,
          ...query,
          env: { GITHUB_API_URL: github.urls.api, GH_TOKEN: token },
        };
        const listed = await openRegistry(REPO, how).resolve({ exclude, since: has, tag });
        github.calls.length = 0;
        const answer = await latest(REPO, { ...how, exclude, since: has, tag });
        // Nothing newer is known without a look at whether the rest has releases.
        if (answer.kind === "none" && answer.reason === "unchanged") {
          expect(listed.kind === "none" && listed.reason).toMatch(
            /^(unchanged|empty|filtered|no-version)$/,
          );
        } else expect(answer).toEqual(listed);
        const isListed = github.calls.some(({ call }) => call.includes("/releases?"));
        paths[isListed ? "list" : "single"] += 1;
        github.verify();
      },
    ),
    { numRuns: 150 },
  );
  // The property would also hold if every question read the list.
  expect(paths.single).toBeGreaterThan(20);
  expect(paths.list).toBeGreaterThan(5);
});

describe("versions", () => {
  test("reads only what is asked for, and has dates, notes and pages", async () => {
    const world = ghrWorld();
    for (let minor = 0; minor < 30; minor += 1) world.github.publish(`v1.${minor}.0`, APP);
    world.github.publish("v1.30.0", APP, { preRelease: true });
    world.github.pushTag("v1.31.0");
    const found: ListedVersion[] = [];
    for await (const version of versions(REPO, world.options)) {
      found.push(version);
      if (found.length === 2) break;
    }
    expect(found.map(({ tag }) => tag)).toEqual(["v1.29.0", "v1.28.0"]);
    expect(found[0]).toMatchObject({
      preRelease: false,
      publishedAt: expect.any(Date),
      notes: "What is new in v1.29.0",
      url: "https://github.test/acme/app/releases/tag/v1.29.0",
    });
    expect(asked(world)).toEqual([
      TAGS,
      ...[31, 30, 29, 28].map((minor) => `GET releases/tags/v1.${minor}.0`),
    ]);
  });

  test("reads the list for all of them", async () => {
    const world = ghrWorld();
    for (let minor = 0; minor < 120; minor += 1) world.github.publish(`v1.${minor}.0`, APP);
    let count = 0;
    for await (const _ of versions(REPO, world.options)) count += 1;
    expect(count).toBe(120);
    expect(asked(world)).toHaveLength(1 + 10 + 2);
  });

  test("continue after a poll without asking for each of them", async () => {
    const world = ghrWorld();
    for (let minor = 0; minor < 20; minor += 1) world.github.publish(`v1.${minor}.0`, APP);
    await world.registry.resolve();
    let count = 0;
    for await (const _ of world.registry.versions?.() ?? []) count += 1;
    expect(count).toBe(20);
    expect(asked(world)).toEqual([TAGS, LIST, TAGS]);
  });
});

describe("since", () => {
  test("costs one request while nothing is newer", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    world.github.publish("v1.1.0", APP);
    for (const since of ["v1.1.0", "1.1.0", "v2.0.0"]) {
      world.github.calls.length = 0;
      const answer = await latest(REPO, { ...world.options, since });
      expect(answer).toMatchObject({ kind: "none", reason: "unchanged", tag: since });
      expect(asked(world)).toEqual([TAGS]);
    }
    expect(await latest(REPO, { ...world.options, since: "v1.0.9" })).toMatchObject({
      kind: "ready",
      release: { tag: "v1.1.0" },
    });
  });

  test("refuses what is not a version", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    await expect(latest(REPO, { ...world.options, since: "newest" })).rejects.toMatchObject({
      code: "config",
      message: expect.stringContaining('"newest" is not a version'),
    });
  });
});
