import { posix } from "node:path";

/** The working directory that a program's path implies: `/opt/app` for `/opt/app/current/bin/app`. */
export function directoryOfProgram(program: string): string | undefined {
  const path = posix.normalize(program);
  const end = path.indexOf("/current/");
  if (!posix.isAbsolute(path) || end < 0) return undefined;
  return end === 0 ? "/" : path.slice(0, end);
}

/**
 * The working directory that an argument implies, as in `python3 /opt/app/current/app.py`; `undefined` if the program
 * itself implies one.
 */
export function directoryOfArguments([program = "", ...args]: readonly string[]):
  | string
  | undefined {
  if (directoryOfProgram(program) !== undefined) return undefined;
  return args.map(directoryOfProgram).find((directory) => directory !== undefined);
}

/** Makes a relative path absolute: it is relative to where dewy was started. A name without a slash is left to PATH. */
export function resolveProgram(
  [program, ...args]: readonly [string, ...string[]],
  cwd: string,
): [string, ...string[]] {
  // Not normalized, because `current` is a symbolic link: `current/..` is not its parent.
  const isPath = program.includes("/") && !posix.isAbsolute(program);
  return [isPath ? `${cwd}/${program}` : program, ...args];
}
