import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { helperEnvironment } from "../../host/process/helper_environment.ts";
import { MAX_PATH_BYTES } from "../../host/sockets/listen_spec.ts";

/**
 * The receiving end of `sd_notify`: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html. It is a unix
 * datagram socket, which Node cannot open, and Deno and Bun only with their own APIs. A short Perl program listens
 * instead; Debian and most other systems have Perl.
 */
export interface NotifySocket {
  readonly path: string;
  /** Resolves at the first `READY=1`; otherwise never. */
  readonly ready: Promise<void>;
  close(): void;
}

/**
 * Prints `up` when it listens and `ready` at the first `READY=1`. It keeps receiving, because systemd-notify fails if its
 * subsequent barrier is not received. It exits when dewy does and its standard input closes.
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
const START_TIMEOUT_MS = 2_000;

/**
 * Opens a socket and waits until it listens. Returns `undefined` without Perl, or if the path is too long.
 *
 * @param directory must be accessible to the user of the app.
 */
export async function openNotifySocket(directory: string): Promise<NotifySocket | undefined> {
  const path = join(directory, `notify-${randomUUID()}`);
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return undefined;
  const listener = spawn("perl", ["-e", LISTENER, path], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
    env: helperEnvironment(),
  });
  const close = (): void => {
    listener.kill("SIGKILL");
    rmSync(path, { force: true });
  };
  const { up, ready } = receive(listener);
  if (await up) return { path, ready, close };
  close();
  return undefined;
}

function receive(listener: ChildProcess): { up: Promise<boolean>; ready: Promise<void> } {
  let output = "";
  let onReady = (): void => {};
  const ready = new Promise<void>((resolve) => {
    onReady = resolve;
  });
  const up = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), START_TIMEOUT_MS);
    const settle = (isUp: boolean): void => {
      clearTimeout(timer);
      resolve(isUp);
    };
    listener.stdout?.on("data", (chunk: Uint8Array) => {
      output += new TextDecoder().decode(chunk);
      if (output.startsWith("up\n")) settle(true);
      if (output.endsWith("ready\n")) onReady();
    });
    listener.once("error", () => settle(false));
    listener.once("exit", () => settle(false));
    listener.stdin?.on("error", () => {});
  });
  return { up, ready };
}
