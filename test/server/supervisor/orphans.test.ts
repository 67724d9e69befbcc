import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { GenerationMembers } from "../../../src/server/generation/members.ts";
import { findOrphans } from "../../../src/server/supervisor/orphans.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

it.each([
  ["the release directory that it was started from", "/releases/20260101T000000Z"],
  ["no release directory where an earlier dewy did not state it", undefined],
])("finds a generation of an earlier dewy by its environment, with %s", async (_, release) => {
  const root = await tempDirectory();
  // An app has lost its parent when its dewy was killed.
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
  const [said] = await Promise.all([text(parent.stdout), once(parent, "exit")]);
  const pid = Number(said);
  onTestFinished(() => void process.kill(pid, "SIGKILL"));
  const [orphan, ...others] = await findOrphans(new GenerationMembers(root));
  expect(others).toEqual([]);
  expect(orphan).toMatchObject({
    pid,
    tag: "v1.0.0",
    directory: release === undefined ? "" : "20260101T000000Z",
  });
});
