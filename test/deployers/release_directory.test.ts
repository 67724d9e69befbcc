import { spawn } from "node:child_process";
import { mkdir, readdir, readlink, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openReleaseDirectory } from "../../src/deployers/release_directory.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const noon = new Date("2026-01-01T12:00:00Z");
const fill = (text: string) => (directory: string) => writeFile(join(directory, "file"), text);

describe("openReleaseDirectory", () => {
  it("makes complete releases named after the second, also several in one", async () => {
    const directory = await openReleaseDirectory(await tempDirectory());
    expect(await directory.create(noon, fill("a"))).toBe("20260101T120000Z");
    expect(await directory.create(noon, fill("b"))).toBe("20260101T120000Z-2");
    expect(await directory.create(noon, fill("c"))).toBe("20260101T120000Z-3");
  });

  it("leaves nothing of a release that could not be filled", async () => {
    const directory = await openReleaseDirectory(await tempDirectory());
    const broken = directory.create(noon, async (path) => {
      await writeFile(join(path, "half"), "");
      throw new Error("truncated");
    });
    await expect(broken).rejects.toThrow("truncated");
    expect(await readdir(join(directory.root, "releases"))).toEqual([]);
  });

  it("points current to a release by a relative link, and away again", async () => {
    const directory = await openReleaseDirectory(await tempDirectory());
    expect(await directory.live()).toBeUndefined();
    const name = await directory.create(noon, fill("a"));
    await directory.point(name);
    expect(await readlink(join(directory.root, "current"))).toBe(`releases/${name}`);
    expect(await directory.live()).toBe(name);
    await directory.point(undefined);
    expect(await directory.live()).toBeUndefined();
  });

  it("understands an absolute link, as the Go implementation made it", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "releases", "20250101T000000Z"), { recursive: true });
    await symlink(join(root, "releases", "20250101T000000Z"), join(root, "current"));
    expect(await (await openReleaseDirectory(root)).live()).toBe("20250101T000000Z");
  });

  it("says that nothing is live when current points to a release that is gone", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "releases"));
    await symlink("releases/20250101T000000Z", join(root, "current"));
    expect(await (await openReleaseDirectory(root)).live()).toBeUndefined();
  });

  it("does not take a release that cannot be looked at for one that is gone", async () => {
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

  it("does not take current for another's when the releases cannot be looked at", async () => {
    const root = await tempDirectory();
    await symlink("releases", join(root, "releases"));
    await symlink("releases/20250101T000000Z", join(root, "current"));
    await expect(openReleaseDirectory(root)).rejects.toThrow("ELOOP");
  });

  it("refuses a current that it did not make", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "current"));
    await expect(openReleaseDirectory(root)).rejects.toThrow("is no symlink");
  });

  it("refuses a current that points elsewhere", async () => {
    const root = await tempDirectory();
    await symlink("/usr/lib", join(root, "current"));
    await expect(openReleaseDirectory(root)).rejects.toThrow("points to /usr/lib");
  });

  it("says how to make a directory that is missing", async () => {
    const missing = join(await tempDirectory(), "app");
    await expect(openReleaseDirectory(missing)).rejects.toThrow(`mkdir -p ${missing}`);
  });

  it("cleans up half-made releases and links, and nothing else", async () => {
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

  it("makes releases that other users can enter, whatever the umask is, when it is told to", async () => {
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

  it("keeps as many of the newest as it is told", async () => {
    const { directory, names } = await withReleases(12);
    expect(await directory.prune(new Set(), 7)).toHaveLength(5);
    expect((await readdir(join(directory.root, "releases"))).sort()).toEqual(names.slice(5).sort());
  });

  it("counts those that it is told to keep apart from those", async () => {
    const { directory, names } = await withReleases(5);
    await directory.prune(new Set(names.slice(3)), 1);
    expect((await readdir(join(directory.root, "releases"))).sort()).toEqual(names.slice(2).sort());
  });

  it("never removes what it is told to keep", async () => {
    const { directory, names } = await withReleases(9);
    await directory.prune(new Set(names.slice(0, 1)), 7);
    expect(await readdir(join(directory.root, "releases"))).toContain(names[0]);
    expect(await readdir(join(directory.root, "releases"))).not.toContain(names[1]);
  });

  it("never removes a release that a running process works in", async () => {
    const { directory, names } = await withReleases(9);
    const oldest = names[0] ?? "";
    const child = spawn("sleep", ["300"], { cwd: directory.path(oldest) });
    onTestFinished(() => void child.kill("SIGKILL"));
    const removed = await directory.prune(new Set(), 7);
    expect(removed).not.toContain(oldest);
    expect(removed).toContain(names[1]);
  });

  it("leaves alone what is no release", async () => {
    const { directory } = await withReleases(9);
    await mkdir(directory.path("backup-of-2019"));
    await directory.prune(new Set(), 7);
    expect(await readdir(join(directory.root, "releases"))).toContain("backup-of-2019");
  });
});
