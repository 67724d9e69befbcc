import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, it, onTestFinished } from "vitest";
import { findOrphans } from "../../../src/deployers/server/orphans.ts";
import { tempDirectory } from "../../host/temp_directory.ts";

it.each([
  ["the release directory that it was started from", "/releases/20260101T000000Z"],
  ["no release directory where an earlier dewy did not state it", undefined],
])("finds a generation of an earlier dewy by its environment, with %s", async (_, release) => {
  const root = await tempDirectory();
  const child = spawn("sleep", ["1000"], {
    detached: true,
    stdio: "ignore",
    env: {
      PATH: process.env.PATH,
      DEWY_ROOT: root,
      DEWY_GENERATION: "3",
      DEWY_TAG: "v1.0.0",
      ...(release === undefined ? {} : { DEWY_RELEASE_DIR: `${root}${release}` }),
    },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child, "spawn");
  const [orphan, ...others] = await findOrphans(root);
  expect(others).toEqual([]);
  expect(orphan).toMatchObject({
    pid: child.pid,
    tag: "v1.0.0",
    directory: release === undefined ? "" : "20260101T000000Z",
  });
});
