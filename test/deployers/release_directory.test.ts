import { spawn } from "node:child_process";
import { mkdir, readdir, readlink, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Retention } from "../../src/deploy/state.ts";
import { openReleaseDirectory } from "../../src/deployers/release_directory.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const noon = new Date("2026-01-01T12:00:00Z");
const fill = (text: string) => (directory: string) => writeFile(join(directory, "file"), text);

function retain(keep: ReadonlySet<string>, others: number): () => Promise<Retention> {
  return async () => ({ keep, others });
}

describe("openReleaseDirectory", () => {
  it("names releases after the second, with a number if there are several", async () => {
    const directory = await openReleaseDirectory(await tempDirectory());
    expect(await directory.create(noon, fill("a"))).toBe("20260101T120000Z");
    expect(await directory.create(noon, fill("b"))).toBe("20260101T120000Z-2");
    expect(await directory.create(noon, fill("c"))).toBe("20260101T120000Z-3");
  });

  it("leaves nothing behind if a release cannot be filled", async () => {
    const directory = await openReleaseDirectory(await tempDirectory());
    const broken = directory.create(noon, async (path) => {
      await writeFile(join(path, "half"), "");
      throw new Error("truncated");
    });
    await expect(broken).rejects.toThrow("truncated");
    expect(await readdir(join(directory.root, "releases"))).toEqual([]);
  });

  it("points current to a release with a relative link, and removes the link", async () => {
    const directory = await openReleaseDirectory(await tempDirectory());
    expect(await directory.live()).toBeUndefined();
    const name = await directory.create(noon, fill("a"));
    await directory.point(name);
    expect(await readlink(join(directory.root, "current"))).toBe(`releases/${name}`);
    expect(await directory.live()).toBe(name);
    await directory.point(undefined);
    expect(await directory.live()).toBeUndefined();
  });

  it("reads an absolute link, as the Go implementation creates it", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "releases", "20250101T000000Z"), { recursive: true });
    await symlink(join(root, "releases", "20250101T000000Z"), join(root, "current"));
    expect(await (await openReleaseDirectory(root)).live()).toBe("20250101T000000Z");
  });

  it("reports that nothing is live if current points to a missing release", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "releases"));
    await symlink("releases/20250101T000000Z", join(root, "current"));
    expect(await (await openReleaseDirectory(root)).live()).toBeUndefined();
  });

  it("does not treat an unreadable release as missing", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "releases"));
    const loop = "20250101T000000Z";
    await symlink(loop, join(root, "releases", loop));
    await symlink(`releases/${loop}`, join(root, "current"));
    const directory = await openReleaseDirectory(root);
    await expect(directory.has(loop)).rejects.toThrow("ELOOP");
    await expect(directory.live()).rejects.toThrow("ELOOP");
    expect(await directory.has("20250102T000000Z")).toBe(false);
  });

  it("does not reject current if releases/ is unreadable", async () => {
    const root = await tempDirectory();
    await symlink("releases", join(root, "releases"));
    await symlink("releases/20250101T000000Z", join(root, "current"));
    await expect(openReleaseDirectory(root)).rejects.toThrow("ELOOP");
  });

  it("rejects a current that dewy did not create", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "current"));
    await expect(openReleaseDirectory(root)).rejects.toThrow("is not a symlink");
  });

  it("rejects a current that points elsewhere", async () => {
    const root = await tempDirectory();
    await symlink("/usr/lib", join(root, "current"));
    await expect(openReleaseDirectory(root)).rejects.toThrow("points to /usr/lib");
  });

  it("says how to create a missing directory", async () => {
    const missing = join(await tempDirectory(), "app");
    await expect(openReleaseDirectory(missing)).rejects.toThrow(`mkdir -p ${missing}`);
  });

  it("removes incomplete releases and temporary links, and nothing else", async () => {
    const root = await tempDirectory();
    const mine = [".removing-mine", ".staging-2026", "20260101T120000Z", "mine"];
    const hex = "0123456789abcdef";
    const halfMade = [`.staging-20260101T120000Z.${hex}.tmp`, ".removing-20260101T120000Z-2"];
    for (const name of [...mine, ...halfMade]) {
      await mkdir(join(root, "releases", name), { recursive: true });
    }
    await symlink("releases/x", join(root, `.current.${hex}.tmp`));
    await symlink("releases/x", join(root, `mine.${hex}.tmp`));
    await (await openReleaseDirectory(root)).clean();
    expect((await readdir(join(root, "releases"))).sort()).toEqual(mine);
    expect((await readdir(root)).sort()).toEqual([`mine.${hex}.tmp`, "releases"]);
  });

  it("creates releases with the given mode, regardless of the umask", async () => {
    const umask = process.umask(0o077);
    onTestFinished(() => void process.umask(umask));
    for (const [mode, expected] of [
      [undefined, 0o700],
      [0o755, 0o755],
    ] as const) {
      const directory = await openReleaseDirectory(await tempDirectory(), mode);
      const name = await directory.create(noon, fill("a"));
      for (const path of [join(directory.root, "releases"), directory.path(name)]) {
        expect((await stat(path)).mode & 0o777).toBe(expected);
      }
    }
  });
});

