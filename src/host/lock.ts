import { link, mkdir, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { ConfigError } from "../core/error.ts";
import { hostError, systemCode } from "./atomic_file.ts";
import { isRunning, processStartTime } from "./process_identity.ts";

/** Who holds a lock. */
interface Holder {
  pid: number;
  startTime?: string;
  host: string;
  command: string;
  since: string;
}

/** A lock that is held. */
export interface Lock {
  /** Gives it back; calling it twice does no harm. */
  release(): Promise<void>;
}

/** The holder shows that it lives by touching the file this often. */
const HEARTBEAT_MS = 15_000;
/** A holder on another machine that has not touched its lock for so long is gone. */
const FOREIGN_STALE_MS = 2 * 60_000;
/** A loser of the race for a stale lock looks again this often. */
const ATTEMPTS = 5;

/**
 * Takes a lock file, or says who holds it. A lock whose process is gone is taken over.
 *
 * @param path the lock file; its directory is made when it is missing.
 * @param command what this process is doing, for the one who finds the lock taken.
 * @returns the lock.
 * @throws ConfigError with the code `locked` naming the holder; HostError when the file cannot be made.
 */
export async function acquireLock(path: string, command: string): Promise<Lock> {
  const startTime = processStartTime(process.pid);
  const holder: Holder = {
    pid: process.pid,
    ...(startTime === undefined ? {} : { startTime }),
    host: hostname(),
    command,
    since: new Date().toISOString(),
  };
  const text = JSON.stringify(holder);
  const own = `${path}.${process.pid}`;
  try {
    await makeDirectory(dirname(path));
    await writeOwn(own, text);
    await take(own, path);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw hostError(`lock ${path}`, error);
  } finally {
    await rm(own, { force: true }).catch(() => {});
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, HEARTBEAT_MS);
  heartbeat.unref();
  return {
    release: () => {
      clearInterval(heartbeat);
      return release(path, text);
    },
  };
}

/** Not `recursive`: Node would then say of a read-only file system that there is no such file. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
}

async function writeOwn(path: string, text: string): Promise<void> {
  const file = await open(path, "w", 0o644);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}

async function take(own: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      // A link either makes the whole file appear under the name, or fails: no reader sees half of it.
      await link(own, path);
      return;
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error;
    }
    await removeIfStale(path);
  }
  throw new ConfigError(`Cannot lock ${path}: others take it all the time; try again`, {
    code: "locked",
  });
}

/**
 * Finds who holds a lock.
 *
 * @param path the lock file.
 * @returns such as `dewy server (pid 7 on web1)`; `undefined` when nobody does.
 * @throws HostError when the file cannot be read.
 */
export async function lockHolder(path: string): Promise<string | undefined> {
  try {
    const holder = parseHolder(await readFile(path, "utf8"));
    if (holder === undefined || !(await isHeld(holder, path))) return undefined;
    return `dewy ${holder.command} (pid ${holder.pid} on ${holder.host})`;
  } catch (error) {
    if (systemCode(error) === "ENOENT" || systemCode(error) === "ENOTDIR") return undefined;
    throw hostError(`read ${path}`, error);
  }
}

async function removeIfStale(path: string): Promise<void> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return; // given back in this moment
  const holder = parseHolder(text);
  if (holder !== undefined && (await isHeld(holder, path))) {
    throw new ConfigError(
      `Cannot use ${dirname(dirname(path))}: dewy ${holder.command} (pid ${holder.pid} on ${holder.host}) ` +
        `has held it since ${holder.since}; stop that one first, or use another ${ownChoice(holder)}` +
        (holder.host === hostname() ? "" : "; if that machine is gone, wait two minutes"),
      { code: "locked" },
    );
  }
  // Two starters can find the same stale lock; only the content that was judged may be removed.
  const aside = `${path}.stale.${process.pid}`;
  await rename(path, aside).catch(() => {});
  const taken = await readFile(aside, "utf8").catch(() => undefined);
  if (taken !== undefined && taken !== text) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}

/** What a command tells its own directory by. */
function ownChoice({ command }: Holder): string {
  return command === "container" ? "--name or --directory" : "--directory";
}

/** A pid of another machine, or of another container on a shared volume, means nothing here. */
async function isHeld(holder: Holder, path: string): Promise<boolean> {
  if (holder.host === hostname()) return isRunning(holder.pid, holder.startTime);
  const touchedAt = await stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
  return Date.now() - touchedAt < FOREIGN_STALE_MS;
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
  const { pid, startTime, host, command, since } = value as Partial<Record<keyof Holder, unknown>>;
  return (
    typeof pid === "number" &&
    (startTime === undefined || typeof startTime === "string") &&
    [host, command, since].every((text) => typeof text === "string")
  );
}

async function release(path: string, text: string): Promise<void> {
  const current = await readFile(path, "utf8").catch(() => undefined);
  if (current === text) await rm(path, { force: true }).catch(() => {});
}
