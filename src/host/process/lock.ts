import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, link, lstat, readdir, rename, rm } from "node:fs/promises";
import { hostname, uptime } from "node:os";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
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
import { bootId, isRunning, pidNamespace, processStartTime } from "./processes.ts";
import { steadyClock } from "./steady_clock.ts";

const holderSchema = v.object({
  pid: v.number(),
  startTime: v.optional(v.string()),
  host: v.string(),
  /** The boot and the PID namespace that the pid belongs to. */
  boot: v.optional(v.string()),
  pids: v.optional(v.string()),
  command: v.string(),
  since: v.string(),
  id: v.optional(v.string()),
});

type Holder = v.InferOutput<typeof holderSchema>;

interface LockOptions {
  emit?: EventSink;
  signal?: AbortSignal;
}

export interface Lock {
  release(): Promise<void>;
}

const HEARTBEAT_MS = 10_000;
/** A holder in another PID namespace of this kernel counts as gone after three missed heartbeats. */
const SILENT_MS = 3 * HEARTBEAT_MS;
/** Clocks of two machines differ, and network file systems delay changes. */
const FOREIGN_STALE_MS = 2 * 60_000;
const CONTENTION_MS = 60_000;
const FIRST_RETRY_MS = 20;
const LONGEST_RETRY_MS = 500;

/**
 * A holder in the same PID namespace is alive if its process runs. Any other holder is judged by its heartbeat: a holder
 * on this kernel (in another container, for example) is watched for up to 30 s, a holder on another machine counts as
 * alive until its file is two minutes old.
 *
 * @throws ConfigError with the code `locked` that names the holder; HostError if the file cannot be created.
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
  return {
    pid: process.pid,
    startTime: processStartTime(process.pid),
    host: hostname(),
    boot: bootId(),
    pids: pidNamespace(),
    command,
    since: new Date().toISOString(),
    id: randomUUID(),
  };
}

async function take(path: string, own: string, { emit, signal }: LockOptions): Promise<void> {
  const startedAt = steadyClock.now();
  let silent: { text: string; touchedAt: number; since: number } | undefined;
  for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_RETRY_MS)) {
    if (await linkOnce(own, path)) return;
    const found = await readLock(path);
    const now = steadyClock.now();
    if (found?.liveness === "silent") {
      const { text, touchedAt } = found;
      if (silent?.text !== text) {
        silent = { text, touchedAt, since: now };
        emit?.({ type: "warning", message: WATCHING, fields: { path, holder: nameOf(found) } });
      }
      if (silent.touchedAt !== touchedAt) found.liveness = "alive";
      else if (now - silent.since >= SILENT_MS) found.liveness = "gone";
    }
    if (found?.liveness === "alive") throw lockedError(path, found);
    if (found?.liveness === "gone" && (await replaceStaleLock(path, found.text, own))) return;
    if (now - startedAt >= CONTENTION_MS) {
      throw new ConfigError(`Cannot lock ${path}: the lock is contended; try again`, {
        code: "locked",
      });
    }
    await steadyClock.sleep(pauseMs * (0.5 + Math.random() / 2), signal);
  }
}

const WATCHING =
  "Directory is locked by a dewy process that may be gone; waiting for its heartbeat";

/** Publishes the complete file; a link is atomic. Returns whether the name was free. */
async function linkOnce(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    // A network file system also reports EEXIST if it has made the link and its first response was lost.
    const [found, ours] = await Promise.all([path, own].map((name) => lstat(name).catch(() => {})));
    return found !== undefined && found.ino === ours?.ino && found.dev === ours.dev;
  }
}

/**
 * Replaces a lock by `own` if it still has the content that was judged stale. Only one process can create the claim, a
 * file named after that content, so the content cannot change between the check and the rename: the lock of a live
 * process is never replaced, however many processes start at once.
 */
export async function replaceStaleLock(path: string, stale: string, own: string): Promise<boolean> {
  const claim = claimPath(path, stale);
  if (!(await linkOnce(own, claim))) {
    const found = await readLock(claim);
    if (found?.liveness !== "gone") return false;
    if (!(await replaceStaleLock(claim, found.text, own))) return false;
  }
  try {
    if ((await readLock(path))?.text !== stale) return false;
    const next = temporaryPath(path);
    await link(own, next);
    await rename(next, path);
    return true;
  } finally {
    await rm(claim, { force: true });
  }
}

export function claimPath(path: string, stale: string): string {
  return `${path}.${createHash("sha256").update(stale).digest("hex").slice(0, 16)}.claim`;
}

