import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { syncFileSystem } from "../../../src/host/process/sync_file_system.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const never = new AbortController().signal;

/** Makes a `sync` that only notes what it was asked, and ends with an exit code; `undefined`: there is none. */
async function useSync(exitCode: number | undefined): Promise<string> {
  const bin = await tempDirectory();
  if (exitCode !== undefined) {
    const note = `echo "$@" > ${join(bin, "asked")}; exit ${exitCode}`;
    await writeFile(join(bin, "sync"), `#!/bin/sh\n${note}\n`);
    await chmod(join(bin, "sync"), 0o755);
  }
  const before = process.env.PATH;
  process.env.PATH = bin;
  onTestFinished(() => {
    process.env.PATH = before;
  });
  return bin;
}

it("syncFileSystem runs sync -f on the directory", async () => {
  const bin = await useSync(0);
  await syncFileSystem("/srv/app", never);
  expect(await readFile(join(bin, "asked"), "utf8")).toBe("-f /srv/app\n");
});

it.each([
  ["is missing", undefined],
  ["fails", 1],
])("syncFileSystem continues where the system's sync %s", async (_, exitCode) => {
  await useSync(exitCode);
  await expect(syncFileSystem("/srv/app", never)).resolves.toBeUndefined();
});
