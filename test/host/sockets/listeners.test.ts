import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { freeUnixPath } from "../../../src/host/sockets/listeners.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

describe("freeUnixPath", () => {
  it("names a missing directory, which runtimes report as a missing permission", async () => {
    const directory = join(await tempDirectory(), "none");
    const listening = freeUnixPath({ kind: "unix", path: join(directory, "app.sock") });
    await expect(listening).rejects.toThrow(`create it first: mkdir -p ${directory}`);
  });

  it("removes nothing that is not a socket", async () => {
    const path = join(await tempDirectory(), "app.sock");
    await writeFile(path, "precious");
    await expect(freeUnixPath({ kind: "unix", path })).rejects.toThrow("is not a socket");
  });

  it("accepts a free path in a directory that exists", async () => {
    const path = join(await tempDirectory(), "app.sock");
    await expect(freeUnixPath({ kind: "unix", path })).resolves.toBeUndefined();
  });
});
