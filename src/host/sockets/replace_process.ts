import { libc } from "./libc.ts";

type Execve = (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => void;

/**
 * Whether {@link replaceProcess} works on this runtime.
 *
 * @returns true on Bun, Node 22.15 and newer, and Deno with the permission for FFI.
 */
export function canReplaceProcess(): boolean {
  return nativeExecve() !== undefined || libc() !== undefined;
}

/**
 * Makes another program of this process: same pid, same parent, standard streams kept, everything else closed.
 *
 * @param file the absolute path of the program.
 * @param args its arguments, beginning with its name.
 * @returns only when the system refused.
 */
export function replaceProcess(file: string, args: readonly string[]): void {
  const execve = nativeExecve() ?? libc()?.execve;
  execve?.(file, args, process.env);
}

/** https://nodejs.org/api/process.html#processexecvefile-args-env */
function nativeExecve(): Execve | undefined {
  const { execve } = process as { execve?: Execve };
  return execve?.bind(process);
}
