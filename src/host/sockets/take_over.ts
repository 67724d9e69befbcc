import { spawn, spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { helperEnvironment } from "../process/helper_environment.ts";
import { environmentOf, isRunning } from "../process/processes.ts";
import { holderCommand, parseHolder } from "./holder.ts";
import type { LaunchOptions } from "./launch.ts";
import { type ListenSpec, socketName } from "./listen_spec.ts";
import { processes, socketInode } from "./socket_table.ts";
import {
  becomeWaiter,
  forwardSignals,
  makeFifo,
  removeFifo,
  SHELL,
  waitForHolder,
} from "./waiter.ts";

interface AbandonedHolder {
  readonly pid: number;
  readonly next: string;
  readonly env: ReadonlyMap<string, string>;
}

/** Finds a holder with exactly these sockets whose launcher is dead. */
export function findAbandonedHolder(
  specs: readonly ListenSpec[],
  root: string,
): AbandonedHolder | undefined {
  const wanted = specs.map(socketName).sort().join(";");
  for (const { pid, command } of processes()) {
    const holder = parseHolder(command);
    if (holder === undefined || holder.next === "" || holder.root !== root) continue;
    if (isRunning(holder.launcher.pid, holder.launcher.startTime)) continue;
    const env = environmentOf(pid);
    if (env === undefined || namesOf(env.get("SERVER_STARTER_PORT")) !== wanted) continue;
    return { pid, next: holder.next, env };
  }
  return undefined;
}

function namesOf(sockets = ""): string {
  const names = sockets.split(";").map((socket) => socket.slice(0, socket.lastIndexOf("=")));
  return names.sort().join(";");
}

/**
 * The holder kills its dewy (whose generation keeps serving), adopts the environment, the output
 * and the command line of the new one, and starts it with the sockets that never closed. Returns
 * like `launch()`.
 */
export async function takeOver(holder: AbandonedHolder, options: LaunchOptions): Promise<number> {
  const fifo = makeFifo();
  try {
    if (fifo === undefined) throw new Error("mkfifo is missing");
    rmSync(holder.next, { force: true });
    writeFileSync(holder.next, nextScript(holder, fifo, options), { flag: "wx", mode: 0o600 });
    process.kill(holder.pid, "SIGUSR2");
  } catch (cause) {
    if (fifo !== undefined) removeFifo(fifo);
    throw new HostError(
      `Cannot take over the sockets of process ${holder.pid}, whose dewy was killed: ${messageOf(cause)}. End it with kill ${holder.pid} and start again`,
      { cause },
    );
  }
  forwardSignals(holder.pid);
  becomeWaiter(holder.pid, fifo);
  return waitForHolder(holder.pid, fifo);
}

/** Runs in the holder's own process, so that descriptors and pid stay. It contains secrets. */
function nextScript(holder: AbandonedHolder, fifo: string, options: LaunchOptions): string {
  const env = { ...process.env, SERVER_STARTER_PORT: holder.env.get("SERVER_STARTER_PORT") };
  const gone = [...holder.env.keys()].filter((name) => !(name in env) && isName(name));
  const kept = Object.entries(env).filter(([name]) => isName(name));
  return [
    `rm -f ${quote(holder.next)}`,
    `cd ${quote(process.cwd())} || :`,
    redirection(1, fifo),
    redirection(2, fifo),
    ...gone.map((name) => `unset ${name}`),
    ...kept.map(([name, value]) => `export ${name}=${quote(value ?? "")}`),
    `exec ${[SHELL, ...holderCommand(fifo, options.root, options.argv)].map(quote).join(" ")}`,
    "",
  ].join("\n");
}

/**
 * The holder can open a file, a pipe or a terminal, but not a socket (the journal, a parent on
 * Node). A process that has the socket copies the holder's output to it.
 */
function redirection(fd: 1 | 2, fifo: string): string {
  const target = quote(`/proc/${process.pid}/fd/${fd}`);
  if (socketInode(fd) === undefined)
    return `if (: >>${target}) 2>/dev/null; then exec ${fd}>>${target}; fi`;
  const relay = `${fifo}.${fd}`;
  const env = helperEnvironment();
  const { status } = spawnSync("mkfifo", ["-m", "600", relay], { stdio: "ignore", env });
  if (status !== 0) return ":";
  const relaying = spawn("cat", [relay], { detached: true, stdio: ["ignore", fd, "ignore"], env });
  relaying.once("error", () => {});
  return `exec ${fd}>${quote(relay)}`;
}

function isName(name: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && !SHELL_OWN.has(name);
}

const SHELL_OWN = new Set(["PPID", "OPTIND", "UID", "EUID", "SHELLOPTS", "BASHOPTS"]);

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
