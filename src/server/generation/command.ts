import { spawnSync } from "node:child_process";
import { HostError } from "../../core/error.ts";
import { helperEnvironment } from "../../host/process/helper_environment.ts";
import { commandLine } from "../../host/sockets/socket_table.ts";

export interface RunAs {
  uid: number;
  gid: number;
}

export interface GenerationExit {
  code: number | null;
  signal: string | null;
}

const SHELL = "/bin/sh";
/** The shell's `$0`, which begins its error messages. */
const EXEC_NAME = "dewy-exec";
/** `$1` is a control group to join, or empty. `exec` keeps the pid, so `LISTEN_PID` is that of the app. */
const EXEC =
  '{ [ -z "$1" ] || echo $$ >"$1/cgroup.procs"; } 2>/dev/null; shift; LISTEN_PID=$$; [ -z "$LISTEN_FDS" ] || export LISTEN_PID; exec "$@"';

export function generationCommand(
  command: readonly [string, ...string[]],
  user: RunAs | undefined,
  cgroup: string | undefined,
) {
  const wrap = (words: readonly string[], ids: Partial<RunAs>) => ({
    program: SHELL,
    args: ["-c", EXEC, EXEC_NAME, cgroup ?? "", ...words],
    ids,
  });
  if (user === undefined) return wrap(command, {});
  if (hasSetpriv()) return wrap([...setpriv(user), ...command], {});
  // Deno's spawn keeps the supplementary groups of root.
  if (!("Deno" in globalThis)) return wrap(command, user);
  throw new HostError(
    "Cannot start the app as another user: Deno needs setpriv (util-linux) for that. Install it, or run dewy on Node or Bun",
    { retryable: false },
  );
}

/** Whether a user may enter a directory. This is tried out, because groups, access lists and parents count as well. */
export function canEnter(directory: string, user: RunAs): boolean {
  const enter = [SHELL, "-c", 'cd "$1"', SHELL, directory] as const;
  const { program, args, ids } = generationCommand(enter, user, undefined);
  const options = { cwd: "/", stdio: "ignore", env: helperEnvironment(), ...ids } as const;
  return spawnSync(program, args, options).status === 0;
}

/** https://man7.org/linux/man-pages/man1/setpriv.1.html */
function setpriv({ uid, gid }: RunAs): readonly string[] {
  const groups = isInUserDatabase(uid) ? "--init-groups" : "--clear-groups";
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, groups, "--"];
}

function hasSetpriv(): boolean {
  // busybox's setpriv has no --reuid.
  const { status, stdout } = spawnSync("setpriv", ["--help"], {
    encoding: "utf8",
    env: helperEnvironment(),
  });
  return status === 0 && stdout.includes("--init-groups");
}

function isInUserDatabase(uid: number): boolean {
  const options = { stdio: "ignore", env: helperEnvironment() } as const;
  return spawnSync("getent", ["passwd", String(uid)], options).status === 0;
}

const POLL_MS = 5;
const TIMEOUT_MS = 5_000;

/** Waits until a spawned {@link generationCommand} has become the app's program; returns its exit if it exits first. */
export async function becomesProgram(
  pid: number,
  exited: Promise<GenerationExit>,
): Promise<GenerationExit | undefined> {
  let exit: GenerationExit | undefined;
  const end = exited.then((value) => {
    exit = value;
  });
  for (const deadline = performance.now() + TIMEOUT_MS; performance.now() < deadline; ) {
    const words = commandLine(pid);
    if (exit !== undefined || (words !== undefined && !isWrapper(words))) return exit;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const pause = new Promise<void>((done) => {
      timer = setTimeout(done, POLL_MS);
    });
    await Promise.race([pause, end]).finally(() => clearTimeout(timer));
  }
  return undefined;
}

function isWrapper(words: readonly string[]): boolean {
  return (words[0] === SHELL && words[2] === EXEC) || words[0] === "setpriv";
}

export class NotExecutedError extends HostError {
  override readonly name: string = "NotExecutedError";
  /** Such as `Exec format error`. */
  readonly reason: string;

  constructor(program: string, reason: string) {
    super(`Cannot start "${program}": the system does not execute it (${reason})`);
    this.reason = reason;
  }
}

/**
 * Returns the error if a process exited because the system could not execute its program. The app itself may use the same
 * exit codes, so the messages of the shell or setpriv in the output decide.
 */
export function notExecuted(
  program: string,
  { code }: GenerationExit,
  output: string,
): NotExecutedError | undefined {
  // https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02
  if (code !== 126 && code !== 127) return undefined;
  const line = output.split("\n").find((text) => WRAPPER_MESSAGE.test(text));
  if (line === undefined) return undefined;
  return new NotExecutedError(program, line.split(": ").at(-1)?.trim() ?? "");
}

const WRAPPER_MESSAGE = new RegExp(`^(?:${EXEC_NAME}|setpriv): `);
