import { spawnSync } from "node:child_process";
import { HostError } from "../../core/error.ts";

/** A user and a group, by number. */
export interface RunAs {
  uid: number;
  gid: number;
}

/** What is really spawned. */
export interface GenerationCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** For `spawn`, where no tool of the system changes the user. */
  readonly ids: Partial<RunAs>;
}

const SHELL = "/bin/sh";
/** What the shell calls itself when it cannot execute the app. */
export const EXEC_NAME = "dewy-exec";
/** The first word is a control group to join, or empty. `LISTEN_PID` is the pid of the app, and `exec` keeps it. */
const EXEC =
  '{ [ -z "$1" ] || echo $$ >"$1/cgroup.procs"; } 2>/dev/null; shift; LISTEN_PID=$$; [ -z "$LISTEN_FDS" ] || export LISTEN_PID; exec "$@"';

/**
 * Wraps the app's command line in what has to happen in its own process before it.
 *
 * @param command the program and its arguments.
 * @param user who it runs as; this process's user unless told.
 * @param cgroup the directory of a control group that it is to join, if it may.
 * @returns what to spawn.
 * @throws HostError when this runtime and system cannot change the user.
 */
export function generationCommand(
  command: readonly [string, ...string[]],
  user: RunAs | undefined,
  cgroup: string | undefined,
): GenerationCommand {
  const wrap = (words: readonly string[], ids: Partial<RunAs>): GenerationCommand => ({
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

/**
 * Whether a user may enter a directory: groups, access lists and the directories above it count as well, so it is tried.
 *
 * @param directory the absolute path.
 * @param user the user.
 * @returns `false` if not.
 * @throws HostError when this runtime and system cannot change the user.
 */
export function canEnter(directory: string, user: RunAs): boolean {
  const enter = [SHELL, "-c", 'cd "$1"', SHELL, directory] as const;
  const { program, args, ids } = generationCommand(enter, user, undefined);
  return spawnSync(program, args, { cwd: "/", stdio: "ignore", ...ids }).status === 0;
}

/** https://man7.org/linux/man-pages/man1/setpriv.1.html */
function setpriv({ uid, gid }: RunAs): readonly string[] {
  const groups = isInUserDatabase(uid) ? "--init-groups" : "--clear-groups";
  return ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, groups, "--"];
}

function hasSetpriv(): boolean {
  // That of busybox knows no --reuid.
  const { status, stdout } = spawnSync("setpriv", ["--help"], { encoding: "utf8" });
  return status === 0 && stdout.includes("--init-groups");
}

function isInUserDatabase(uid: number): boolean {
  return spawnSync("getent", ["passwd", String(uid)], { stdio: "ignore" }).status === 0;
}

/**
 * Whether a command line is still what {@link generationCommand} made, on its way to the app's own.
 *
 * @param words the command line of a process.
 * @returns true until the app itself is executed.
 */
export function isOnItsWay(words: readonly string[]): boolean {
  return (words[0] === SHELL && words[2] === EXEC) || words[0] === "setpriv";
}
