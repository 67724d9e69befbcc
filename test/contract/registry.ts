/**
 * The behaviour of every registry of files, whatever its protocol. A test file sets up the driver,
 * and names the cases that do not apply, each with a reason.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { DewyError } from "../../src/core/error.ts";
import type { Artifact, ListedVersion, Registry, Resolution } from "../../src/core/types.ts";
import {
  explainRegistry,
  latest,
  openRegistry,
  type RegistryOptions,
} from "../../src/registries/open.ts";
import { GRACE_MS } from "../../src/resolve/resolve.ts";
import { readFilesOf } from "../../src/verify/read_files.ts";
import { fakeClock } from "../fakes/clock.ts";

export interface ContractRelease {
  tag: string;
  /**
   * Bytes by file name, in the order in which they are published; defaults to one archive for
   * linux/amd64.
   */
  files?: Readonly<Record<string, string>>;
  /** Defaults to an hour before the test's "now". */
  createdAt?: Date;
}

export interface ContractRegistry {
  /** Without options. */
  url: string;
  /** The options to open it with. */
  options: RegistryOptions;
  /** Publishes releases, or replaces the files of existing ones. */
  publish(releases: readonly ContractRelease[]): Promise<void>;
  /** Removes the artifacts of a release, but not dewy's own files. */
  remove(tag: string): Promise<void>;
}

/** How to set up a driver, and where it differs. */
export interface ContractDriver {
  /**
   * Creates an empty registry. `onTestFinished` cleans it up. `policy` has the options that choose a version, for a
   * server that chooses it.
   */
  setup(policy?: RegistryOptions): Promise<ContractRegistry>;
  /** Whether the server chooses the version, so that the policy belongs to it. Defaults to false. */
  serverChooses?: boolean;
  /** The time of the registry's clock. Defaults to {@link CONTRACT_NOW}. */
  now?: () => number;
  /** How it writes a tag that it cannot store unchanged. */
  spell?: (tag: string) => string;
  /** How it names a file, if it stores something else. */
  nameOf?: (file: string) => string;
  /** Names of artifacts that it has to keep unchanged. */
  oddNames: readonly string[];
  /** Cases that do not apply, with the reason. */
  skip?: Partial<Record<ContractCase, string>>;
}

/** Cases that a driver may leave out. */
export type ContractCase =
  | "backdating"
  | "listing"
  | "network"
  | "many"
  | "files"
  | "digest"
  | "replacing"
  | "records"
  | "leftovers";

export const CONTRACT_NOW: number = Date.UTC(2026, 5, 1, 12);

const ARTIFACT = "app_linux_amd64.tar.gz";
const MINUTE = 60_000;
/** For clocks that skip pauses, and would skip the limit of a question as well. */
const UNLIMITED = { timeoutMs: Number.POSITIVE_INFINITY };

