/**
 * A lock file that one dewy at a time holds. A lock whose holder is gone is taken over under a claim: a file that only
 * one starter can create, named after the content that it is about to replace. So nobody ever replaces or removes the
 * lock of a process that lives, however many start at once.
 *
 * @module
 */
import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, link, lstat, readdir, rename, rm } from "node:fs/promises";
import { hostname, uptime } from "node:os";
import { basename, dirname, join } from "node:path";
import { AbortedError, ConfigError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import {
  createFile,
  hostError,
  openOwnFile,
  systemCode,
  temporaryPath,
} from "../files/atomic_file.ts";
import { ownDirectory } from "../files/own_directory.ts";
import { bootId, isRunning, pidNamespace, processStartTime } from "./identity.ts";
import { steadyClock } from "./steady_clock.ts";

/** The process that holds a lock, as the file states it. */
interface Holder {
  pid: number;
  startTime?: string;
  host: string;
  /** Which start of the kernel, and which PID namespace, the pid belongs to. */
  boot?: string;
  pids?: string;
  command: string;
  since: string;
  /** Makes the content of every lock unique. */
  id?: string;
}

/** Options of {@link acquireLock}. */
export interface LockOptions {
  /** Receives warnings: of a long wait, and of a lock that was lost. Defaults to none. */
  emit?: EventSink;
  /** Ends the wait. */
  signal?: AbortSignal;
}

/** A lock that is held. */
export interface Lock {
  /** Gives the lock back. Calling it again has no effect. */
  release(): Promise<void>;
}

/** How often the holder touches the file. */
const HEARTBEAT_MS = 10_000;
/** A holder on this kernel whose process cannot be seen from here is gone after three missed heartbeats. */
const SILENT_MS = 3 * HEARTBEAT_MS;
/** Clocks of two machines differ, and network file systems show changes late. */
const FOREIGN_STALE_MS = 2 * 60_000;
const CONTENTION_MS = 60_000;
const LOOK_MS = 20;
const LONGEST_LOOK_MS = 500;

/**
 * Takes a lock file. A lock whose holder is gone is taken over.
 *
 * A holder in the same PID namespace is alive if its process runs. Of any other holder only the heartbeat is known: one
 * on this kernel (in another container, say) is watched for up to 30 s, one on another machine counts as alive until its
 * file is two minutes old.
 *
 * @param path the lock file; its directory is made if it is missing.
 * @param command what this process is doing, for the error of the next one.
 * @param options who is warned, and what ends the wait.
 * @returns the lock.
 * @throws ConfigError with the code `locked` that names the holder; HostError if the file cannot be made.
 */
export async function acquireLock(
  path: string,
  command: string,
  options: LockOptions = {},
): Promise<Lock> {
  const text = JSON.stringify(describeSelf(command));
  try {
    const at = join(await ownDirectory(dirname(path), 0o755), basename(path));
    const own = temporaryPath(at);
    const file = await createFile(own, 0o644);
    try {
      await file.writeFile(text);
      await take(at, own, options);
    } catch (error) {
      await file.close();
      throw error;
    } finally {
      await rm(own, { force: true }).catch(() => {});
    }
    await removeLeftovers(at);
    return hold(at, text, file, options);
  } catch (error) {
    if (options.signal?.aborted === true) {
      throw new AbortedError(`Stopped: lock ${path}`, { cause: error });
    }
    throw hostError(`lock ${path}`, error);
  }
}

function describeSelf(command: string): Holder {
  const known = { startTime: processStartTime(process.pid), boot: bootId(), pids: pidNamespace() };
  return {
    pid: process.pid,
    host: hostname(),
    ...Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)),
    command,
    since: new Date().toISOString(),
    id: randomUUID(),
  };
}

