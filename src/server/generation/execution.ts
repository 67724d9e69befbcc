import { HostError } from "../../core/error.ts";
import { commandLine } from "../../host/sockets/socket_table.ts";
import { EXEC_NAME, isOnItsWay } from "./command.ts";
import type { GenerationExit } from "./process.ts";

const LOOK_MS = 5;
const PATIENCE_MS = 5_000;

/**
 * Waits until a process has become the app's program.
 *
 * @param pid the process.
 * @param exited its end.
 * @returns how it ended, when it did before it was seen to be the program.
 */
export async function becomesProgram(
  pid: number,
  exited: Promise<GenerationExit>,
): Promise<GenerationExit | undefined> {
  let exit: GenerationExit | undefined;
  const end = exited.then((value) => {
    exit = value;
  });
  for (const deadline = performance.now() + PATIENCE_MS; performance.now() < deadline; ) {
    const words = commandLine(pid);
    if (exit !== undefined || (words !== undefined && !isOnItsWay(words))) return exit;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const pause = new Promise<void>((done) => {
      timer = setTimeout(done, LOOK_MS);
    });
    await Promise.race([pause, end]).finally(() => clearTimeout(timer));
  }
  return undefined;
}

/** The system did not execute a program. Nothing is said about whose fault that is. */
export class NotExecutedError extends HostError {
  override readonly name: string = "NotExecutedError";
  /** What the system said, such as `Exec format error`. */
  readonly reason: string;

  /**
   * Makes the error.
   *
   * @param program the program.
   * @param reason what the system said.
   */
  constructor(program: string, reason: string) {
    super(`Cannot start "${program}": the system does not execute it (${reason})`);
    this.reason = reason;
  }
}

/**
 * Finds out whether a process ended because the system would not execute its program. An app may end with the same exit
 * codes by itself; only the words of what was to execute it tell the difference.
 *
 * @param program the program.
 * @param exit how the process ended.
 * @param said what was written to standard error meanwhile.
 * @returns the error; `undefined` when the program did run.
 */
export function notExecuted(
  program: string,
  { code }: GenerationExit,
  said: string,
): NotExecutedError | undefined {
  // https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02
  if (code !== 126 && code !== 127) return undefined;
  const line = said.split("\n").find((text) => SAYS_NOT_EXECUTED.test(text));
  if (line === undefined) return undefined;
  return new NotExecutedError(program, line.split(": ").at(-1)?.trim() ?? "");
}

const SAYS_NOT_EXECUTED = new RegExp(`^(?:${EXEC_NAME}|setpriv): `);