/** Declares the tests of a driver. */
export function registryContract(name: string, driver: ContractDriver): void {
  const now = driver.now ?? (() => CONTRACT_NOW);
  const { spell = (tag) => tag, nameOf = (file) => file } = driver;
  const released = (minutesAgo: number): Date => new Date(now() - minutesAgo * MINUTE);
  const open = async (
    releases: readonly ContractRelease[],
    query: RegistryOptions = {},
  ): Promise<ContractRegistry & { registry: Registry }> => {
    const made = await driver.setup(query);
    await made.publish(
      releases.map((release) => ({
        files: { [ARTIFACT]: release.tag },
        createdAt: released(60),
        ...release,
      })),
    );
    return {
      ...made,
      registry: openRegistry(made.url, {
        ...made.options,
        ...(driver.serverChooses ? {} : query),
      }),
    };
  };
  const current = async (
    tags: readonly (string | ContractRelease)[],
    query: RegistryOptions = {},
    exclude: readonly string[] = [],
  ): Promise<Resolution> => {
    const releases = tags.map((tag) => (typeof tag === "string" ? { tag } : tag));
    return (await open(releases, query)).registry.resolve({ exclude });
  };
  const unless = (...what: ContractCase[]): typeof it.skip => {
    const reason = what.map((one) => driver.skip?.[one]).find((one) => one !== undefined);
    return reason === undefined
      ? it
      : (((title: string, test: () => Promise<void>) =>
          it.skip(`${title} (skipped: ${reason})`, test)) as typeof it.skip);
  };

  describe(`${name}: the registry contract`, () => {
    it("chooses the newest version, not the last one by name", async () => {
      const answer = ready(await current(["v1.9.0", "v1.10.0", "v1.2.0"]));
      expect(answer.release).toMatchObject({ tag: "v1.10.0", version: { segments: [1, 10, 0] } });
      expect(answer.release.id).not.toBe("");
      if (driver.skip?.files === undefined) {
        expect(answer.artifact).toMatchObject({ name: ARTIFACT, size: "v1.10.0".length });
      }
    });

    unless("listing")(
      "names every tag that it lists, those it does not choose as well",
      async () => {
        const { registry } = await open([{ tag: "v1.0.0" }, { tag: "v0.9.0" }, { tag: "nightly" }]);
        const tags = new Set<string>();
        await registry.resolve({ onTag: (tag) => tags.add(tag) });
        expect([...tags].sort()).toEqual(["nightly", "v0.9.0", "v1.0.0"]);
      },
    );

    unless("backdating")("reports when the release was published", async () => {
      const { release } = ready(await current([{ tag: "v1.0.0", createdAt: released(90) }]));
      expect(release.createdAt).toEqual(released(90));
    });

    it("answers unchanged if nothing is newer than the version that the caller has", async () => {
      const { registry } = await open([{ tag: "v1.0.0" }, { tag: "v1.1.0" }]);
      expect(await registry.resolve({ since: "v1.1.0" })).toMatchObject({
        kind: "none",
        reason: "unchanged",
        tag: "v1.1.0",
      });
      expect(ready(await registry.resolve({ since: "v1.0.0" })).release.tag).toBe("v1.1.0");
    });

    it("lists versions, the newest first", async () => {
      const { registry } = await open([{ tag: "v1.0.0" }, { tag: "v1.1.0" }]);
      const [first] = await listed(registry);
      expect(first).toMatchObject({ tag: "v1.1.0", version: { segments: [1, 1, 0] } });
    });

    unless("listing")("lists all versions that the options allow, and no other", async () => {
      const tags = ["v1.9.0", "latest", "v1.10.0", "v2.0.0", "v1.11.0-rc.1", "v1.2.0"];
      const releases = tags.map((tag) => ({ tag }));
      const { registry } = await open(releases, { constraint: "^1.2", preRelease: true });
      expect(
        (await listed(registry, ["v1.9.0"])).map(({ tag, preRelease }) => [tag, preRelease]),
      ).toEqual([
        ["v1.11.0-rc.1", true],
        ["v1.10.0", false],
        ["v1.2.0", false],
      ]);
      const blue = await open([{ tag: "v1.2.0+green" }, { tag: "v1.1.0+blue" }], { slot: "blue" });
      expect((await listed(blue.registry)).map(({ tag }) => tag)).toEqual([spell("v1.1.0+blue")]);
    });

    unless(
      "listing",
      "backdating",
      "files",
    )("dates the versions that it lists", async () => {
      const createdAt = released(90);
      const { registry } = await open([{ tag: "v1.0.0", createdAt }]);
      expect(await listed(registry)).toMatchObject([{ tag: "v1.0.0", publishedAt: createdAt }]);
    });

    unless("network")("times out while it lists versions", async () => {
      const made = await driver.setup();
      const clock = fakeClock({ now: now() });
      const registry = openRegistry(made.url, { ...made.options, fetch: silence, clock });
      const answer = expect(listed(registry)).rejects.toMatchObject({ code: "timeout" });
      await clock.sleeping(10_000);
      clock.advance(10_000);
      await answer;
    });

    it("chooses a pre-release only with preRelease", async () => {
      const tags = ["v1.0.0", "v1.1.0-rc.1"];
      expect(ready(await current(tags)).release.tag).toBe("v1.0.0");
      expect(ready(await current(tags, { preRelease: true })).release.tag).toBe("v1.1.0-rc.1");
    });

    it("chooses the newest version within a slot", async () => {
      const { release } = ready(
        await current(["v1.2.0+green", "v1.1.0+blue", "v1.0.0+blue"], { slot: "blue" }),
      );
      expect(release).toMatchObject({ tag: spell("v1.1.0+blue"), slot: "blue" });
    });

    it("chooses the newest CalVer version", async () => {
      const { release } = ready(
        await current(["2024.06.1", "2024.10.0", "v9.0.0"], { calver: "YYYY.0M.MICRO" }),
      );
      expect(release.tag).toBe("2024.10.0");
    });

    it("chooses the newest version within a constraint", async () => {
      const { release } = ready(
        await current(["v1.2.3", "v1.4.0", "v2.0.0"], { constraint: "^1.2" }),
      );
      expect(release.tag).toBe("v1.4.0");
    });

    unless("listing")("chooses the next newest version if one is excluded", async () => {
      expect(ready(await current(["v1.0.0", "v1.1.0"], {}, ["v1.1.0"])).release.tag).toBe("v1.0.0");
    });

    unless("files")("chooses the named artifact, whatever the platform", async () => {
      const files = { [ARTIFACT]: "archive", app: "executable" };
      const { artifact } = ready(await current([{ tag: "v1.0.0", files }], { artifact: "app" }));
      expect(artifact).toMatchObject({ name: "app", size: "executable".length });
    });

    unless("files")(
      "names all files of the release, and reads those beside the artifact",
      async () => {
        const files = {
          [ARTIFACT]: "archive",
          "checksums.txt": "sums",
          "checksums.txt.sig": "sig",
        };
        const { registry } = await open([{ tag: "v1.0.0", files }]);
        const { files: listed = [] } = ready(await registry.resolve());
        expect(listed.map(({ name }) => name).sort()).toEqual(Object.keys(files).sort());
        const signature = listed.find(({ name }) => name === "checksums.txt.sig");
        if (signature === undefined) throw new Error("not listed");
        const { signal } = new AbortController();
        const readFile = readFilesOf({ registry, clock: fakeClock(), signal });
        expect(new TextDecoder().decode(await readFile(signature, 3))).toBe("sig");
        await expect(readFile(signature, 2)).rejects.toMatchObject({ code: "unverified" });
      },
    );

    unless("files")("chooses a bare executable if there is no archive", async () => {
      const files = { "app_1.0.0_linux_amd64": "\x7fELF", "app_1.0.0_darwin_arm64": "mach-o" };
      const { registry } = await open([{ tag: "v1.0.0", files }]);
      const { artifact } = ready(await registry.resolve());
      expect(artifact.name).toBe("app_1.0.0_linux_amd64");
      expect(await read(registry, artifact)).toBe("\x7fELF");
    });

    unless("files")("chooses the artifact that matches a pattern", async () => {
      const files = {
        [ARTIFACT]: "archive",
        "app-1.0.0.jar": "jar",
        "app-1.0.0.jar.sha256": "sum",
      };
      for (const artifact of ["app-{version}.jar", "*.jar"]) {
        const answer = ready(await current([{ tag: "v1.0.0", files }], { artifact }));
        expect(answer.artifact.name).toBe("app-1.0.0.jar");
      }
    });

    it("waits for an artifact within the grace period", async () => {
      const createdAt = released(29);
      const answer = await current([
        "v1.0.0",
        { tag: "v1.1.0", files: { "notes.txt": "n" }, createdAt },
      ]);
      expect(answer).toMatchObject({ kind: "pending", tag: "v1.1.0", reason: "artifact-missing" });
      if (driver.skip?.backdating === undefined) expect(answer).toMatchObject({ since: createdAt });
    });

    unless("backdating")("reports what is missing after the grace period", async () => {
      const late = {
        tag: "v1.1.0",
        files: { "notes.txt": "n" },
        createdAt: new Date(now() - GRACE_MS),
      };
      const answer = await current(["v1.0.0", late]);
      expect(answer).toMatchObject({ kind: "none", reason: "artifact-missing", tag: "v1.1.0" });
      expect(message(answer)).toMatch(/v1\.1\.0.*linux\/amd64.*found/);
      expect(message(answer)).toContain(nameOf("notes.txt"));
    });

    unless("backdating", "files")("names the missing artifact", async () => {
      const answer = await current(["v1.0.0"], { artifact: "x.zip" });
      expect(answer).toMatchObject({ kind: "none", reason: "artifact-missing" });
      expect(message(answer)).toMatch(/artifact not found: .*x\.zip/);
    });

    it("reports that nothing is published", async () => {
      expect(await current([])).toMatchObject({ kind: "none", reason: "empty" });
    });

    it("reports that none of the tags is a version", async () => {
      const answer = await current(["latest", "nightly"]);
      expect(answer).toMatchObject({ kind: "none", reason: "no-version" });
      expect(message(answer)).toContain("latest");
    });

    it.each(driver.oddNames)("returns the bytes of an artifact named %j", async (artifact) => {
      const files = { [artifact]: `bytes of ${artifact}`, "other.txt": "other" };
      const { registry } = await open([{ tag: "v1.0.0", files }], { artifact });
      const answer = ready(await registry.resolve());
      expect(answer.artifact.name).toBe(artifact);
      expect(await read(registry, answer.artifact)).toBe(files[artifact]);
    });

    unless("files")("streams from an offset, including the very end", async () => {
      const { registry } = await open([{ tag: "v1.0.0", files: { [ARTIFACT]: "0123456789" } }]);
      const { artifact } = ready(await registry.resolve());
      expect(await read(registry, artifact)).toBe("0123456789");
      expect(await read(registry, artifact, 7)).toBe("789");
      expect(await read(registry, artifact, 10)).toBe("");
    });

    unless("files")("resumes only with bytes of the same file", async () => {
      const { registry } = await open([{ tag: "v1.0.0", files: { [ARTIFACT]: "0123456789" } }]);
      const { artifact } = ready(await registry.resolve());
      const found: (string | undefined)[] = [];
      const onValidator = (one: string | undefined): void => void found.push(one);
      await new Response(await registry.open(artifact, { onValidator })).text();
      const [validator] = found;
      if (validator === undefined) throw new Error("nothing identifies the bytes");
      const rest = await registry.open(artifact, { offset: 7, validator });
      expect(await new Response(rest).text()).toBe("789");
      const other = validator.replace(/.(?=.$)/, (digit) => (digit === "0" ? "1" : "0"));
      await expect(registry.open(artifact, { offset: 7, validator: other })).rejects.toMatchObject({
        code: "integrity",
        retryable: true,
      });
    });

    unless("files")("refuses an offset beyond the end", async () => {
      const { registry } = await open([{ tag: "v1.0.0", files: { [ARTIFACT]: "0123456789" } }]);
      const { artifact } = ready(await registry.resolve());
      await expect(read(registry, artifact, 11)).rejects.toMatchObject({ code: "integrity" });
    });

    unless("digest")("states the digest of the bytes", async () => {
      const { registry } = await open([{ tag: "v1.0.0" }]);
      const { artifact } = ready(await registry.resolve());
      const [algorithm = "", hex] = (artifact.digest ?? "").split(":");
      const bytes = await read(registry, artifact);
      expect(hex).toBe(createHash(algorithm).update(bytes).digest("hex"));
    });

    unless("replacing")(
      "detects replaced bytes, and does not append them to the old ones",
      async () => {
        const { registry, publish } = await open([
          { tag: "v1.0.0", files: { [ARTIFACT]: "old bytes" } },
        ]);
        const before = ready(await registry.resolve()).artifact;
        await publish([
          { tag: "v1.0.0", files: { [ARTIFACT]: "NEW BYTES" }, createdAt: released(50) },
        ]);
        await expect(read(registry, before, 4)).rejects.toMatchObject({
          code: "integrity",
          retryable: true,
        });
        const after = ready(await registry.resolve()).artifact;
        expect(after.revision).not.toBe(before.revision);
        expect(await read(registry, after)).toBe("NEW BYTES");
      },
    );

    unless("listing")("looks up whether a release exists", async () => {
      const { registry } = await open([{ tag: "v1.0.0" }]);
      expect(await registry.exists?.("v1.0.0")).toBe(true);
      expect(await registry.exists?.("v1.0")).toBe(false);
      expect(await registry.exists?.("v2.0.0")).toBe(false);
    });

    unless("listing")("resolves one tag, whatever the options say about versions", async () => {
      const tags = ["v1.0.0", "v1.1.0-rc.1", "v2.0.0"];
      const policy = { constraint: "^2", slot: "blue" };
      const { registry } = await open(
        tags.map((tag) => ({ tag })),
        policy,
      );
      for (const tag of tags) {
        const answer = ready(await registry.resolve({ tag, exclude: [tag] }));
        expect(answer.release).toMatchObject({ tag, version: { original: tag } });
        if (driver.skip?.files === undefined)
          expect(await read(registry, answer.artifact)).toBe(tag);
      }
    });

    unless("listing")("resolves a tag with a slot as the registry spells it", async () => {
      const { registry } = await open([{ tag: "v1.0.0+blue" }, { tag: "v1.0.0+green" }]);
      const tag = spell("v1.0.0+blue");
      const { release } = ready(await registry.resolve({ tag }));
      expect(release).toMatchObject({ tag, slot: "blue" });
    });

    unless("listing")(
      "gives the newest tag the same answer by its name as by the policy",
      async () => {
        const { registry } = await open([{ tag: "v1.0.0" }, { tag: "v1.1.0" }]);
        const newest = await registry.resolve();
        expect(await registry.resolve({ tag: "v1.1.0" })).toEqual(newest);
        expect(await registry.resolve({ tag: "v1.0.0" })).toMatchObject({ kind: "ready" });
        expect(await registry.resolve()).toEqual(newest);
      },
    );

    unless("listing")("names its nearest versions if it does not have a tag", async () => {
      const { registry } = await open(["v1.0.0", "v1.2.0", "v3.0.0"].map((tag) => ({ tag })));
      const answer = await registry.resolve({ tag: "v1.1.0", explain: true });
      expect(answer).toMatchObject({
        kind: "none",
        reason: "unknown-tag",
        tag: "v1.1.0",
        explanation: { tags: [{ tag: "v1.1.0", chosen: false }], artifacts: [] },
      });
      expect(message(answer)).toMatch(/^Cannot find the tag "v1\.1\.0" in ".*:\/\/.*":/);
      expect(message(answer)).toMatch(/not found; the registry has v1\.0\.0 and v1\.2\.0$/);
      expect(message(await registry.resolve({ tag: "1.2.0" }))).toMatch(
        /the registry has v1\.2\.0$/,
      );
    });

    unless("listing")("knows no tag while nothing is published", async () => {
      const { registry } = await open([]);
      const answer = await registry.resolve({ tag: "v1.0.0" });
      expect(answer).toMatchObject({ kind: "none", reason: "unknown-tag", tag: "v1.0.0" });
      expect(message(answer)).toContain("no version is published");
    });

    unless("listing")("refuses a tag that is not a version", async () => {
      const { registry } = await open([{ tag: "latest" }]);
      for (const tag of ["latest", "", "../v1.0.0", "v1.0.0/a"]) {
        const { resolution, tags } = await explainRegistry(registry, { tag });
        expect(resolution).toMatchObject({ kind: "none", reason: "unknown-tag", tag });
        expect(message(resolution)).toContain("not a version (expected SemVer");
        expect(tags).toMatchObject([{ tag, chosen: false }]);
      }
    });

    unless("listing")(
      "waits for the artifact of a tag as for that of the newest version",
      async () => {
        const files = { "notes.txt": "n" };
        const createdAt = released(29);
        const { registry } = await open([{ tag: "v1.0.0", files, createdAt }, { tag: "v2.0.0" }]);
        const answer = await registry.resolve({ tag: "v1.0.0" });
        expect(answer).toMatchObject({
          kind: "pending",
          tag: "v1.0.0",
          reason: "artifact-missing",
        });
        expect(ready(await registry.resolve()).release.tag).toBe("v2.0.0");
      },
    );

    unless("backdating", "listing")(
      "reports that a tag has no artifact for this platform",
      async () => {
        const { registry } = await open([{ tag: "v1.0.0", files: { "notes.txt": "n" } }]);
        const answer = await registry.resolve({ tag: "v1.0.0" });
        expect(answer).toMatchObject({ kind: "none", reason: "artifact-missing", tag: "v1.0.0" });
      },
    );

    it("does not find the tag of a deleted release", async () => {
      const { registry, remove } = await open([{ tag: "v1.0.0" }, { tag: "v1.1.0" }]);
      const { release } = ready(await registry.resolve({ tag: "v1.1.0" }));
      await registry.report?.(deployment(release.id, "v1.1.0"));
      await remove("v1.1.0");
      const answer = await registry.resolve({ tag: "v1.1.0" });
      expect(answer).toMatchObject({ kind: "none", reason: "unknown-tag", tag: "v1.1.0" });
    });

    unless("listing")("explains the tag that was asked for", async () => {
      const { registry } = await open([{ tag: "v1.0.0" }, { tag: "v1.1.0" }]);
      const why = await explainRegistry(registry, { tag: "v1.0.0" });
      expect(why.tags).toEqual([
        { tag: "v1.0.0", chosen: true, reason: "the tag that was asked for" },
      ]);
      expect(why.artifacts).toMatchObject([{ name: nameOf(ARTIFACT), chosen: true }]);
      expect(why.resolution).toEqual(await registry.resolve({ tag: "v1.0.0" }));
    });

    unless("listing")("chooses the newest remaining version after one is deleted", async () => {
      const { registry, remove } = await open([{ tag: "v1.0.0" }, { tag: "v1.1.0" }]);
      await remove("v1.1.0");
      expect(ready(await registry.resolve()).release.tag).toBe("v1.0.0");
      expect(await registry.exists?.("v1.1.0")).toBe(false);
    });

    unless("records")("does not list its own record of a deploy as an artifact", async () => {
      const { registry } = await open([{ tag: "v1.0.0" }]);
      const before = ready(await registry.resolve());
      await registry.report?.(deployment(before.release.id, "v1.0.0"));
      expect(ready(await registry.resolve()).artifact).toEqual(before.artifact);
      const { artifacts } = await explainRegistry(registry);
      expect(artifacts.map((artifact) => artifact.name)).toEqual([ARTIFACT]);
    });

    unless("leftovers")("treats a release as deleted if only its own record is left", async () => {
      const { registry, remove } = await open([{ tag: "v1.0.0" }, { tag: "v1.1.0" }]);
      const { release } = ready(await registry.resolve());
      await registry.report?.(deployment(release.id, "v1.1.0"));
      await remove("v1.1.0");
      expect(ready(await registry.resolve()).release.tag).toBe("v1.0.0");
      expect(await registry.exists?.("v1.1.0")).toBe(false);
    });

    it("explains every tag and file, and makes the same choice as resolve", async () => {
      const files = { "app_darwin_arm64.tar.gz": "d", [ARTIFACT]: "l" };
      const { registry } = await open([
        { tag: "v1.0.0" },
        { tag: "v1.1.0", files },
        { tag: "v2.0.0-rc.1" },
        { tag: "latest" },
      ]);
      const why = await explainRegistry(registry);
      expect(why.tags.map(({ tag }) => tag).sort()).toEqual([
        "latest",
        "v1.0.0",
        "v1.1.0",
        "v2.0.0-rc.1",
      ]);
      expect(why.tags.filter(({ chosen }) => chosen).map(({ tag }) => tag)).toEqual(["v1.1.0"]);
      expect(why.tags.every(({ reason }) => reason !== "")).toBe(true);
      expect(why.artifacts.map(({ name: file, chosen }) => [file, chosen]).sort()).toEqual([
        [nameOf("app_darwin_arm64.tar.gz"), false],
        [nameOf(ARTIFACT), true],
      ]);
      expect(why.resolution).toEqual(await registry.resolve());
    });

    unless("many")("finds the newest of 1,100 versions", async () => {
      const tags = Array.from({ length: 1_100 }, (_, index) => `v1.${index}.0`);
      const { registry } = await open(tags.map((tag) => ({ tag })));
      expect(ready(await registry.resolve()).release.tag).toBe("v1.1099.0");
      expect((await explainRegistry(registry)).tags).toHaveLength(1_100);
    });

    it("stops when its signal aborts", async () => {
      const { registry } = await open([{ tag: "v1.0.0" }]);
      const { artifact } = ready(await registry.resolve());
      const signal = AbortSignal.abort();
      await expect(registry.resolve({ signal })).rejects.toSatisfy(isAbort);
      await expect(registry.resolve({ signal, tag: "v1.0.0" })).rejects.toSatisfy(isAbort);
      await expect(registry.open(artifact, { signal })).rejects.toSatisfy(isAbort);
    });

    unless("network")("stops waiting for an answer when its signal aborts", async () => {
      const made = await driver.setup();
      const registry = openRegistry(made.url, { ...made.options, fetch: silence });
      const abort = new AbortController();
      const answer = registry.resolve({ signal: abort.signal });
      abort.abort();
      await expect(answer).rejects.toMatchObject({ code: "aborted" });
    });

    unless("network")("gives up a silent server after ten seconds by default", async () => {
      const made = await driver.setup();
      const clock = fakeClock({ now: now() });
      const options = { ...made.options, fetch: silence, clock };
      const answer = expect(latest(made.url, options)).rejects.toMatchObject({
        code: "timeout",
        message: expect.stringContaining("within 10 s"),
      });
      await clock.sleeping(10_000);
      clock.advance(10_000);
      await answer;
    });

    unless("network")("times out if the server never answers", async () => {
      const made = await driver.setup();
      const clock = fakeClock({ now: now(), skipUpTo: 10 * MINUTE });
      const registry = openRegistry(made.url, {
        ...made.options,
        fetch: silence,
        clock,
        ...UNLIMITED,
      });
      await expect(registry.resolve()).rejects.toMatchObject({ code: "timeout", retryable: true });
    });

    unless("network")(
      "reports a server that is down as an error, not as an empty registry",
      async () => {
        const made = await driver.setup();
        const clock = fakeClock({ now: now(), skipUpTo: 10 * MINUTE });
        const down = async (): Promise<Response> => new Response("down", { status: 503 });
        const registry = openRegistry(made.url, {
          ...made.options,
          fetch: down,
          clock,
          ...UNLIMITED,
        });
        for (const options of [{}, { tag: "v1.0.0" }]) {
          await expect(registry.resolve(options)).rejects.toMatchObject({
            code: "remote",
            status: 503,
            retryable: true,
          });
        }
      },
    );
  });
}

