import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownCommand } from "../process/own_program.ts";
import { processStartTime } from "../process/processes.ts";
import { commandLine } from "./socket_table.ts";

const HOLDER_MARK = "# dewy: holds the listening sockets";
const HOLDER_NAME = "dewy-holder";

/**
 * Arguments: see holderCommand. `$fifo` gets `up`, then the exit code (or an empty text); a new
 * launcher puts its script at `$next` before it sends SIGUSR2.
 *
 * Standard input becomes the FIFO, because every other descriptor that a POSIX shell can name may
 * be a socket. 101 is a panic of Deno; 132 to 139 are SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
 * SIGKILL and SIGSEGV. HUP and USR1 are ignored until dewy has its own handlers, which a signal on
 * the way must not overtake.
 */
const HOLDER_SCRIPT = `${HOLDER_MARK}
fifo=$1 next=$2; shift 4
[ -z "$fifo" ] || { exec 0>"$fifo"; echo up >&0; }
export DEWY_HOLDER=$$ DEWY_HOLDER_RESTARTS=0
stop= p=$$ pause=0
for s in TERM INT QUIT; do trap "stop=1; [ \\$p = $$ ] || kill -$s \\$p 2>/dev/null" $s; done
for s in HUP USR1; do trap "[ \\$p = $$ ] || kill -$s \\$p 2>/dev/null" $s; done
trap '[ ! -r "$next" ] || { [ $p = $$ ] || { kill -KILL $p; wait $p; } 2>/dev/null; . "$next"; }' USR2
while :; do
  started=$(date +%s)
  (trap '' HUP USR1; exec "$@") </dev/null & p=$!
  wait $p; code=$?
  while kill -0 $p 2>/dev/null; do wait $p; code=$?; done
  wait $p 2>/dev/null; again=$?; [ $again = 127 ] || code=$again
  p=$$
  case $code in 101|13[2-9]) ;; *) break ;; esac
  [ -z "$stop" ] || break
  [ $(($(date +%s) - started)) -lt 60 ] || pause=0
  if [ $pause -gt 0 ]; then sleep $pause </dev/null & p=$!; wait $p; kill $p 2>/dev/null; p=$$; fi
  [ -z "$stop" ] || { code=143; break; }
  pause=$((pause * 2 + 1)); [ $pause -le 30 ] || pause=30
  DEWY_HOLDER_RESTARTS=$((DEWY_HOLDER_RESTARTS + 1))
done
[ -z "$fifo" ] || echo $code >&0
exit $code
`;

/** Arguments: the holder's pid and the FIFO, which also closes when the holder is killed. */
export const WAITER_SCRIPT = `# dewy: waits for the holder of the listening sockets
heard=
for s in TERM INT QUIT HUP USR1; do trap "heard=1; kill -$s $1 2>/dev/null" $s; done
exec 4<>"$2" 3<"$2"
until read -r line <&3; do :; done
exec 4>&-
rm -rf "\${2%/*}"
while :; do
  read -r code <&3 && exit "$code"
  [ -n "$heard" ] || exit 137
  heard=
done
`;

/** The arguments of `/bin/sh`. */
export function holderCommand(
  fifo: string | undefined,
  root: string,
  argv: readonly string[],
): readonly string[] {
  const next = join(tmpdir(), `dewy-${randomUUID()}`);
  const launcher = `${process.pid}:${processStartTime(process.pid) ?? ""}`;
  const own = ownCommand(argv, commandLine());
  return ["-c", HOLDER_SCRIPT, HOLDER_NAME, fifo ?? "", next, launcher, root, ...own];
}

interface Holder {
  /** Where it reads the script of a new launcher. */
  readonly next: string;
  readonly launcher: { readonly pid: number; readonly startTime: string | undefined };
  readonly root: string;
}

export function parseHolder(command: readonly string[]): Holder | undefined {
  if (command[2]?.startsWith(HOLDER_MARK) !== true) return undefined;
  const [next = "", launcher = "", root = ""] = command.slice(5);
  const [pid, startTime] = launcher.split(":");
  return { next, launcher: { pid: Number(pid), startTime }, root };
}
