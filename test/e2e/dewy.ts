import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { DENO_RUN, neutralEnvironment, ROOT, type Runtime, runtimes } from "../runtime/runtimes.ts";
import { LAST_FILE, VERSION_FILE } from "./archive.ts";

const BIN = join(ROOT, "node_modules", ".bin");
/** Below the timeout of a test, so that the error names the condition. Only a hang needs all of it. */
const TIMEOUT_MS = 90_000;

export interface LogLine {
  level: string;
  msg: string;
  [field: string]: unknown;
}

export interface Dewy {
  child: ChildProcess;
  /** Everything on standard error so far. */
  stderr(): string;
  /** Everything on standard output so far. */
  stdout(): string;
  /** The log so far. */
  lines(): LogLine[];
  /** Resolves with the first matching line. */
  seen(what: string, fits: (line: LogLine) => boolean): Promise<LogLine>;
  /** Resolves with the exit code or the name of the signal. */
  ended(): Promise<number | string>;
}

export interface CliRuntime {
  name: string;
  command: readonly [string, ...string[]];
}

const { DEWY_BINARY } = process.env;

/** Node runs the built package; Deno and Bun run the sources. With `$DEWY_BINARY`, only that binary runs. */
export const cliRuntimes: readonly CliRuntime[] =
  DEWY_BINARY === undefined
    ? runtimes.map((runtime) => ({ name: runtime.name, command: cliCommand(runtime) }))
    : [{ name: "single binary", command: [DEWY_BINARY] }];

function cliCommand(runtime: Runtime): readonly [string, ...string[]] {
  if (runtime.name === "Deno") return [join(BIN, "deno"), ...DENO_RUN, join(ROOT, "cli.ts")];
  if (runtime.name === "Bun") return [join(BIN, "bun"), join(ROOT, "cli.ts")];
  return [process.execPath, join(ROOT, "dist", "cli.js")];
}

/** Starts dewy with a command of {@link cliRuntimes}, and kills it when the test ends. */
export function startDewy(
  command: readonly [string, ...string[]],
  args: readonly string[],
  options: { cwd: string; env?: Readonly<Record<string, string>> },
): Dewy {
  const [program, ...first] = command;
  const child = spawn(program, [...first, ...args], {
    cwd: options.cwd,
    env: { ...neutralEnvironment(), ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    // Until then it writes files, whose directory is removed next.
    await exited;
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const closed = once(child, "close");
  const lines = (): LogLine[] =>
    stderr.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    lines,
    seen: async (what, fits) => {
      let found: LogLine | undefined;
      await until(
        () => {
          found = lines().find(fits);
          return found !== undefined;
        },
        () => `${what}; log:\n${stderr}`,
      );
      return found as LogLine;
    },
    ended: async () => {
      const [code, signal] = await closed;
      return code ?? signal;
    },
  };
}

/** Runs dewy until it exits. */
export async function runDewy(
  ...args: Parameters<typeof startDewy>
): Promise<{ code: number | string; stdout: string; stderr: string; lines: LogLine[] }> {
  const dewy = startDewy(...args);
  const code = await dewy.ended();
  return { code, stdout: dewy.stdout(), stderr: dewy.stderr(), lines: dewy.lines() };
}

/** Waits for a condition; the error names it. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: () => string,
): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`timeout while waiting for ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Returns the live version, whose release has to be complete, or `undefined` if none is live. */
export async function liveVersion(directory: string): Promise<string | undefined> {
  const current = join(directory, "current");
  const target = await readlink(current).catch(() => undefined);
  if (target === undefined) return undefined;
  const version = await readFile(join(directory, target, VERSION_FILE), "utf8");
  expect(await readFile(join(directory, target, LAST_FILE), "utf8")).toBe(version);
  return version;
}

/** Expects that there are no incomplete, temporary or lock files. */
export async function expectTidy(directory: string): Promise<void> {
  const names = await readdir(directory);
  const releases = names.includes("releases") ? await readdir(join(directory, "releases")) : [];
  const memory = names.includes(".dewy") ? await readdir(join(directory, ".dewy")) : [];
  const downloads = memory.includes("cache")
    ? await readdir(join(directory, ".dewy", "cache"))
    : [];
  expect(names.filter((name) => !["releases", "current", ".dewy"].includes(name))).toEqual([]);
  expect(releases.filter((name) => name.startsWith("."))).toEqual([]);
  const known = ["state.json", "journal.jsonl", "notified.json", "cache"];
  expect(memory.filter((name) => !known.includes(name))).toEqual([]);
  expect(downloads).toEqual([]);
}
