import { readFileSync, readlinkSync } from "node:fs";
import { namesIn, pids, tryRead } from "../process/processes.ts";
import type { ListenSpec } from "./listen_spec.ts";

const TCP_LISTEN = "0A";
/** `__SO_ACCEPTCON`: listen() was called. */
const UNIX_LISTENS = 0x10000;

/** By inode; `undefined` without `/proc`: https://man7.org/linux/man-pages/man5/proc_pid_net.5.html */
export function listeningSockets(): ReadonlyMap<string, ListenSpec> | undefined {
  const tables = ["tcp", "tcp6", "unix"].map((name) => [name, lines(`/proc/net/${name}`)] as const);
  if (tables.every(([, rows]) => rows.length === 0)) return undefined;
  const found = new Map<string, ListenSpec>();
  for (const [name, rows] of tables) {
    for (const row of rows) {
      const [inode, address] = name === "unix" ? unixRow(row) : tcpRow(row);
      if (inode !== undefined && address !== undefined) found.set(inode, address);
    }
  }
  return found;
}

type Row = readonly [inode: string | undefined, address: ListenSpec | undefined];

function tcpRow(row: string): Row {
  const [, local = "", , state, , , , , , inode] = row.trim().split(/\s+/);
  if (state !== TCP_LISTEN) return [undefined, undefined];
  const [host = "", port = ""] = local.split(":");
  return [inode, { kind: "tcp", host: hostOf(host), port: Number.parseInt(port, 16) }];
}

function unixRow(row: string): Row {
  const [, , , flags = "", , , inode, ...path] = row.trim().split(/\s+/);
  if ((Number.parseInt(flags, 16) & UNIX_LISTENS) === 0) return [undefined, undefined];
  return [inode, { kind: "unix", path: path.join(" ") }];
}

/** Words of 32 bits in the machine's byte order, little-endian on every platform of dewy. */
function hostOf(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) =>
    (word.match(/../g) ?? []).reverse().map((byte) => Number.parseInt(byte, 16)),
  );
  if (bytes.length === 4) return bytes.join(".");
  const groups: string[] = [];
  for (let i = 0; i < bytes.length; i += 2) {
    groups.push((((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)).toString(16));
  }
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

function lines(path: string): readonly string[] {
  const text = tryRead(() => readFileSync(path, "utf8")) ?? "";
  return text.split("\n").slice(1).filter(Boolean);
}

/** `undefined` if the descriptor is not a socket or the system does not say. */
export function socketInode(fd: number | string, pid?: number): string | undefined {
  const target = tryRead(() => readlinkSync(`/proc/${pid ?? "self"}/fd/${fd}`)) ?? "";
  return /^socket:\[(\d+)\]$/.exec(target)?.[1];
}

export function socketLink(inode: string): string {
  return `socket:[${inode}]`;
}

export interface SocketOwner {
  readonly pid: number;
  readonly command: readonly string[];
}

/** As far as this user may see them. */
export function ownersOfPort(port: number): readonly SocketOwner[] {
  const inodes = new Set<string>();
  for (const [inode, address] of listeningSockets() ?? []) {
    if (address.kind === "tcp" && address.port === port) inodes.add(inode);
  }
  return inodes.size === 0 ? [] : processes().filter(({ pid }) => hasSocket(pid, inodes));
}

export function processes(): readonly SocketOwner[] {
  return pids().map((pid) => ({ pid, command: commandLine(pid) ?? [] }));
}

function hasSocket(pid: number, inodes: ReadonlySet<string>): boolean {
  return namesIn(`/proc/${pid}/fd`).some((fd) => {
    const inode = socketInode(fd, pid);
    return inode !== undefined && inodes.has(inode);
  });
}

export function commandLine(pid: number | "self" = "self"): readonly string[] | undefined {
  const text = tryRead(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  return text ? text.replace(/\0$/, "").split("\0") : undefined;
}