async function take(path: string, own: string, { emit, signal }: LockOptions): Promise<void> {
  const startedAt = steadyClock.now();
  let silent: { text: string; touchedAt: number; since: number } | undefined;
  for (let pauseMs = LOOK_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_LOOK_MS)) {
    if (await appears(path, own)) return;
    const there = await look(path);
    const now = steadyClock.now();
    if (there?.liveness === "silent") {
      const { text, touchedAt } = there;
      if (silent?.text !== text) {
        silent = { text, touchedAt, since: now };
        emit?.({ type: "warning", message: WATCHING, fields: { path, holder: nameOf(there) } });
      }
      if (silent.touchedAt !== touchedAt) there.liveness = "alive";
      else if (now - silent.since >= SILENT_MS) there.liveness = "gone";
    }
    if (there?.liveness === "alive") throw isTaken(path, there);
    if (there?.liveness === "gone" && (await replace(path, there.text, own))) return;
    if (now - startedAt >= CONTENTION_MS) {
      throw new ConfigError(`Cannot lock ${path}: the lock is contended; try again`, {
        code: "locked",
      });
    }
    await steadyClock.sleep(pauseMs * (0.5 + Math.random() / 2), signal);
  }
}

const WATCHING = "The directory was in use by a dewy that may be gone; waiting for a sign of life";

/** A link makes the whole file appear under the name, or fails: no reader sees half of it. */
async function appears(path: string, own: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    // A network file system can report that of a link which it has made, when the first answer was lost.
    const [there, ours] = await Promise.all([path, own].map((name) => lstat(name).catch(() => {})));
    return there !== undefined && there.ino === ours?.ino && there.dev === ours.dev;
  }
}

/**
 * Replaces a file whose process is gone, if it still has that content. Only one process can hold the claim, so the
 * content cannot change between the look and the rename.
 */
async function replace(path: string, stale: string, own: string): Promise<boolean> {
  const claim = claimPath(path, stale);
  if (!(await appears(claim, own))) {
    const there = await look(claim);
    if (there?.liveness !== "gone") return false;
    if (!(await replace(claim, there.text, own))) return false;
  }
  try {
    if ((await look(path))?.text !== stale) return false;
    const next = temporaryPath(path);
    await link(own, next);
    await rename(next, path);
    return true;
  } finally {
    await rm(claim, { force: true });
  }
}

/**
 * The file that a starter creates before it replaces a lock.
 *
 * @param path the lock file.
 * @param stale the content that is to be replaced.
 * @returns a path beside it.
 */
export function claimPath(path: string, stale: string): string {
  return `${path}.${createHash("sha256").update(stale).digest("hex").slice(0, 16)}.claim`;
}

/** What starters that were killed have left: claims to a lock that is ours by now mean nothing any more. */
async function removeLeftovers(path: string): Promise<void> {
  const directory = dirname(path);
  const leftover = /^(?:\.[0-9a-f]{16}\.(?:tmp|claim))+$/;
  for (const name of await readdir(directory)) {
    if (!name.startsWith(basename(path)) || !leftover.test(name.slice(basename(path).length)))
      continue;
    const there = await look(join(directory, name));
    // One that is being written has no holder yet.
    const isOld = there?.holder !== undefined || Date.now() - (there?.touchedAt ?? 0) > SILENT_MS;
    if (there?.liveness === "gone" && isOld) await rm(join(directory, name), { force: true });
  }
}

/** The heartbeat goes through the open file: whatever has the name by then, it touches no other lock. */
function hold(path: string, text: string, file: FileHandle, { emit }: LockOptions): Lock {
  let isLost = false;
  const beat = async (): Promise<void> => {
    const now = new Date();
    await file.utimes(now, now);
    if ((await look(path))?.text === text || isLost) return;
    isLost = true;
    emit?.({ type: "warning", important: true, message: LOST, fields: { path } });
  };
  const heartbeat = setInterval(() => void beat().catch(() => {}), HEARTBEAT_MS);
  heartbeat.unref();
  let isReleased = false;
  return {
    release: async () => {
      if (isReleased) return;
      isReleased = true;
      clearInterval(heartbeat);
      if ((await look(path).catch(() => undefined))?.text === text) {
        await rm(path, { force: true }).catch(() => {});
      }
      await file.close();
    },
  };
}

