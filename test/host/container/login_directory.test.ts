import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import {
  removeLogins,
  withLoginDirectory,
  writePrivateJson,
} from "../../../src/host/container/login_directory.ts";

it("lends each pull a directory of its own, which nobody else can read and another pull does not take away", async () => {
  const parent = await mkdtemp(join(tmpdir(), "dewy-logins-"));
  onTestFinished(() => rm(parent, { recursive: true, force: true }));
  await withLoginDirectory(parent, async (directory) => {
    const file = join(directory, "config.json");
    await writePrivateJson(file, { auths: {} });
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await withLoginDirectory(parent, async (other) => expect(other).not.toBe(directory));
    expect(await readFile(file, "utf8")).toBe('{"auths":{}}');
    await removeLogins(parent);
    expect(await readdir(parent)).toEqual([]);
  });
});
