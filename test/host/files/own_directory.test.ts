import { chmod, chown, lchown, mkdir, readdir, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  findOwnDirectory,
  ownDirectory,
  writableByOthers,
} from "../../../src/host/files/own_directory.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const why = isRoot ? "" : " [skipped: only root can give files to another user]";

describe("ownDirectory", () => {
  it("creates the directory and its parents, with the mode regardless of the umask", async () => {
    const umask = process.umask(0o077);
    onTestFinished(() => void process.umask(umask));
    const root = await tempDirectory();
    expect(await ownDirectory(join(root, "a", "b"), 0o711)).toBe(join(root, "a", "b"));
    expect((await stat(join(root, "a", "b"))).mode & 0o777).toBe(0o711);
    expect((await stat(join(root, "a"))).mode & 0o777).toBe(0o700);
  });

  it("does not change the mode of an existing directory", async () => {
    const root = await tempDirectory();
    await chmod(root, 0o750);
    await ownDirectory(root, 0o711);
    expect((await stat(root)).mode & 0o777).toBe(0o750);
  });

  it("follows links of the same user and creates missing directories below them", async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "disk", "deep"), { recursive: true });
    await symlink("disk/deep/..", join(root, "one"));
    await symlink(join(root, "one"), join(root, "two"));
    expect(await ownDirectory(join(root, "two", "cache"))).toBe(join(root, "disk", "cache"));
  });

  it("does not create the target of a link, which may be a disk that is not mounted", async () => {
    const root = await tempDirectory();
    await symlink("disk/cache", join(root, "link"));
    await expect(ownDirectory(join(root, "link"))).rejects.toThrow("no such file or directory");
    expect(await readdir(root)).toEqual(["link"]);
  });

  it("rejects links that point to each other", async () => {
    const root = await tempDirectory();
    await symlink("b", join(root, "a"));
    await symlink("a", join(root, "b"));
    await expect(ownDirectory(join(root, "a"))).rejects.toThrow("too many links");
  });

  it.skipIf(!isRoot)(`rejects links of another user anywhere in the path${why}`, async () => {
    const root = await tempDirectory();
    await mkdir(join(root, "disk", "cache"), { recursive: true });
    await symlink("disk", join(root, "theirs"));
    await lchown(join(root, "theirs"), NOBODY, NOBODY);
    await symlink("theirs/cache", join(root, "ours"));
    for (const name of ["theirs", "theirs/cache", "ours"]) {
      const refusal = `Cannot use ${join(root, "theirs")}: it is a symbolic link that user ${NOBODY} made`;
      await expect(ownDirectory(join(root, name))).rejects.toThrow(refusal);
      await expect(findOwnDirectory(join(root, name))).rejects.toThrow(refusal);
    }
  });
});

describe("findOwnDirectory", () => {
  it("finds an existing directory and creates nothing", async () => {
    const root = await tempDirectory();
    expect(await findOwnDirectory(join(root, "a", "b"))).toBeUndefined();
    expect(await readdir(root)).toEqual([]);
    expect(await findOwnDirectory(root)).toBe(root);
  });
});

describe.skipIf(!isRoot)(`writableByOthers${why}`, () => {
  it.each([
    [0, 0, 0o755, undefined],
    [0, 0, 0o775, undefined],
    [0, 7, 0o755, undefined],
    [0, 7, 0o775, "group 7"],
    [0, 0, 0o757, "everybody"],
    [0, 0, 0o1777, "everybody"],
    [7, 0, 0o700, "owner 7"],
  ])("owner %i, group %i, mode %o: %s", async (uid, gid, mode, reason) => {
    const path = await tempDirectory();
    await chown(path, uid, gid);
    await chmod(path, mode);
    const expected = reason === undefined ? [] : [`${path} (${reason})`];
    expect(await writableByOthers([path, join(path, "missing")])).toEqual(expected);
  });
});
