import { describe, expect, onTestFinished, test } from "vitest";
import type { DewyEvent } from "../../mod.ts";
import { assemble } from "../../src/cli/assemble.ts";
import { parseArgv } from "../../src/cli/flags/parse.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { notifiers } from "../../src/notifiers/table.ts";
import { readConfig } from "../support/read_config.ts";
import { fakeProcess } from "./process.ts";

const DEPLOYED: DewyEvent = {
  type: "deployed",
  command: "assets",
  tag: "v1",
  previousTag: undefined,
  directory: "/d",
  durationMs: 1,
};

interface Options {
  isTerminal?: boolean;
  env?: Record<string, string>;
}

/** What standard error shows of a deploy. */
async function shown(argv: readonly string[], options: Options, event = DEPLOYED): Promise<string> {
  const io = fakeProcess(options);
  const { context, close } = await assemble(
    readConfig("assets", parseArgv(["assets", "--registry", "file:///srv/x", ...argv])),
    io,
    { registries: hostRegistries, notifiers },
  );
  onTestFinished(close);
  context.emit(event);
  await close();
  return io.err();
}

describe("the log of assets", () => {
  test("shows a service only errors", async () => {
    expect(await shown([], {})).toBe("");
  });
  test("shows a person at a terminal what happens, in short lines", async () => {
    expect(await shown([], { isTerminal: true })).toMatch(
      /^\d\d:\d\d:\d\d {3}Deployed {2}command=/,
    );
  });
  test.each([
    [["--log-level", "error"], /^$/],
    [["--log-level", "info"], /^time=\S+ level=INFO msg=Deployed /],
    [["--log-format", "text"], /^time=\S+ level=INFO msg=Deployed /],
    [["--log-format", "json"], /^\{"time":"[^"]+","level":"INFO","msg":"Deployed"/],
  ])("does at a terminal what %j asks for", async (argv, pattern) => {
    expect(await shown(argv, { isTerminal: true })).toMatch(pattern);
  });
  test("hides the secrets of the environment, and of URLs", async () => {
    const env = { DB_PASSWORD: "hunter2hunter2" };
    const event: DewyEvent = {
      type: "warning",
      message: "Look",
      fields: { where: "https://me:pw@example.com/?token=abc", what: "hunter2hunter2" },
    };
    const err = await shown(["-l", "warn"], { env }, event);
    expect(err).toContain('where="https://example.com/?token=…" what=…');
  });
});

describe("the notifier of assets", () => {
  test("that has no token is one line that even a service shows", async () => {
    const err = await shown(["--notifier", "slack://deploy"], { env: {} });
    expect(err).toMatch(/^time=\S+ level=ERROR msg="No notifications: .* set SLACK_TOKEN"\n$/);
  });
  test("that cannot be used ends dewy before it begins", async () => {
    await expect(shown(["--notifier", "slack://?title=x"], {})).rejects.toThrow("--notifier");
  });
});

test("a certificate file that is not there is an error of the flag", async () => {
  await expect(shown(["--ca-file", "/nowhere/ca.pem"], {})).rejects.toMatchObject({
    code: "config",
    message: expect.stringContaining("/nowhere/ca.pem"),
  });
});
