import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Notification, Notifier } from "../../../src/notifiers/driver.ts";
import { exec } from "../../../src/notifiers/exec/driver.ts";
import { rich } from "../../../src/notifiers/rich_text.ts";
import { notifiers } from "../../../src/notifiers/table.ts";
import { readNotifierUrl } from "../../../src/notifiers/urls.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { notifierContext } from "../context.ts";

const MESSAGE: Notification = {
  id: "0f3c",
  kind: "error",
  text: rich`Rolled back from ${{ code: "v2" }}: ${{ lines: ["a\0b"] }}`,
  entry: { at: "2026-01-01T00:00:00.000Z", event: "rolled-back", tag: "v2" },
};
const NEVER = new AbortController().signal;

const urlOf = (command: string) => readNotifierUrl(`exec:${command}`, notifiers).url;

async function open(command: string): Promise<{ notifier: Notifier; directory: string }> {
  const directory = await tempDirectory();
  const context = notifierContext({
    env: { SLACK_TOKEN: "xoxb-secret", PATH: process.env.PATH },
    programEnv: { PATH: process.env.PATH, LANG: "C.UTF-8" },
    instance: { name: "app", mode: "server", directory, registry: "ghr://owner/app" },
  });
  const notifier = exec.open(urlOf(command), context);
  if (notifier === undefined) throw new Error("no notifier");
  return { notifier, directory };
}

describe("exec:", () => {
  test("runs a shell command in the working directory, with JSON on its standard input", async () => {
    const { notifier, directory } = await open("cat > got.json && pwd > where");
    await notifier.send(MESSAGE, NEVER);
    const got = await readFile(join(directory, "got.json"), "utf8");
    expect(got.endsWith("}\n")).toBe(true);
    expect(JSON.parse(got)).toMatchObject({
      version: 1,
      id: "0f3c",
      kind: "error",
      text: "Rolled back from v2: \na\0b",
      directory,
      entry: MESSAGE.entry,
    });
    expect(await readFile(join(directory, "where"), "utf8")).toBe(`${directory}\n`);
  });
  test("passes the facts as variables, and no credentials", async () => {
    const { notifier, directory } = await open("env > got");
    await notifier.send(MESSAGE, NEVER);
    const got = await readFile(join(directory, "got"), "utf8");
    expect(got.split("\n").sort()).toEqual(
      expect.arrayContaining([
        "DEWY_APP=app",
        "DEWY_COMMAND=server",
        "DEWY_EVENT=rolled-back",
        "DEWY_HOST=web-1",
        "DEWY_KIND=error",
        "DEWY_NOTIFICATION=0f3c",
        "DEWY_TAG=v2",
        "DEWY_TEXT=Rolled back from v2: ",
        "LANG=C.UTF-8",
        "ab",
      ]),
    );
    expect(got).not.toContain("xoxb-secret");
  });
  test("a command that ignores SIGTERM has ended before the next one starts", async () => {
    const { notifier, directory } = await open(
      "trap '' TERM; echo begin >> log; sleep 0.3; echo end >> log",
    );
    const log = (): Promise<string> => readFile(join(directory, "log"), "utf8").catch(() => "");
    const timeout = new AbortController();
    const first = notifier.send(MESSAGE, timeout.signal).catch(() => {});
    await expect.poll(log, { interval: 10 }).toContain("begin");
    timeout.abort();
    await notifier.send(MESSAGE, NEVER);
    await first;
    expect(await log()).toBe("begin\nend\nbegin\nend\n");
  });
  test("a command may contain anything", async () => {
    const { notifier, directory } = await open("echo 'http://x?a#b' %25 > got");
    await notifier.send(MESSAGE, NEVER);
    expect(await readFile(join(directory, "got"), "utf8")).toBe("http://x?a#b %25\n");
  });
  test("a command that does not read its input is fine", async () => {
    const { notifier } = await open("exit 0");
    await notifier.send({ ...MESSAGE, text: ["x".repeat(200_000)] }, NEVER);
  });
  test.each([
    ["echo no >&2; echo token expired >&2; exit 3", "exited with code 3: token expired"],
    ["exit 1", "exited with code 1"],
    ["kill -9 $$", "was ended by a signal"],
  ])("the failure of %j is retried", async (command, message) => {
    const { notifier } = await open(command);
    await expect(notifier.send(MESSAGE, NEVER)).rejects.toMatchObject({
      code: "host",
      retryable: true,
      message: `Cannot notify with exec:…: the command ${message}`,
    });
  });
  test.each(["/nonexistent/command", "/"])("the command %s needs the operator", async (command) => {
    const { notifier } = await open(command);
    await expect(notifier.send(MESSAGE, NEVER)).rejects.toMatchObject({ fault: "operator" });
  });
  test("at the timeout the command is killed, with all that it has started", async () => {
    const { notifier, directory } = await open("sleep 100 & echo $! $$ > pids; wait");
    const timeout = new AbortController();
    const sent = notifier.send(MESSAGE, timeout.signal);
    const pids = await expect
      .poll(() => readFile(join(directory, "pids"), "utf8").catch(() => ""))
      .toMatch(/\d+ \d+/)
      .then(() => readFile(join(directory, "pids"), "utf8"));
    timeout.abort(new DOMException("late", "TimeoutError"));
    await expect(sent).rejects.toThrow();
    for (const pid of pids.trim().split(" ").map(Number)) {
      await expect.poll(() => isRunning(pid)).toBe(false);
    }
  });
  test.each(["", "  ", "//host/x"])("refuses the command %j", (command) => {
    expect(() => exec.open(urlOf(command), notifierContext())).toThrow("expected exec:<command>");
  });
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