describe("prune", () => {
  async function withReleases(count: number): Promise<{
    directory: Awaited<ReturnType<typeof openReleaseDirectory>>;
    names: string[];
  }> {
    const directory = await openReleaseDirectory(await tempDirectory());
    const names: string[] = [];
    for (let i = 0; i < count; i++) {
      names.push(
        await directory.create(new Date(noon.getTime() + 1000 * Math.floor(i / 3)), fill("")),
      );
    }
    return { directory, names };
  }

  it("keeps the given number of newest releases", async () => {
    const { directory, names } = await withReleases(12);
    expect(await directory.prune(retain(new Set(), 7))).toHaveLength(5);
    expect((await readdir(join(directory.root, "releases"))).sort()).toEqual(names.slice(5).sort());
  });

  it("does not count explicitly kept releases among the newest", async () => {
    const { directory, names } = await withReleases(5);
    await directory.prune(retain(new Set(names.slice(3)), 1));
    expect((await readdir(join(directory.root, "releases"))).sort()).toEqual(names.slice(2).sort());
  });

  it("never removes an explicitly kept release", async () => {
    const { directory, names } = await withReleases(9);
    await directory.prune(retain(new Set(names.slice(0, 1)), 7));
    expect(await readdir(join(directory.root, "releases"))).toContain(names[0]);
    expect(await readdir(join(directory.root, "releases"))).not.toContain(names[1]);
  });

  it("keeps a release that is staged while old ones are removed", async () => {
    const { directory, names } = await withReleases(9);
    let staged = "";
    await directory.prune(async () => {
      staged = await directory.create(new Date(noon.getTime() + 60_000), fill(""));
      return { keep: new Set(), others: 0 };
    });
    expect(await readdir(join(directory.root, "releases"))).toEqual([staged]);
    expect(names).not.toContain(staged);
  });

  it("never removes a release that a running process works in", async () => {
    const { directory, names } = await withReleases(9);
    const oldest = names[0] ?? "";
    const child = spawn("sleep", ["300"], { cwd: directory.path(oldest) });
    onTestFinished(() => void child.kill("SIGKILL"));
    const removed = await directory.prune(retain(new Set(), 7));
    expect(removed).not.toContain(oldest);
    expect(removed).toContain(names[1]);
  });

  it("ignores directories that are not releases", async () => {
    const { directory } = await withReleases(9);
    await mkdir(directory.path("backup-of-2019"));
    await directory.prune(retain(new Set(), 7));
    expect(await readdir(join(directory.root, "releases"))).toContain("backup-of-2019");
  });
});
