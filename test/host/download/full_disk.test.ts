import { execFileSync, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { Registry, Release, Version } from "../../../src/core/types.ts";
import { openReleaseDirectory } from "../../../src/deployers/release_directory.ts";
import { stageRelease } from "../../../src/deployers/stage_release.ts";
import { EXTRACT_LIMITS } from "../../../src/host/archive/budget.ts";
import { extractArchive } from "../../../src/host/archive/extract.ts";
import { cacheDirectory } from "../../../src/host/download/cache_directory.ts";
import { downloadArtifact } from "../../../src/host/download/download.ts";
import { tarBytes } from "../archive/tar_bytes.ts";
import { downloadCase, FakeOpen } from "./downloading.ts";

const VERSION: Version = {
  original: "v1.0.0",
  v: "v",
  segments: [1, 0, 0],
  preRelease: "",
  buildMetadata: "",
};
const unexpected = async (): Promise<never> => {
  throw new Error("unexpected");
};
const NO_REGISTRY: Registry = { resolve: unexpected, open: unexpected };

const disk = mkdtempSync(join(tmpdir(), "dewy-full-"));
const mounted =
  process.getuid?.() === 0 &&
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]).status === 0;
const why = mounted ? "" : " (skipped: needs root, to mount a small file system)";

beforeAll(() => {
  if (mounted) writeFileSync(join(disk, "ballast"), new Uint8Array(600_000));
});

afterAll(() => {
  if (mounted) execFileSync("umount", [disk]);
  rmSync(disk, { recursive: true, force: true });
});

test.skipIf(!mounted)(
  `a disk that fills up ends a download and gets its room back${why}`,
  async () => {
    await using c = await downloadCase();
    const directory = join(disk, "staging");
    mkdirSync(directory);
    const artifact = { name: "app", url: "https://example.com/app" };
    const registry = new FakeOpen({ body: new Uint8Array(3_000_000) });
    await expect(
      downloadArtifact(c.request(registry, { artifact, directory })),
    ).rejects.toMatchObject({
      name: "HostError",
      code: "host",
      message: expect.stringMatching(/the file system of .*staging is full: .* free/),
    });
    expect(readdirSync(directory)).toEqual([]);
  },
);

test.skipIf(!mounted)(
  `a disk that fills up ends an extraction with a HostError${why}`,
  async () => {
    for (const size of [200_000, 3_000_000]) {
      const directory = join(disk, `release-${size}`);
      mkdirSync(directory);
      const file = join(tmpdir(), `dewy-full-${process.pid}.tar`);
      const many = Array.from({ length: 5 }, (_, index) => ({
        name: `f${index}`,
        content: new Uint8Array(size),
      }));
      writeFileSync(file, tarBytes(many));
      const signal = new AbortController().signal;
      await expect(
        extractArchive({ file, name: "app.tar", directory, limits: EXTRACT_LIMITS, signal }),
      ).rejects.toMatchObject({ name: "HostError", message: expect.stringContaining("is full") });
      rmSync(directory, { recursive: true });
      rmSync(file);
    }
  },
);

test.skipIf(!mounted)(
  `a disk that fills up during an extraction gets the room of the download back, too${why}`,
  async () => {
    const root = join(disk, "app");
    mkdirSync(root);
    const directory = await openReleaseDirectory(root);
    const content = Buffer.concat([randomBytes(50_000), new Uint8Array(3_000_000)]);
    const bytes = gzipSync(tarBytes([{ name: "app", content }]));
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const artifact = { name: "app.tar.gz", url: "https://example.com/app.tar.gz", digest };
    const release: Release = { id: "1", tag: "v1.0.0", version: VERSION };
    const stage = stageRelease({
      registry: { ...NO_REGISTRY, open: async () => new Blob([bytes]).stream() },
      directory,
      downloads: () => cacheDirectory(root, undefined),
      maxArtifactBytes: 1 << 30,
      maxExpandedBytes: 1 << 30,
      clock: systemClock,
      emit: () => {},
    });
    const { signal } = new AbortController();
    const staging = stage({ release, artifact }, signal, async () => {});
    await expect(staging).rejects.toMatchObject({
      name: "HostError",
      message: expect.stringContaining("is full"),
    });
    expect(readdirSync(join(root, ".dewy", "cache"))).toEqual([]);
    expect(readdirSync(join(root, "releases"))).toEqual([]);
  },
);
