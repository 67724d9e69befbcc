import { statSync } from "node:fs";
import type { Context } from "../../core/context.ts";
import { ConfigError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { isRunning, processStartTime } from "../process/processes.ts";
import { keepFromChildren } from "./close_on_exec.ts";
import {
  holderOf,
  type InheritedSocket,
  inheritedSockets,
  type NamedSocket,
  RESTARTS_VARIABLE,
  SOCKET_VARIABLES,
} from "./inherited.ts";
import { type LaunchOptions, launch } from "./launch.ts";
import { formatListenSpec, type ListenSpec, serves, socketName } from "./listen_spec.ts";
import { removeUnixPath } from "./listeners.ts";
import { listeningSockets, socketInode } from "./socket_table.ts";
import { findAbandonedHolder, takeOver } from "./take_over.ts";

const HOLDER_CHECK_MS = 1_000;

export interface HeldSocket extends NamedSocket {
  /** Whether systemd or a server-starter opened it. */
  readonly inherited: boolean;
}

interface SocketHolder {
  readonly sockets: readonly HeldSocket[];
  /** Removes the paths of unix sockets. The ports close with the process. */
  close(): Promise<void>;
}

/** `ended`: this process was the launcher, and the dewy that it launched has exited. */
type HoldResult = { kind: "held"; holder: SocketHolder } | { kind: "ended"; exitCode: number };

interface HoldOptions extends Pick<Context, "env" | "emit">, LaunchOptions {}

/**
 * Gets the inherited sockets of systemd or a server-starter, and the missing ones of `specs`. To
 * open a socket, this process becomes a launcher, of a new holder or of one whose launcher was
 * killed: see README.md.
 */
export async function holdSockets(
  specs: readonly ListenSpec[],
  options: HoldOptions,
): Promise<HoldResult> {
  const { argv, signals, root } = options;
  const holder = holderOf(options.env);
  const inherited = inheritedSockets(options.env);
  const restarts = Number(options.env[RESTARTS_VARIABLE] ?? 0);
  for (const name of SOCKET_VARIABLES) delete process.env[name];
  if (holder === undefined) {
    const { matched, missing } = match(specs, inherited);
    if (missing.length > 0) {
      const abandoned = matched.length === 0 ? findAbandonedHolder(specs, root) : undefined;
      if (abandoned !== undefined) {
        return { kind: "ended", exitCode: await takeOver(abandoned, { argv, root, signals }) };
      }
      return { kind: "ended", exitCode: await launch(missing, matched, { argv, root, signals }) };
    }
    return { kind: "held", holder: hold(matched, true, options.emit) };
  }
  endWithHolder(holder);
  if (restarts > 0) {
    options.emit({
      type: "warning",
      message: `dewy was killed and restarted (${restarts} so far); the sockets stayed open`,
      important: true,
    });
  }
  return { kind: "held", holder: hold(inherited.map(withName), false, options.emit) };
}

/** The launcher exits too, and its supervisor may start a dewy that finds the generation. */
function endWithHolder(holder: number): void {
  const startTime = processStartTime(holder);
  setInterval(() => {
    if (!isRunning(holder, startTime)) process.kill(process.pid, "SIGKILL");
  }, HOLDER_CHECK_MS).unref();
}

/** By address where it is known, otherwise in the order given. */
function match(
  specs: readonly ListenSpec[],
  inherited: readonly InheritedSocket[],
): { matched: readonly NamedSocket[]; missing: readonly ListenSpec[] } {
  if (specs.length === 0) return { matched: inherited.map(withName), missing: [] };
  const rest = new Set(inherited);
  const matched: NamedSocket[] = [];
  const missing: ListenSpec[] = [];
  for (const spec of specs) {
    const socket = [...rest].find(({ address }) => address === undefined || serves(spec, address));
    if (socket === undefined) {
      missing.push(spec);
    } else {
      rest.delete(socket);
      matched.push({ fd: socket.fd, name: socketName(spec) });
    }
  }
  const [extra] = rest;
  if (extra !== undefined) {
    const asked = specs.map((spec) => formatListenSpec(spec)).join(",");
    throw new ConfigError(
      `Cannot use the inherited socket ${withName(extra).name}: --port ${asked} does not include it. Add it to --port, or omit --port to use all inherited sockets`,
    );
  }
  return { matched, missing };
}

function withName({ name, fd, address }: InheritedSocket): NamedSocket {
  return { fd, name: name ?? (address === undefined ? `fd${fd}` : shortName(address)) };
}

/** `8080` rather than `[::]:8080`. */
function shortName(address: ListenSpec): string {
  const isAny = address.kind === "tcp" && (address.host === "::" || address.host === "0.0.0.0");
  return socketName(isAny ? { ...address, host: undefined } : address);
}

function hold(
  sockets: readonly NamedSocket[],
  areInherited: boolean,
  emit: EventSink,
): SocketHolder {
  const table = listeningSockets();
  for (const { fd, name } of sockets) {
    const inode = socketInode(fd);
    if (table === undefined || (inode !== undefined && table.has(inode))) continue;
    emit({
      type: "warning",
      message: `Descriptor ${fd} (${name}) does not look like a listening socket of this network namespace; an app that cannot accept on it needs --handoff proxy`,
      important: true,
    });
  }
  if (!keepFromChildren(sockets.map(({ fd }) => fd))) {
    emit({
      type: "warning",
      message:
        "Hooks and other commands inherit the listening sockets: Deno needs --allow-ffi (or -A) to keep them away",
      important: true,
    });
  }
  const paths = areInherited ? [] : sockets.map(({ name }) => name).filter((n) => n.includes("/"));
  const made = paths.map((path) => [path, statSync(path, { throwIfNoEntry: false })?.ino] as const);
  return {
    // Generations get them from 3 on; those that keep their number need no copy (close_on_exec.ts).
    sockets: sockets
      .map(({ name, fd }) => ({ name, fd, inherited: areInherited }))
      .sort((a, b) => a.fd - b.fd),
    close: async () => {
      for (const [path, inode] of made) await removeUnixPath(path, inode);
    },
  };
}
