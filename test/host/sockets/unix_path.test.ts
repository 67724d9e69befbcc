import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { freeUnixPath } from "../../../src/host/sockets/unix_path.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

describe("freeUnixPath", () => {
  it("says which directory is not there, which runtimes call a missing permission", async () => {
    const directory = join(await tempDirectory(), "none");
    const listening = freeUnixPath({ kind: "unix", path: join(directory, "app.sock") });
    await expect(listening).rejects.toThrow(`make it first: mkdir -p ${directory}`);
  });

  it("removes nothing that is no socket", async () => {
    const path = join(await tempDirectory(), "app.sock");
    await writeFile(path, "precious");
    await expect(freeUnixPath({ kind: "unix", path })).rejects.toThrow("else than a socket");
  });

  it("is content with a directory that is there", async () => {
    const path = join(await tempDirectory(), "app.sock");
    await expect(freeUnixPath({ kind: "unix", path })).resolves.toBeUndefined();
  });
});
