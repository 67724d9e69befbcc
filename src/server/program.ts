import { posix } from "node:path";

/**
 * The working directory that a program's path implies: `/opt/app/current/bin/app` is kept up to date in `/opt/app`.
 *
 * @param program the path of the program, as typed.
 * @returns what is before the first `/current/` of an absolute path; `undefined` when there is none.
 */
export function directoryOfProgram(program: string): string | undefined {
  const path = posix.normalize(program);
  const end = path.indexOf("/current/");
  if (!posix.isAbsolute(path) || end < 0) return undefined;
  return end === 0 ? "/" : path.slice(0, end);
}

/**
 * The working directory that an argument of the program implies, as in `python3 /opt/app/current/app.py`.
 *
 * @param program the program and its arguments, as typed.
 * @returns that of the first argument that implies one; `undefined` when none does, or the program itself does.
 */
export function directoryOfArguments([program = "", ...args]: readonly string[]):
  | string
  | undefined {
  if (directoryOfProgram(program) !== undefined) return undefined;
  return args.map(directoryOfProgram).find((directory) => directory !== undefined);
}

/**
 * Finds the program as a shell would: a path with a slash is relative to where dewy was started, whatever directory the
 * app runs in; a bare name is looked up in PATH.
 *
 * @param program the program and its arguments, as typed.
 * @param cwd where dewy was started.
 * @returns the same, with an absolute path where one was meant.
 */
export function resolveProgram(
  [program, ...args]: readonly [string, ...string[]],
  cwd: string,
): [string, ...string[]] {
  // Not normalized: "current" is a link, so ".." behind it is not what stands before it.
  const isPath = program.includes("/") && !posix.isAbsolute(program);
  return [isPath ? `${cwd}/${program}` : program, ...args];
}
