/**
 * The receiving end of `sd_notify`: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html. It is a
 * unix datagram socket, which Node cannot open at all and Deno and Bun only in ways of their own; so a few lines of Perl
 * listen, which every Debian and most other systems have.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { MAX_PATH_BYTES } from "../../host/sockets/listen_spec.ts";

/** A socket that hears whether an app is ready. */
export interface NotifySocket {
  /** For the app's `NOTIFY_SOCKET`. */
  readonly path: string;
  /** Resolves at the first `READY=1`; else never. */
  readonly ready: Promise<void>;
  /** Ends it; calling it twice does no harm. */
  close(): void;
}

/**
 * Says `up` when it listens and `ready` at the first `READY=1`, and goes on: systemd-notify, for one, fails when nobody
 * takes the barrier it sends afterwards. It ends with dewy, too, whose end of standard input closes.
 */
const LISTENER = `
use Socket; $| = 1; umask 0;
socket(S, AF_UNIX, SOCK_DGRAM, 0) && bind(S, sockaddr_un($ARGV[0])) or exit 1;
print "up\\n";
my $both = ""; vec($both, fileno(S), 1) = 1; vec($both, 0, 1) = 1;
while (select(my $some = $both, undef, undef, undef) > 0) {
  exit if vec($some, 0, 1);
  recv(S, my $message, 65536, 0);
  print "ready\\n" if $message =~ /^READY=1$/m and !$said++;
}`;
const PATIENCE_MS = 2_000;

/**
 * Opens one.
 *
 * @param directory where its path is made; whoever is to write to it must be able to reach that.
 * @returns the socket, once it listens; `undefined` where it cannot be had: no Perl, or a path too long for a socket.
 */
export async function openNotifySocket(directory: string): Promise<NotifySocket | undefined> {
  const path = join(directory, `notify-${randomUUID()}`);
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return undefined;
  const listener = spawn("perl", ["-e", LISTENER, path], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
  });
  const close = (): void => {
    listener.kill("SIGKILL");
    rmSync(path, { force: true });
  };
  const { up, ready } = hear(listener);
  if (await up) return { path, ready, close };
  close();
  return undefined;
}

function hear(listener: ChildProcess): { up: Promise<boolean>; ready: Promise<void> } {
  let heard = "";
  let onReady = (): void => {};
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  const up = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), PATIENCE_MS);
    const say = (isUp: boolean): void => {
      clearTimeout(timer);
      resolve(isUp);
    };
    listener.stdout?.on("data", (chunk: Uint8Array) => {
      heard += new TextDecoder().decode(chunk);
      if (heard.startsWith("up\n")) say(true);
      if (heard.endsWith("ready\n")) onReady();
    });
    listener.once("error", () => say(false));
    listener.once("exit", () => say(false));
    listener.stdin?.on("error", () => {});
  });
  return { up, ready };
}
