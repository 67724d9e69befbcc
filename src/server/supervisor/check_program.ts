import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, DeployError, type DewyError, HostError } from "../../core/error.ts";
import type { AppRelease } from "../../deployers/runner.ts";
import type { NotExecutedError } from "../generation/execution.ts";
import {
  findProgram,
  isExecutableFile,
  type ProgramProblem,
  programProblem,
  readProgramFile,
} from "./program_problem.ts";

/** A program that is about to be started. */
export interface CheckedProgram {
  /** As the command line names it. */
  name: string;
  /** The working directory, which has `current` and `releases`. */
  root: string;
  /** The `PATH` that the app gets. */
  searchPath: string | undefined;
  /** What `current` points to. */
  release: AppRelease;
}

/**
 * Refuses a program that cannot be executed, and says whose fault it is. What the release should contain and does not,
 * or contains in a form that cannot be executed, is the release's fault. So is a missing file, but only where another
 * release has one at the same path: otherwise the path may be mistyped, and no version is to be blamed for that. All
 * that is outside of the release is the machine's fault.
 *
 * @param program the program.
 * @throws DeployError, ConfigError or HostError, by whose fault it is.
 */
export async function checkProgram(program: CheckedProgram): Promise<void> {
  const problem = programProblem(program.name, program.root, program.searchPath);
  if (problem !== undefined) throw await errorOf(problem, program);
}

async function errorOf(problem: ProgramProblem, program: CheckedProgram): Promise<DewyError> {
  const start = `Cannot start "${program.name}"`;
  if (problem.kind === "not-in-path") {
    return new HostError(
      `${start}: no directory in PATH has a program of this name; install it, or give its path`,
    );
  }
  const { kind, path } = problem;
  if (kind === "no-interpreter") {
    const { interpreter } = problem;
    return (await pathInRelease(interpreter, program.root)) === undefined
      ? new HostError(`${start}: it needs ${interpreter}, which is not on this machine; install it`)
      : releaseError(`${start}: it needs ${interpreter}, which the release does not have`);
  }
  const inRelease = await pathInRelease(path, program.root);
  if (inRelease === undefined) {
    return new HostError(`${start}: ${WHY[kind]}; install the program, or correct the command`);
  }
  if (kind === "not-executable") {
    return releaseError(
      `${start}: it is not an executable file; chmod +x it in the archive, or publish a program or a script with #!`,
    );
  }
  if (await otherReleaseHas(inRelease, program)) {
    return releaseError(`${start}: ${WHY[kind]} in this release, but in another one there is`);
  }
  return new ConfigError(
    `${start}: ${WHY[kind]}, and no other release has one; correct the command, or publish a release with this file`,
  );
}

const WHY = {
  missing: "there is no such file",
  directory: "it is a directory",
  "not-executable": "it is not an executable file",
} as const;

function releaseError(message: string): DeployError {
  return new DeployError("verify", message, { fault: "release" });
}

/** The path below `current/`, however the working directory is written. */
async function pathInRelease(path: string, root: string): Promise<string | undefined> {
  const link = "/current/";
  for (let at = path.indexOf(link); at >= 0; at = path.indexOf(link, at + 1)) {
    const directory = await realpath(path.slice(0, at) || "/").catch(() => undefined);
    if (directory === root) return path.slice(at + link.length);
  }
  return undefined;
}

async function otherReleaseHas(path: string, { root, release }: CheckedProgram): Promise<boolean> {
  const names = await readdir(join(root, "releases")).catch(() => []);
  return names.some(
    (name) =>
      name !== release.directory &&
      !name.startsWith(".") &&
      isExecutableFile(join(root, "releases", name, path)),
  );
}

/**
 * Says whose fault it is that the system did not execute a program.
 *
 * @param error what the system said.
 * @param program the program.
 * @returns a DeployError for a file of the release that no machine, or no machine of this kind, executes; else the error.
 */
export async function withFault(
  error: NotExecutedError,
  program: CheckedProgram,
): Promise<DewyError> {
  const path = findProgram(program.name, program.root, program.searchPath) ?? "";
  const foreign = foreignArchitecture(program);
  if (foreign === undefined && !WRONG_FORMAT.test(error.reason)) return error;
  if ((await pathInRelease(path, program.root)) === undefined) return error;
  return releaseError(`Cannot start "${program.name}": ${foreign ?? error.reason}`);
}

/** ENOEXEC, in the words of the C library or of bash. */
const WRONG_FORMAT = /exec format error|cannot execute binary file/i;

/** Processors that also execute what was built for an older one. */
const ALSO: Readonly<Record<string, string>> = { x64: "ia32", arm64: "arm" };

/**
 * Says when a program was built for another processor. It may run nevertheless, by an emulator that the system knows;
 * when it does not, this is why.
 *
 * @param program the program.
 * @returns a part of a sentence; `undefined` for a program of this machine.
 */
export function foreignArchitecture(
  program: Pick<CheckedProgram, "name" | "root" | "searchPath">,
): string | undefined {
  const path = findProgram(program.name, program.root, program.searchPath);
  const { architecture } = path === undefined ? {} : readProgramFile(path);
  const own = process.arch;
  if (architecture === undefined || architecture === own || architecture === ALSO[own]) {
    return undefined;
  }
  return `it was built for ${architecture}, and this machine is ${own}`;
}
