import { expect, test } from "vitest";
import { redactor } from "../../../src/app/redactor.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { appStarter } from "../../../src/deployers/server/start_app.ts";
import { GenerationMembers } from "../../../src/host/generation_members.ts";
import { until } from "../../e2e/dewy.ts";
import { tempDirectory } from "../../host/temp_directory.ts";

test("the last lines of an app are without the secrets of its environment and of dewy's", async () => {
  const key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----";
  const app = { PATH: process.env.PATH, APP_PASSWORD: "hunter2hunter2", PLAIN: "visible-value" };
  const root = await tempDirectory();
  const start = appStarter({
    program: ["/bin/sh", "-c", 'printenv APP_PASSWORD PLAIN GITHUB_APP_PRIVATE_KEY; echo "end"'],
    root,
    members: new GenerationMembers(root),
    releasePath: (directory) => directory,
    environment: async () => ({ ...app, GITHUB_APP_PRIVATE_KEY: key }),
    user: undefined,
    saysReady: false,
    logPrefix: false,
    redactor,
    clock: systemClock,
  });
  const generation = await start({ tag: "v1", directory: "d" }, 1, { sockets: [], env: {} });
  await until(
    () => generation.lastLines(9).includes("end"),
    () => "the last line",
  );
  expect(generation.lastLines(9)).toEqual(["…", "visible-value", "…", "…", "…", "end"]);
});
