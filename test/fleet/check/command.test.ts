import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { AbortedError, ConfigError, HostError } from "../../../src/core/error.ts";
import { commandCheck } from "../../../src/fleet/check/command.ts";
import type { CheckAnswer, CheckedWave } from "../../../src/fleet/check/types.ts";
import { isRunning } from "../../../src/host/process/processes.ts";
import { until } from "../../e2e/dewy.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const WAVE: CheckedWave = { tag: "v1.3.0", wave: 2, hosts: ["web1", "web2"] };

interface Asked {
  cwd?: string;
  timeoutMs?: number;
  signal?: AbortSignal;
  wave?: CheckedWave;
}

function ask(command: string, options: Asked = {}): Promise<CheckAnswer> {
  const { cwd = "/", timeoutMs, signal = new AbortController().signal, wave = WAVE } = options;
  const env = { PATH: process.env.PATH, API_KEY: "not-for-everyone" };
  const redact = (text: string): string => text.replaceAll("not-for-everyone", "…");
  return commandCheck({ command, fleet: "web", cwd, env, redact, timeoutMs })(wave, signal);
}

test("exit code 0 lets the rollout go on", async () => {
  expect(await ask("exit 0")).toEqual({ ok: true });
});

test("another exit code halts it, with the last line as the reason", async () => {
  expect(await ask("echo fine; echo first >&2; echo p99 is 3 s >&2; exit 3")).toEqual({
    ok: false,
    reason: "the check exited with code 3: p99 is 3 s",
  });
  expect(await ask("echo 4 errors; exit 1")).toMatchObject({
    reason: "the check exited with code 1: 4 errors",
  });
  expect(await ask("exit 1")).toEqual({ ok: false, reason: "the check exited with code 1" });
});

test("the command gets dewy's environment and the wave", async () => {
  const cwd = await tempDirectory();
  const command =
    'echo "$DEWY_FLEET $DEWY_TAG $DEWY_WAVE" $DEWY_HOSTS "$API_KEY" >out; tr "\\n" , >>out';
  expect(await ask(command, { cwd })).toEqual({ ok: true });
  expect(await readFile(join(cwd, "out"), "utf8")).toBe(
    "web v1.3.0 2 web1 web2 not-for-everyone\nweb1,web2,",
  );
});

test("more names than a variable can hold are on standard input", async () => {
  const hosts = Array.from({ length: 20_000 }, (_, index) => `host-${index}.example`);
  const wave = { ...WAVE, hosts };
  expect(await ask('[ "$(wc -l)" = 20000 ]', { wave })).toEqual({ ok: true });
  expect(await ask('case "$DEWY_HOSTS" in *.example) exit 0; esac; exit 1', { wave })).toEqual({
    ok: true,
  });
});

test("secrets and escape sequences are not in the reason", async () => {
  expect(await ask('printf "\\033[31m$API_KEY is wrong\\n"; exit 1')).toMatchObject({
    reason: "the check exited with code 1: … is wrong",
  });
});

test("a command that cannot run, or was ended, gives no answer", async () => {
  await expect(ask("no-such-program-x")).rejects.toThrow(ConfigError);
  await expect(ask("no-such-program-x")).rejects.toThrow(
    /^Cannot run --rollout-check: .*not found/,
  );
  await expect(ask("kill -9 $$")).rejects.toThrow(HostError);
  await expect(ask("kill -9 $$")).rejects.toThrow("the command was ended by a signal");
});

test("a command that takes too long is stopped, and gives no answer", async () => {
  await expect(ask("echo waiting; sleep 60", { timeoutMs: 100 })).rejects.toThrow(
    "Cannot finish --rollout-check: the command took longer than 0.1 s: waiting",
  );
});

test("an abort ends the command with all that it has started", async () => {
  const cwd = await tempDirectory();
  const stop = new AbortController();
  const asked = ask("sleep 60 & echo $! >pid; wait", { cwd, signal: stop.signal });
  const failure = asked.catch((error: unknown) => error);
  const pid = async (): Promise<number> =>
    Number(await readFile(join(cwd, "pid"), "utf8").catch(() => ""));
  await until(
    async () => (await pid()) > 0,
    () => "the command",
  );
  const sleeping = await pid();
  stop.abort();
  expect(await failure).toBeInstanceOf(AbortedError);
  await until(
    () => !isRunning(sleeping, undefined),
    () => "the end of what it has started",
  );
});