/** Never answers, but aborts on the signal. */
const silence: typeof globalThis.fetch = (_input, init) =>
  new Promise((_, reject) => {
    const signal = init?.signal;
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

function ready(resolution: Resolution): Extract<Resolution, { kind: "ready" }> {
  if (resolution.kind !== "ready") throw new Error(`not ready: ${JSON.stringify(resolution)}`);
  return resolution;
}

function message(resolution: Resolution): string {
  return resolution.kind === "none" ? resolution.message : "";
}

async function listed(
  registry: Registry,
  exclude: readonly string[] = [],
): Promise<readonly ListedVersion[]> {
  const found: ListedVersion[] = [];
  for await (const one of registry.versions?.({ exclude }) ?? []) found.push(one);
  return found;
}

async function read(registry: Registry, artifact: Artifact, offset = 0): Promise<string> {
  return new Response(await registry.open(artifact, { offset })).text();
}

function deployment(id: string, tag: string): Parameters<NonNullable<Registry["report"]>>[0] {
  return { id, tag, command: "assets", host: "Web-1", at: new Date(CONTRACT_NOW) };
}

function isAbort(error: unknown): boolean {
  return (
    (error instanceof DewyError && error.code === "aborted") ||
    (error instanceof Error && error.name === "AbortError")
  );
}
