import { expect, test } from "vitest";
import { redactor } from "../../../src/agent/redactor.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { GenerationMembers } from "../../../src/server/generation/members.ts";
import { appStarter } from "../../../src/server/supervisor/start_app.ts";
import { until } from "../../e2e/dewy.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

test("secrets of the app's and dewy's environment are masked in the output", async () => {
  const key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----";
  const app = { PATH: process.env.PATH, APP_PASSWORD: "hunter2hunter2", PLAIN: "visible-value" };
  const root = await tempDirectory();
  const start = appStarter({
    program: [
      "/bin/sh",
      "-c",
      'printenv APP_PASSWORD PLAIN GITHUB_APP_PRIVATE_KEY; echo "    at Object.node:internal"; printf "\\033[31mend"',
    ],
    root,
    members: new GenerationMembers(root),
    releasePath: (directory) => directory,
    environment: async () => ({ ...app, GITHUB_APP_PRIVATE_KEY: key }),
    user: undefined,
    reportsReady: false,
    logPrefix: false,
    redactor,
    clock: systemClock,
  });
  const generation = await start({ tag: "v1", directory: "d" }, 1, { sockets: [], env: {} });
  await until(
    () => generation.output().includes("end"),
    () => "the last line",
  );
  const lines = ["…", "visible-value", "…", "…", "…"];
  expect(generation.lastLines(9)).toEqual([...lines, "\u001b[31mend"]);
  expect(generation.output()).toEqual([...lines, "    at Object.node:internal", "end"]);
});