const LOST =
  "The lock was removed or taken by another process; two dewys may use this directory now";

/**
 * Finds the holder of a lock.
 *
 * @param path the lock file.
 * @returns such as `dewy server (pid 7 on web1)`; `undefined` if the lock is free.
 * @throws HostError when the file cannot be read.
 */
export async function lockHolder(path: string): Promise<string | undefined> {
  try {
    const there = await look(path);
    return there === undefined || there.liveness === "gone" ? undefined : nameOf(there);
  } catch (error) {
    if (systemCode(error) === "ENOTDIR") return undefined;
    throw hostError(`read ${path}`, error);
  }
}

/** `silent`: a process of this kernel that cannot be seen from here, and has not touched its file for a while. */
type Liveness = "alive" | "silent" | "gone";

interface Found {
  text: string;
  /** `undefined` if the content is not that of a lock. */
  holder: Holder | undefined;
  touchedAt: number;
  liveness: Liveness;
}

/** A link in the place of the file is not followed; it counts as an empty file. */
async function look(path: string): Promise<Found | undefined> {
  let file: FileHandle;
  try {
    file = await openOwnFile(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    if (systemCode(error) !== "ELOOP") throw error;
    return { text: "", holder: undefined, touchedAt: 0, liveness: "gone" };
  }
  try {
    const text = await file.readFile("utf8");
    const { mtimeMs } = await file.stat();
    const holder = parseHolder(text);
    const liveness = holder === undefined ? "gone" : livenessOf(holder, mtimeMs);
    return { text, holder, touchedAt: mtimeMs, liveness };
  } finally {
    await file.close();
  }
}

/** A pid means nothing in another PID namespace, on another machine, or after a restart of this one. */
function livenessOf(holder: Holder, touchedAt: number): Liveness {
  const boot = bootId();
  const isSameHost = holder.host === hostname();
  const sharesPids =
    holder.boot === undefined ? isSameHost : holder.boot === boot && holder.pids === pidNamespace();
  if (sharesPids) return isRunning(holder.pid, holder.startTime) ? "alive" : "gone";
  const silentMs = Date.now() - touchedAt;
  if (holder.boot === boot) return silentMs < SILENT_MS ? "silent" : "gone";
  // A machine of the same name that has not touched the file since this one started is this one, before its restart.
  const isBeforeBoot = touchedAt < Date.now() - uptime() * 1000 || silentMs < -CONTENTION_MS;
  if (isSameHost && isBeforeBoot) return "gone";
  return silentMs < FOREIGN_STALE_MS ? "alive" : "gone";
}

function isTaken(path: string, found: Found): ConfigError {
  const { holder } = found;
  const isElsewhere = holder?.boot !== undefined && holder.boot !== bootId();
  return new ConfigError(
    `Cannot use ${dirname(dirname(path))}: ${nameOf(found)} has held it since ${holder?.since}; ` +
      `stop that one first, or use another ${ownChoice(holder)}` +
      (isElsewhere ? "; if that machine is gone, wait two minutes" : ""),
    { code: "locked" },
  );
}

function nameOf({ holder }: Found): string {
  return `dewy ${holder?.command} (pid ${holder?.pid} on ${holder?.host})`;
}

/** The flag that gives a command a directory of its own. */
function ownChoice(holder: Holder | undefined): string {
  return holder?.command === "container" ? "--name or --directory" : "--directory";
}

function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isHolder(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isHolder(value: unknown): value is Holder {
  if (typeof value !== "object" || value === null) return false;
  const { pid, host, command, since, ...rest } = value as Partial<Record<keyof Holder, unknown>>;
  const optional = [rest.startTime, rest.boot, rest.pids, rest.id];
  return (
    typeof pid === "number" &&
    [host, command, since].every((text) => typeof text === "string") &&
    optional.every((text) => text === undefined || typeof text === "string")
  );
}
