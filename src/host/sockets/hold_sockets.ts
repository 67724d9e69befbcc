/**
 * The listening sockets of `dewy server`: taken over from whoever started dewy, or opened and left to a holder.
 * The process that supervises has descriptors only; it never accepts.
 *
 * @module
 */
import { statSync } from "node:fs";
import { ConfigError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import type { Signals } from "../process/io.ts";
import { keepFromChildren } from "./close_on_exec.ts";
import {
  holderOf,
  type InheritedSocket,
  inheritedSockets,
  RESTARTS_VARIABLE,
  SOCKET_VARIABLES,
} from "./inherited.ts";
import { launch } from "./launch.ts";
import { formatListenSpec, type ListenSpec } from "./listen_spec.ts";
import { serves, socketName } from "./socket_name.ts";
import { listeningSockets, socketInode } from "./socket_table.ts";
import { findAbandonedHolder, takeOver } from "./take_over.ts";
import { removeUnixPath } from "./unix_path.ts";
import { endWithHolder } from "./watch_holder.ts";

/** A listening socket that can be handed to a child. */
export interface HeldSocket {
  /** As `SERVER_STARTER_PORT` names it: `8080`, `127.0.0.1:8080`, `[::]:8080`, `/run/app.sock`. */
  readonly name: string;
  /** Its descriptor in this process, and in every generation. */
  readonly fd: number;
  /** Whether systemd or a server-starter opened it. */
  readonly inherited: boolean;
}

/** The sockets of this process. */
export interface SocketHolder {
  readonly sockets: readonly HeldSocket[];
  /** The orderly end: removes the paths of unix sockets that dewy made. The ports close with the process. */
  close(): Promise<void>;
}

/** Either this is the process that supervises, or it was the launcher, and what it launched has ended. */
export type Held = { kind: "held"; holder: SocketHolder } | { kind: "ended"; exitCode: number };

/** What {@link holdSockets} needs of the process. */
export interface HoldOptions {
  env: Readonly<Record<string, string | undefined>>;
  emit: EventSink;
  signals: Signals;
  /** dewy's arguments, without the runtime and the script. */
  argv: readonly string[];
  /** The working directory of dewy: only a dewy of the same directory may take its sockets over. The process's own unless told. */
  root?: string;
}

/**
 * Gets the listening sockets: first those that systemd (`LISTEN_FDS`) or a server-starter (`SERVER_STARTER_PORT`)
 * has opened, then those that are missing. Those of a dewy whose launcher was killed are taken over. To open one, this process becomes a launcher: see `holder_script.ts`.
 *
 * @param specs where to listen; none: whatever was inherited.
 * @param options the process.
 * @returns the sockets, in the order of their descriptors, or the exit code to end with.
 * @throws ConfigError when a socket was inherited that nobody asked for; HostError when one cannot be opened.
 */
export async function holdSockets(
  specs: readonly ListenSpec[],
  options: HoldOptions,
): Promise<Held> {
  const { argv, signals, root = process.cwd() } = options;
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
      message: `dewy was killed and has been started again (${restarts} so far); the sockets stayed open`,
      important: true,
    });
  }
  return { kind: "held", holder: hold(inherited.filter(isNamed), false, options.emit) };
}

type Named = InheritedSocket & { readonly name: string };

function isNamed(socket: InheritedSocket): socket is Named {
  return socket.name !== undefined;
}

/** By address where it is known; else the first that is left over, in the order given. */
function match(
  specs: readonly ListenSpec[],
  inherited: readonly InheritedSocket[],
): { matched: readonly Named[]; missing: readonly ListenSpec[] } {
  if (specs.length === 0) return { matched: inherited.map(withName), missing: [] };
  const rest = new Set(inherited);
  const matched: Named[] = [];
  const missing: ListenSpec[] = [];
  for (const spec of specs) {
    const socket = [...rest].find(({ address }) => address === undefined || serves(spec, address));
    if (socket === undefined) {
      missing.push(spec);
    } else {
      rest.delete(socket);
      matched.push({ ...socket, name: socketName(spec) });
    }
  }
  const [stranger] = rest;
  if (stranger !== undefined) {
    const asked = specs.map((spec) => formatListenSpec(spec)).join(",");
    throw new ConfigError(
      `Cannot use the inherited socket ${withName(stranger).name}: --port ${asked} does not name it. Add it to --port, or leave --port out to take all`,
    );
  }
  return { matched, missing };
}

function withName(socket: InheritedSocket): Named {
  const { address, fd } = socket;
  const name = socket.name ?? (address === undefined ? `fd${fd}` : shortName(address));
  return { ...socket, name };
}

/** `8080` rather than `[::]:8080`, as people write it. */
function shortName(address: ListenSpec): string {
  const isAny = address.kind === "tcp" && (address.host === "::" || address.host === "0.0.0.0");
  return socketName(isAny ? { ...address, host: undefined } : address);
}

function hold(sockets: readonly Named[], areInherited: boolean, emit: EventSink): SocketHolder {
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
  const made = paths.map((path) => ({ path, inode: inodeOfPath(path) }));
  return {
    // Generations get them from descriptor 3 on: the fewer change their number, the better (close_on_exec.ts).
    sockets: sockets
      .map(({ name, fd }) => ({ name, fd, inherited: areInherited }))
      .sort((a, b) => a.fd - b.fd),
    close: async () => {
      for (const { path, inode } of made) await removeUnixPath(path, inode);
    },
  };
}

function inodeOfPath(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
