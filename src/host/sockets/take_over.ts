/**
 * A launcher that was killed leaves a holder and a dewy that go on. The next launcher of the same directory and ports
 * takes both over: the holder ends that dewy (its generation serves on), takes the environment, the output and the
 * command line of the new one, and starts it with the sockets that never closed.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { environmentOf, isRunning } from "../process/processes.ts";
import { HOLDER_LAUNCHER, HOLDER_NEXT, HOLDER_ROOT, isHolder } from "./holder_command.ts";
import { holderCommand, type LaunchOptions } from "./launch.ts";
import type { ListenSpec } from "./listen_spec.ts";
import { socketName } from "./socket_name.ts";
import { processes, socketInode } from "./socket_table.ts";
import {
  becomeWaiter,
  forwardSignals,
  makeFifo,
  removeFifo,
  SHELL,
  waitForHolder,
} from "./waiter.ts";

/** A holder whose launcher has died. */
export interface AbandonedHolder {
  readonly pid: number;
  /** Where it reads what to become. */
  readonly next: string;
  /** Its environment. */
  readonly env: ReadonlyMap<string, string>;
}

/**
 * Looks for a holder that has exactly the wanted sockets, belongs to the same directory, and whose launcher is dead.
 *
 * @param specs the wanted sockets.
 * @param root the working directory of dewy.
 * @returns the holder; `undefined` when there is none, or the system does not tell.
 */
export function findAbandonedHolder(
  specs: readonly ListenSpec[],
  root: string,
): AbandonedHolder | undefined {
  const wanted = specs.map(socketName).sort().join(";");
  for (const process of processes().filter(isHolder)) {
    const { pid, command } = process;
    const env = environmentOf(pid);
    const next = command[HOLDER_NEXT] ?? "";
    const [launcher, startTime] = (command[HOLDER_LAUNCHER] ?? "").split(":");
    if (env === undefined || next === "" || command[HOLDER_ROOT] !== root) continue;
    if (isRunning(Number(launcher), startTime)) continue;
    if (namesOf(env.get("SERVER_STARTER_PORT")) === wanted) return { pid, next, env };
  }
  return undefined;
}

function namesOf(sockets = ""): string {
  const names = sockets.split(";").map((socket) => socket.slice(0, socket.lastIndexOf("=")));
  return names.sort().join(";");
}

/**
 * Becomes the launcher of an abandoned holder.
 *
 * @param holder from {@link findAbandonedHolder}.
 * @param options the process.
 * @returns dewy's exit code; on runtimes that can replace their process it never returns.
 * @throws HostError when the holder cannot be reached.
 */
export async function takeOver(holder: AbandonedHolder, options: LaunchOptions): Promise<number> {
  const fifo = makeFifo();
  try {
    if (fifo === undefined) throw new Error("there is no mkfifo");
    rmSync(holder.next, { force: true });
    writeFileSync(holder.next, nextScript(holder, fifo, options), { flag: "wx", mode: 0o600 });
    process.kill(holder.pid, "SIGUSR2");
  } catch (cause) {
    if (fifo !== undefined) removeFifo(fifo);
    const reason = messageOf(cause);
    throw new HostError(
      `Cannot take over the sockets of process ${holder.pid}, whose dewy was killed: ${reason}. End it with kill ${holder.pid} and start again`,
      { cause },
    );
  }
  forwardSignals(holder.pid);
  becomeWaiter(holder.pid, fifo);
  return waitForHolder(holder.pid, fifo);
}

/** The holder reads this in its own process, so that descriptors and pid stay. It has secrets in it, and is removed first. */
function nextScript(holder: AbandonedHolder, fifo: string, options: LaunchOptions): string {
  const sockets = holder.env.get("SERVER_STARTER_PORT") ?? "";
  const env = { ...process.env, SERVER_STARTER_PORT: sockets };
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
 * A file, pipe or terminal can be opened by the holder as well. A socket (the journal, a parent on Node) cannot: a
 * process that has it copies what the holder writes.
 */
function redirection(fd: 1 | 2, fifo: string): string {
  const target = quote(`/proc/${process.pid}/fd/${fd}`);
  if (!isSocket(fd)) return `if (: >>${target}) 2>/dev/null; then exec ${fd}>>${target}; fi`;
  const relay = `${fifo}.${fd}`;
  if (spawnSync("mkfifo", ["-m", "600", relay], { stdio: "ignore" }).status !== 0) return ":";
  spawn("cat", [relay], { detached: true, stdio: ["ignore", fd, "ignore"] }).once(
    "error",
    () => {},
  );
  return `exec ${fd}>${quote(relay)}`;
}

function isSocket(fd: number): boolean {
  return socketInode(fd) !== undefined;
}

function isName(name: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && !SHELL_OWN.has(name);
}

const SHELL_OWN = new Set(["PPID", "OPTIND", "UID", "EUID", "SHELLOPTS", "BASHOPTS"]);

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