/** Removes claims and temporary files of processes that were killed while they acquired the lock. */
async function removeLeftovers(path: string): Promise<void> {
  const directory = dirname(path);
  const leftover = /^(?:\.[0-9a-f]{16}\.(?:tmp|claim))+$/;
  for (const name of await readdir(directory)) {
    if (!name.startsWith(basename(path)) || !leftover.test(name.slice(basename(path).length)))
      continue;
    const found = await readLock(join(directory, name));
    // A file that is still being written has no holder yet.
    const isOld = found?.holder !== undefined || Date.now() - (found?.touchedAt ?? 0) > SILENT_MS;
    if (found?.liveness === "gone" && isOld) await rm(join(directory, name), { force: true });
  }
}

/** The heartbeat uses the open file, so it never touches another lock that has replaced this one. */
function hold(path: string, text: string, file: FileHandle, { emit }: LockOptions): Lock {
  let isLost = false;
  const beat = async (): Promise<void> => {
    const now = new Date();
    await file.utimes(now, now);
    if ((await readLock(path))?.text === text || isLost) return;
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
      if ((await readLock(path).catch(() => undefined))?.text === text) {
        await rm(path, { force: true }).catch(() => {});
      }
      await file.close();
    },
  };
}

const LOST =
  "The lock was removed or taken by another process; two dewy processes may use this directory now";

/** The live process that holds a lock. */
export interface LockHolder {
  pid: number;
  /** The command of dewy, such as `server`. */
  command: string;
  /** Such as `dewy server (pid 7 on web1)`. */
  name: string;
  /** The owner of the lock. */
  uid: number;
}

/** Returns `undefined` if the lock is free or stale. */
export async function findLockHolder(path: string): Promise<LockHolder | undefined> {
  try {
    const found = await readLock(path);
    if (found?.holder === undefined || found.liveness === "gone") return undefined;
    const { pid, command } = found.holder;
    return { pid, command, name: nameOf(found), uid: found.uid };
  } catch (error) {
    if (systemCode(error) === "ENOTDIR") return undefined;
    throw hostError(`read ${path}`, error);
  }
}

/** Returns `dewy server (pid 7 on web1)`; `undefined` if the lock is free or stale. */
export async function lockHolder(path: string): Promise<string | undefined> {
  return (await findLockHolder(path))?.name;
}

/** `silent`: the process is in another PID namespace of this kernel, so only its heartbeat can be checked. */
type Liveness = "alive" | "silent" | "gone";

interface FoundLock {
  text: string;
  holder: Holder | undefined;
  touchedAt: number;
  uid: number;
  liveness: Liveness;
}

/** A symbolic link is not followed; it counts as an empty file. */
async function readLock(path: string): Promise<FoundLock | undefined> {
  let file: FileHandle;
  try {
    file = await openOwnFile(path);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    if (systemCode(error) !== "ELOOP") throw error;
    return { text: "", holder: undefined, touchedAt: 0, uid: 0, liveness: "gone" };
  }
  try {
    const text = await file.readFile("utf8");
    const { mtimeMs, uid } = await file.stat();
    const holder = parseHolder(text);
    const liveness = holder === undefined ? "gone" : livenessOf(holder, mtimeMs);
    return { text, holder, touchedAt: mtimeMs, uid, liveness };
  } finally {
    await file.close();
  }
}

/** A pid is meaningless in another PID namespace, on another machine, and after a reboot. */
function livenessOf(holder: Holder, touchedAt: number): Liveness {
  const boot = bootId();
  const isSameHost = holder.host === hostname();
  const sharesPids =
    holder.boot === undefined ? isSameHost : holder.boot === boot && holder.pids === pidNamespace();
  if (sharesPids) return isRunning(holder.pid, holder.startTime) ? "alive" : "gone";
  const silentMs = Date.now() - touchedAt;
  if (holder.boot === boot) return silentMs < SILENT_MS ? "silent" : "gone";
  // The same host name and no heartbeat since boot: this machine, before its reboot.
  const isBeforeBoot = touchedAt < Date.now() - uptime() * 1000 || silentMs < -CONTENTION_MS;
  if (isSameHost && isBeforeBoot) return "gone";
  return silentMs < FOREIGN_STALE_MS ? "alive" : "gone";
}

function lockedError(path: string, found: FoundLock): ConfigError {
  const { holder } = found;
  const isElsewhere = holder?.boot !== undefined && holder.boot !== bootId();
  const flag = holder?.command === "container" ? "--name or --directory" : "--directory";
  return new ConfigError(
    `Cannot use ${dirname(dirname(path))}: ${nameOf(found)} has held it since ${holder?.since}; ` +
      `stop that process first, or use another ${flag}` +
      (isElsewhere ? "; if that machine is gone, wait two minutes" : ""),
    { code: "locked" },
  );
}

function nameOf({ holder }: FoundLock): string {
  return `dewy ${holder?.command} (pid ${holder?.pid} on ${holder?.host})`;
}

function parseHolder(text: string): Holder | undefined {
  try {
    return v.parse(holderSchema, JSON.parse(text));
  } catch {
    return undefined;
  }
}
