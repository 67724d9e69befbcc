/**
 * Who holds the listening sockets when dewy opened them itself.
 *
 * ```text
 * dewy server …          the launcher: opens the sockets, never accepts. It is what systemd, a shell or a container
 *  │                     knows as dewy: forwards signals, ends with dewy's exit code. Where the runtime can replace
 *  │                     its process image (Bun, Deno, Node 22.15 and newer) it becomes a shell of under 2 MB;
 *  │                     on Node 20 it stays, idle.
 *  └─ sh (holder)        has the sockets; starts dewy proper, and starts it again when it was killed
 *      └─ dewy server …  inherits them (SERVER_STARTER_PORT), hands them to generations; never accepts either
 *          └─ app        a process group of its own
 * ```
 *
 * When the launcher itself was killed, holder and dewy go on, and the next `dewy server` of the same directory and
 * ports becomes the launcher: see `take_over.ts`. When the holder was killed, the launcher ends with 137
 * and dewy with it; the app serves on until the next dewy finds it.
 *
 * The holder is a session of its own, so that a Ctrl-C reaches dewy once, through the launcher.
 * It starts dewy again only when a signal nobody sends on purpose has ended it (SIGKILL, a crash of the runtime):
 * an exit code is dewy's own word, and becomes the launcher's. The first restart comes at once, the next ones after
 * 1, 3, 7, 15, 30 s; a minute of life sets that back.
 *
 * @module
 */

/** The comment that tells a holder from other shells. */
export const HOLDER_MARK = "# dewy: holds the listening sockets";

/** What a holder is called in its command line, after the script. */
export const HOLDER_NAME = "dewy-holder";

/**
 * Arguments: a FIFO that hears `up` and the exit code (or an empty text), a path where a new launcher may put a script
 * before it sends SIGUSR2, the launcher's pid and start time, the working directory of dewy, and dewy's command line.
 * Standard input becomes the FIFO, because every other descriptor that a POSIX shell can name may be a socket.
 *
 * 101 is a panic of Deno; 132 to 139 are SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL and SIGSEGV.
 * HUP and USR1 are ignored until dewy has its own handlers, which a signal on the way must not overtake.
 */
export const HOLDER_SCRIPT: string = `${HOLDER_MARK}
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

/**
 * What the launcher becomes. Arguments: the holder's pid and the FIFO, which closes when the holder dies without a word.
 */
export const WAITER_SCRIPT: string = `# dewy: waits for the holder of the listening sockets
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
