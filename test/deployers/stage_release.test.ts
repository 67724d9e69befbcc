import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { openReleaseDirectory } from "../../src/deployers/release_directory.ts";
import { stageRelease } from "../../src/deployers/stage_release.ts";
import { cacheDirectory } from "../../src/host/download/cache_directory.ts";
import { candidate, testRegistry } from "../deploy/world.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const SCRIPT = "#!/bin/sh\necho hello\n";

/** Stages a single file, and returns the name, permissions and content in the release. */
async function stage(tag: string, name: string, content: string, isNamed?: boolean) {
  const directory = await openReleaseDirectory(await tempDirectory());
  const registry = {
    ...testRegistry(),
    open: async () => new Blob([content]).stream() as ReadableStream<Uint8Array>,
  };
  const run = stageRelease({
    registry,
    directory,
    downloads: () => cacheDirectory(directory.root, undefined),
    maxArtifactBytes: 1000,
    maxExpandedBytes: 1000,
    clock: systemClock,
    emit: () => {},
  });
  const staged = { ...candidate(tag, { name }), ...(isNamed === undefined ? {} : { isNamed }) };
  const made = await run(staged, new AbortController().signal, async () => {});
  const release = directory.path(made.directory);
  const files = await readdir(release);
  return Promise.all(
    files.map(async (file) => {
      const path = join(release, file);
      const mode = (await stat(path)).mode & 0o777;
      return `${file} ${mode.toString(8)} ${await readFile(path, "utf8")}`;
    }),
  );
}

test("a single executable has the same name in every version", async () => {
  expect(await stage("v1.2.3", "app_1.2.3_linux_amd64", SCRIPT)).toEqual([`app 755 ${SCRIPT}`]);
  expect(await stage("v2.0.0-rc.1", "app-linux-amd64-v2.0.0-rc.1", SCRIPT)).toEqual([
    `app 755 ${SCRIPT}`,
  ]);
});

test("a file keeps the name given by artifact=", async () => {
  expect(await stage("v1.2.3", "app_linux_amd64", SCRIPT, true)).toEqual([
    `app_linux_amd64 755 ${SCRIPT}`,
  ]);
});

test("a file that does not begin like a program is not made executable", async () => {
  expect(await stage("v1.2.3", "app_1.2.3_linux_amd64", "<html>")).toEqual(["app 644 <html>"]);
  expect(await stage("v1.2.3", "app-1.2.3.jar", "PK")).toEqual(["app.jar 644 PK"]);
});

test("a release that cannot be recorded is not left behind", async () => {
  const directory = await openReleaseDirectory(await tempDirectory());
  const run = stageRelease({
    registry: {
      ...testRegistry(),
      open: async () => new Blob([SCRIPT]).stream() as ReadableStream<Uint8Array>,
    },
    directory,
    downloads: () => cacheDirectory(directory.root, undefined),
    maxArtifactBytes: 1000,
    maxExpandedBytes: 1000,
    clock: systemClock,
    emit: () => {},
  });
  const { signal } = new AbortController();
  const full = run(candidate("v1.0.0", { name: "app" }), signal, async () => {
    throw new Error("the disk is full");
  });
  await expect(full).rejects.toThrow("the disk is full");
  expect(await readdir(join(directory.root, "releases"))).toEqual([]);
});
