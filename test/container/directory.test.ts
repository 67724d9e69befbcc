import { stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { containerDirectory, makeContainerDirectory } from "../../src/container/directory.ts";
import { tempDirectory } from "../support/temp_directory.ts";

type Io = Parameters<typeof containerDirectory>[1];

describe("where dewy container remembers what runs", () => {
  const cases: [string, string | undefined, Io, string][] = [
    ["the flag", "/srv/x", { env: { STATE_DIRECTORY: "/s" }, isRoot: true }, "/srv/x"],
    ["a relative flag", "x", { env: {}, isRoot: true }, resolve("x")],
    [
      "what systemd made",
      undefined,
      { env: { STATE_DIRECTORY: "/var/lib/a" }, isRoot: true },
      "/var/lib/a",
    ],
    [
      "the first of several",
      undefined,
      { env: { STATE_DIRECTORY: "/var/lib/a:/var/lib/b" }, isRoot: false },
      "/var/lib/a",
    ],
    ["of root", undefined, { env: { HOME: "/root" }, isRoot: true }, "/var/lib/dewy/app"],
    [
      "of a user",
      undefined,
      { env: { HOME: "/home/me" }, isRoot: false },
      "/home/me/.local/state/dewy/app",
    ],
    [
      "of a user who has chosen",
      undefined,
      { env: { HOME: "/home/me", XDG_STATE_HOME: "/home/me/state" }, isRoot: false },
      "/home/me/state/dewy/app",
    ],
    [
      "of a user who has chosen nothing that counts",
      undefined,
      { env: { HOME: "/home/me", XDG_STATE_HOME: "state" }, isRoot: false },
      "/home/me/.local/state/dewy/app",
    ],
    [
      "of a user without HOME",
      undefined,
      { env: { HOME: "" }, isRoot: false },
      join(homedir(), ".local/state/dewy/app"),
    ],
  ];
  test.each(cases)("%s", (_, directory, io, path) => {
    expect(containerDirectory({ directory, app: "app" }, io)).toBe(path);
  });
});

describe("makeContainerDirectory", () => {
  test("makes what is missing above it as well, and takes what is there", async () => {
    const path = join(await tempDirectory(), "a", "b");
    await makeContainerDirectory(path);
    await makeContainerDirectory(path);
    expect((await stat(path)).isDirectory()).toBe(true);
  });
  test("says what is in the way", async () => {
    const file = join(await tempDirectory(), "file");
    await writeFile(file, "");
    await expect(makeContainerDirectory(join(file, "b"))).rejects.toThrow(
      `Cannot make the directory ${join(file, "b")}`,
    );
  });
});
