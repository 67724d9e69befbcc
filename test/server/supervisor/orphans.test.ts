import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { GenerationMembers } from "../../../src/server/generation/members.ts";
import { findOrphans } from "../../../src/server/supervisor/orphans.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

it.each([
  ["its release directory", "/releases/20260101T000000Z"],
  ["no release directory if an earlier dewy did not set it", undefined],
])("finds an orphan by its environment, with %s", async (_, release) => {
  const root = await tempDirectory();
  // The app of a killed dewy process has lost its parent.
  const parent = spawn("/bin/sh", ["-c", "setsid sleep 1000 >&- & echo $!"], {
    stdio: ["ignore", "pipe", "ignore"],
    env: {
      PATH: process.env.PATH,
      DEWY_ROOT: root,
      DEWY_GENERATION: "3",
      DEWY_TAG: "v1.0.0",
      ...(release === undefined ? {} : { DEWY_RELEASE_DIR: `${root}${release}` }),
    },
  });
  const [output] = await Promise.all([text(parent.stdout), once(parent, "exit")]);
  const pid = Number(output);
  onTestFinished(() => void process.kill(pid, "SIGKILL"));
  // The shell exits before its child has begun a session of its own.
  await expect.poll(() => readFile(`/proc/${pid}/comm`, "utf8")).toBe("sleep\n");
  const [orphan, ...others] = await findOrphans(new GenerationMembers(root));
  expect(others).toEqual([]);
  expect(orphan).toMatchObject({
    pid,
    number: 3,
    tag: "v1.0.0",
    directory: release === undefined ? "" : "20260101T000000Z",
  });
});
