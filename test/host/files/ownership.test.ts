import {
  chown,
  link,
  lstat,
  mkdir,
  open,
  readFile,
  rename,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openReleaseDirectory } from "../../../src/deployers/release_directory.ts";
import { createFile, writeFileAtomic } from "../../../src/host/files/atomic_file.ts";
import { ownDirectory } from "../../../src/host/files/own_directory.ts";
import { lockPath, statePath } from "../../../src/host/files/own_paths.ts";
import { giveToOwner, giveTree, openMadeDirectory } from "../../../src/host/files/ownership.ts";
import { stateFile } from "../../../src/host/files/state_file.ts";
import { acquireLock } from "../../../src/host/process/lock.ts";
import { journalFile } from "../../../src/journal/file.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const APP = 65_534;
const isRootOnLinux = process.getuid?.() === 0 && process.platform === "linux";
const why = isRootOnLinux ? "" : " [skipped: only root can give files to another user]";

async function ownerOf(path: string): Promise<string> {
  const { uid, gid } = await lstat(path);
  return `${uid}:${gid}`;
}

const THEIRS = `${APP}:${APP}`;
const ROOTS = "0:0";

/** A directory of the app's user, in one of root. */
async function theirDirectory(): Promise<string> {
  const root = join(await tempDirectory(), "app");
  await mkdir(root);
  await chown(root, APP, APP);
  return root;
}

describe.skipIf(!isRootOnLinux)(`root in the directory of another user${why}`, () => {
  it("creates files and directories for that user", async () => {
    const root = await theirDirectory();
    const lock = await acquireLock(lockPath(root), "pause");
    await stateFile(statePath(root), () => {}).update((state) => state);
    await journalFile(root).append([Buffer.from("{}\n")], true, () => {});
    await ownDirectory(join(root, ".dewy", "cache"), 0o700);
    for (const name of ["", "lock", "state.json", "journal.jsonl", "cache"]) {
      expect(await ownerOf(join(root, ".dewy", name)), name).toBe(THEIRS);
    }
    expect((await stat(statePath(root))).mode & 0o777).toBe(0o600);
    await lock.release();
  });

  it("replaces a file of root's earlier work there", async () => {
    const root = await theirDirectory();
    const path = join(root, "state.json");
    await writeFile(path, "old");
    await writeFileAtomic(path, "new");
    expect(await ownerOf(path)).toBe(THEIRS);
  });

  it("gives a new release with everything in it, once it is complete", async () => {
    const root = await theirDirectory();
    const directory = await openReleaseDirectory(root, 0o755);
    const name = await directory.create(new Date(), async (path) => {
      await mkdir(join(path, "a", "b"), { recursive: true });
      await writeFile(join(path, "a", "b", "file"), "");
      await symlink("/etc/passwd", join(path, "a", "link"));
      expect(await ownerOf(path)).toBe(ROOTS);
    });
    for (const made of ["", "a", "a/b", "a/b/file"]) {
      expect(await ownerOf(join(directory.path(name), made)), made).toBe(THEIRS);
    }
    expect(await ownerOf("/etc/passwd")).toBe(ROOTS);
  });

  it("keeps what it creates in a directory of its own", async () => {
    const root = await tempDirectory();
    await writeFileAtomic(join(root, "state.json"), "{}");
    await ownDirectory(join(root, "releases"));
    for (const name of ["state.json", "releases"]) {
      expect(await ownerOf(join(root, name)), name).toBe(ROOTS);
    }
  });

  it("keeps a directory that is private", async () => {
    const root = await theirDirectory();
    await ownDirectory(join(root, "cache"), 0o700, { isPrivate: true });
    expect(await ownerOf(join(root, "cache"))).toBe(ROOTS);
  });
});

describe.skipIf(!isRootOnLinux)(`root, tricked by the owner of a directory${why}`, () => {
  it("does not give away a file in another directory that a link leads to", async () => {
    const root = await theirDirectory();
    const system = await tempDirectory();
    await symlink(system, join(root, ".dewy"));
    const path = join(root, ".dewy", "state.json");
    const file = await createFile(path, 0o600);
    await giveToOwner(file, path);
    await file.close();
    expect(await ownerOf(join(system, "state.json"))).toBe(ROOTS);
  });

  it("does not give away a file that took the place of the new one", async () => {
    const root = await theirDirectory();
    const path = join(root, "state.json");
    const secret = join(await tempDirectory(), "secret");
    await writeFile(secret, "");
    const file = await open(join(root, "new"), "wx");
    await rename(join(root, "new"), join(root, "elsewhere"));
    await link(secret, path);
    await giveToOwner(file, path);
    await file.close();
    expect(await ownerOf(secret)).toBe(ROOTS);
  });

  it("does not give away a journal that is a second name of another file", async () => {
    const root = await theirDirectory();
    await ownDirectory(join(root, ".dewy"));
    const secret = join(await tempDirectory(), "secret");
    await writeFile(secret, "");
    await link(secret, join(root, ".dewy", "journal.jsonl"));
    await journalFile(root).append([Buffer.from("{}\n")], true, () => {});
    expect(await ownerOf(secret)).toBe(ROOTS);
  });

  it("does not give away a directory with content, or a link to one", async () => {
    const root = await theirDirectory();
    await mkdir(join(root, "full", "secret"), { recursive: true });
    await symlink(await tempDirectory(), join(root, "link"));
    for (const name of ["full", "link", "missing"]) {
      expect(await openMadeDirectory(join(root, name)), name).toBeUndefined();
    }
  });

  it("gives only the release that it has filled, not one exchanged for it", async () => {
    const root = await theirDirectory();
    const path = join(root, "release");
    await mkdir(path);
    const made = await openMadeDirectory(path);
    await writeFile(join(path, "file"), "");
    await rename(path, join(root, "aside"));
    await mkdir(path);
    await writeFile(join(path, "secret"), "");
    if (made !== undefined) await giveTree(made);
    await made?.directory.close();
    expect(await ownerOf(join(path, "secret"))).toBe(ROOTS);
    expect(await ownerOf(join(root, "aside", "file"))).toBe(THEIRS);
    expect(await readFile(join(path, "secret"), "utf8")).toBe("");
  });
});
