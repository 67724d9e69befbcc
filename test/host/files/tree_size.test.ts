import { link, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { treeSize } from "../../../src/host/files/tree_size.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const never = new AbortController().signal;
const MIB = 1024 * 1024;

/** In MiB: file systems differ in what a directory takes. */
async function roughSize(path: string): Promise<number> {
  return Math.round((await treeSize(path, never)) / MIB);
}

describe("treeSize", () => {
  it("adds up the files of a tree", async () => {
    const root = await tempDirectory();
    for (const name of ["a", "b", "c"]) {
      await mkdir(join(root, name));
      await writeFile(join(root, name, "data"), Buffer.alloc(2 * MIB, 1));
    }
    expect(await roughSize(root)).toBe(6);
  });

  it("counts a file with two names once, and does not follow symbolic links", async () => {
    const root = await tempDirectory();
    await writeFile(join(root, "data"), Buffer.alloc(2 * MIB, 1));
    await link(join(root, "data"), join(root, "again"));
    await symlink("/", join(root, "everything"));
    expect(await roughSize(root)).toBe(2);
  });

  it("is 0 for what has been removed meanwhile", async () => {
    expect(await treeSize(join(await tempDirectory(), "gone"), never)).toBe(0);
  });

  it("stops at its signal", async () => {
    const root = await tempDirectory();
    await expect(treeSize(root, AbortSignal.abort(new Error("stopped")))).rejects.toThrow(
      "stopped",
    );
  });
});
