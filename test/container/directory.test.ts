import { stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { containerDirectory, makeContainerDirectory } from "../../src/container/directory.ts";
import { tempDirectory } from "../support/temp_directory.ts";

type DirectoryContext = Parameters<typeof containerDirectory>[1];

describe("containerDirectory", () => {
  const cases: [string, string | undefined, DirectoryContext, string][] = [
    ["the flag", "/srv/x", { env: { STATE_DIRECTORY: "/s" }, isRoot: true }, "/srv/x"],
    ["a relative flag", "x", { env: {}, isRoot: true }, resolve("x")],
    [
      "the state directory from systemd",
      undefined,
      { env: { STATE_DIRECTORY: "/var/lib/a" }, isRoot: true },
      "/var/lib/a",
    ],
    [
      "the first of several state directories",
      undefined,
      { env: { STATE_DIRECTORY: "/var/lib/a:/var/lib/b" }, isRoot: false },
      "/var/lib/a",
    ],
    [
      "the default of root",
      undefined,
      { env: { HOME: "/root" }, isRoot: true },
      "/var/lib/dewy/app",
    ],
    [
      "the default of a user",
      undefined,
      { env: { HOME: "/home/me" }, isRoot: false },
      "/home/me/.local/state/dewy/app",
    ],
    [
      "below an absolute XDG_STATE_HOME",
      undefined,
      { env: { HOME: "/home/me", XDG_STATE_HOME: "/home/me/state" }, isRoot: false },
      "/home/me/state/dewy/app",
    ],
    [
      "not below a relative XDG_STATE_HOME",
      undefined,
      { env: { HOME: "/home/me", XDG_STATE_HOME: "state" }, isRoot: false },
      "/home/me/.local/state/dewy/app",
    ],
    [
      "the default of a user without HOME",
      undefined,
      { env: { HOME: "" }, isRoot: false },
      join(homedir(), ".local/state/dewy/app"),
    ],
  ];
  test.each(cases)("%s", (_, directory, context, path) => {
    expect(containerDirectory({ directory, app: "app" }, context)).toBe(path);
  });
});

describe("makeContainerDirectory", () => {
  test("makes missing parents, and accepts an existing directory", async () => {
    const path = join(await tempDirectory(), "a", "b");
    await makeContainerDirectory(path);
    await makeContainerDirectory(path);
    expect((await stat(path)).isDirectory()).toBe(true);
  });
  test("reports the path that cannot be made", async () => {
    const file = join(await tempDirectory(), "file");
    await writeFile(file, "");
    await expect(makeContainerDirectory(join(file, "b"))).rejects.toThrow(
      `Cannot make the directory ${join(file, "b")}`,
    );
  });
});
