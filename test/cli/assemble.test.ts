import { describe, expect, onTestFinished, test } from "vitest";
import type { DewyEvent } from "../../mod.ts";
import { caches } from "../../src/cache/table.ts";
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
    { registries: hostRegistries, notifiers, caches },
  );
  onTestFinished(close);
  context.emit(event);
  await close();
  return io.err();
}

test("an invalid window is refused before anything else happens", async () => {
  const argv = ["assets", "--registry", "file:///srv/x", "--window", "mon-fri 9-17"];
  const io = fakeProcess({});
  const assembled = assemble(readConfig("assets", parseArgv(argv)), io, {
    registries: hostRegistries,
    notifiers,
    caches,
  });
  await expect(assembled).rejects.toMatchObject({
    code: "config",
    message: expect.stringContaining('Invalid value for --window "mon-fri 9-17": "9-17" is not'),
  });
});

describe("the log of assets", () => {
  test("is only errors for a service", async () => {
    expect(await shown([], {})).toBe("");
  });
  test.each([
    [{}, /^<2>\d\d:\d\d:\d\d<22> <32>✓<39> v1 deployed \(1 ms\)\n$/],
    [{ NO_COLOR: "1" }, /^\d\d:\d\d:\d\d ✓ v1 deployed \(1 ms\)\n$/],
    [{ TERM: "dumb" }, /^\d\d:\d\d:\d\d ✓ v1 deployed \(1 ms\)\n$/],
  ])("tells a person at a terminal with %j what happens, in short lines", async (env, pattern) => {
    const text = await shown([], { isTerminal: true, env });
    expect(text.replaceAll("\u001b[", "<").replaceAll(/(<\d+)m/g, "$1>")).toMatch(pattern);
  });
  test("does not redraw lines on a dumb terminal", async () => {
    const event: DewyEvent = { type: "download-progress", tag: "v1", artifact: "a", received: 1 };
    expect(await shown([], { isTerminal: true, env: { TERM: "dumb" } }, event)).toBe("");
    expect(await shown([], { isTerminal: true }, event)).toContain("\r\u001b[K");
  });
  test.each([
    [["--log-level", "error"], /^$/],
    [["--log-level", "info"], /^time=\S+ level=INFO msg=Deployed /],
    [["--log-format", "text"], /^time=\S+ level=INFO msg=Deployed /],
    [["--log-format", "json"], /^\{"time":"[^"]+","level":"INFO","msg":"Deployed"/],
  ])("at a terminal, %j still decides", async (argv, pattern) => {
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

describe("the lines of dewy's own log for the status page", () => {
  async function ownLines(argv: readonly string[]): Promise<readonly string[] | undefined> {
    const { context, close } = await assemble(
      readConfig("assets", parseArgv(["assets", "--registry", "file:///srv/x", ...argv])),
      fakeProcess({ env: { DB_PASSWORD: "hunter2hunter2" } }),
      { registries: hostRegistries, notifiers, caches },
    );
    onTestFinished(close);
    context.emit(DEPLOYED);
    context.emit({ type: "unchanged", tag: "v1" });
    context.emit({ type: "warning", message: "Look", fields: { what: "hunter2hunter2" } });
    return context.ownLines?.();
  }
  test("are kept for an admin server only", async () => {
    expect(await ownLines([])).toBeUndefined();
  });
  test("are those of level info, without secrets", async () => {
    expect(await ownLines(["--admin-port", "17539"])).toEqual([
      expect.stringMatching(/^time=\S+ level=INFO msg=Deployed /),
      expect.stringMatching(/^time=\S+ level=WARN msg=Look what=…$/),
    ]);
  });
  test("are those that --log-level shows", async () => {
    expect(await ownLines(["--admin-port", "17539", "--log-level", "warn"])).toHaveLength(1);
    expect(await ownLines(["--admin-port", "17539", "--log-level", "debug"])).toHaveLength(3);
  });
});

describe("the notifier of assets", () => {
  test("without a token is one line that even a service shows", async () => {
    const err = await shown(["--notifier", "slack://deploy"], { env: {} });
    expect(err).toMatch(/^time=\S+ level=ERROR msg="No notifications: .* set SLACK_TOKEN"\n$/);
  });
  test("that is invalid ends dewy before it starts", async () => {
    await expect(shown(["--notifier", "slack://?title=x"], {})).rejects.toThrow("--notifier");
  });
});

test("a certificate file that is not there is an error of the flag", async () => {
  await expect(shown(["--ca-file", "/nowhere/ca.pem"], {})).rejects.toMatchObject({
    code: "config",
    message: expect.stringContaining("/nowhere/ca.pem"),
  });
});
