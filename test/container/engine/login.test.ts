import { lchown, mkdir, readdir, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { removeLogins, withLoginDirectory } from "../../../src/container/engine/login.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const isRoot = process.getuid?.() === 0;
const why = isRoot ? "" : " [skipped: only root can give a link to another user]";

it("makes a private directory for a login and removes it afterwards", async () => {
  const parent = join(await tempDirectory(), "logins");
  const mode = await withLoginDirectory(parent, async (path) => (await stat(path)).mode & 0o777);
  expect(mode).toBe(0o700);
  expect((await stat(parent)).mode & 0o777).toBe(0o700);
  expect(await readdir(parent)).toEqual([]);
});

it("removes only the logins of a killed dewy process", async () => {
  const parent = await tempDirectory();
  for (const name of ["login-aBc123", "mine"]) await mkdir(join(parent, name));
  await mkdir(join(parent, "login-of-mine"));
  await removeLogins(parent);
  await removeLogins(join(parent, "missing"));
  expect((await readdir(parent)).sort()).toEqual(["login-of-mine", "mine"]);
});

it.skipIf(!isRoot)(`does not follow another user's symbolic link${why}`, async () => {
  const victim = await tempDirectory();
  await mkdir(join(victim, "login-aBc123"));
  const parent = join(await tempDirectory(), "logins");
  await symlink(victim, parent);
  await lchown(parent, 65_534, 65_534);
  await expect(removeLogins(parent)).rejects.toThrow("symbolic link that user 65534 made");
  await expect(withLoginDirectory(parent, async () => {})).rejects.toThrow("symbolic link");
  expect(await readdir(victim)).toEqual(["login-aBc123"]);
});
