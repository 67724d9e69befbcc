import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { ConfigError, DeployError, type DewyError } from "../core/error.ts";
import type { GenerationExit, GenerationOptions } from "./generation_process.ts";
import { isOnItsWay } from "./generation_process_command.ts";
import { commandLine } from "./listen/socket_table.ts";

const LOOK_MS = 5;
const PATIENCE_MS = 5_000;
/** What a shell exits with when it finds a program it cannot execute, and when it finds none. */
const NOT_EXECUTED: readonly (number | null)[] = [126, 127];

/**
 * Waits until a process has become the app's program.
 *
 * @param pid the process.
 * @param exited its end.
 * @returns false when the program could not be executed.
 */
export async function becomesProgram(
  pid: number,
  exited: Promise<GenerationExit>,
): Promise<boolean> {
  let exit: GenerationExit | undefined;
  const end = exited.then((value) => {
    exit = value;
  });
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; ) {
    const words = commandLine(pid);
    if (exit === undefined && words !== undefined && !isOnItsWay(words)) return true;
    if (exit !== undefined) return !NOT_EXECUTED.includes(exit.code);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const pause = new Promise<void>((done) => {
      timer = setTimeout(done, LOOK_MS);
    });
    await Promise.race([pause, end]).finally(() => clearTimeout(timer));
  }
  return true;
}

/**
 * Says why a program could not be executed.
 *
 * @param options what was to be started.
 * @param exit how the attempt ended.
 * @param said what was written to standard error meanwhile.
 * @returns a DeployError; a ConfigError when no release could help.
 */
export function notExecuted(
  { command, cwd, env }: Pick<GenerationOptions, "command" | "cwd" | "env">,
  exit: GenerationExit,
  said: string,
): DewyError {
  const [name] = command;
  const path = find(name, cwd, env.PATH);
  const start = `Cannot start ${name}: `;
  if (path === undefined && !name.includes("/")) {
    return new ConfigError(`${start}it is not in PATH (${env.PATH ?? ""})`);
  }
  return new DeployError(
    "verify",
    `${start}${whyNot(path) ?? (said.trim() || `exit code ${exit.code}`)}`,
    { fault: "release" },
  );
}

function whyNot(path: string | undefined): string | undefined {
  if (path === undefined) return "there is no such file";
  if (!isExecutable(path)) {
    return `${path} is not an executable file; chmod +x it in the archive, or publish a program or a script with #!`;
  }
  const interpreter = interpreterOf(path);
  if (interpreter === undefined || exists(interpreter)) return undefined;
  return `it needs ${interpreter}, which is not on this machine`;
}

function find(name: string, cwd: string, path = "/usr/bin:/bin"): string | undefined {
  const places = name.includes("/")
    ? [resolve(cwd, name)]
    : path.split(":").map((directory) => join(resolve(cwd, directory), name));
  return places.find(isExecutable) ?? places.find(exists);
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

const HEAD_BYTES = 8_192;

/** The program after `#!`, or the loader that an ELF file names in its first pages. */
function interpreterOf(path: string): string | undefined {
  const head = Buffer.alloc(HEAD_BYTES);
  try {
    const fd = openSync(path, "r");
    const length = readSync(fd, head, 0, HEAD_BYTES, 0);
    closeSync(fd);
    const text = head.subarray(0, length).toString("latin1");
    if (text.startsWith("#!")) return /^#!\s*(\S+)/.exec(text)?.[1];
    return text.startsWith("\x7fELF")
      ? /\/[\w./-]*\/ld[\w.-]*\.so[\w.]*/.exec(text)?.[0]
      : undefined;
  } catch {
    return undefined;
  }
}
