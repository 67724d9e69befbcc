import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, DeployError, type DewyError, HostError } from "../../core/error.ts";
import type { AppRelease } from "../../deployers/runner.ts";
import type { NotExecutedError } from "../generation/command.ts";
import {
  findProgram,
  isExecutableFile,
  type ProgramProblem,
  programProblem,
  readProgramFile,
} from "./program_problem.ts";

export interface CheckedProgram {
  name: string;
  /** The working directory, which contains `current` and `releases`. */
  root: string;
  searchPath: string | undefined;
  release: AppRelease;
}

/**
 * Rejects a program that cannot be executed, and assigns the fault. The release is at fault if it lacks something or
 * contains it in a form that cannot be executed. A missing file counts only if another release has one at the same path;
 * otherwise the path may be mistyped, which must not mark a version bad. For everything outside of the release, the
 * machine is at fault.
 */
export async function checkProgram(program: CheckedProgram): Promise<void> {
  const problem = programProblem(program.name, program.root, program.searchPath);
  if (problem !== undefined) throw await errorOf(problem, program);
}

async function errorOf(problem: ProgramProblem, program: CheckedProgram): Promise<DewyError> {
  const start = `Cannot start "${program.name}"`;
  if (problem.kind === "not-in-path") {
    return new HostError(
      `${start}: no directory in PATH contains a program with this name; install it, or specify its path`,
    );
  }
  const { kind, path } = problem;
  if (kind === "no-interpreter") {
    const { interpreter } = problem;
    return (await pathInRelease(interpreter, program.root)) === undefined
      ? new HostError(`${start}: it needs ${interpreter}, which is not on this machine; install it`)
      : releaseError(`${start}: it needs ${interpreter}, which the release does not contain`);
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
    return releaseError(`${start}: ${WHY[kind]} in this release, but there is in another release`);
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
 * Converts the error into a DeployError if the file belongs to the release, and no machine, or no machine of this
 * architecture, can execute it.
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

/** ENOEXEC, as worded by the C library or bash. */
const WRONG_FORMAT = /exec format error|cannot execute binary file/i;

/** Architectures that also execute programs for another one. */
const ALSO: Readonly<Record<string, string>> = { x64: "ia32", arm64: "arm" };

/** Explains that a program was built for another architecture. It may run nevertheless, with an emulator. */
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
