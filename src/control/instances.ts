import { lstat, realpath } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { systemClock } from "../core/clock.ts";
import type { Environment } from "../core/environment.ts";
import { ConfigError, NotFoundError } from "../core/error.ts";
import { nearest } from "../core/text.ts";
import { hostError, systemCode } from "../host/files/atomic_file.ts";
import { lockPath } from "../host/files/own_paths.ts";
import { findLockHolder } from "../host/process/lock.ts";
import { type OwnedInstanceFile, readInstanceFile, socketPath } from "./instance_file.ts";
import { Mode } from "./protocol.ts";
import { findInstanceDirectories, instanceId } from "./runtime_directory.ts";

/** A dewy that runs on this machine, or has run. */
export interface FoundInstance {
  id: string;
  name: string;
  /** Absent if it does not run and has left no trace of it. */
  mode?: Mode | undefined;
  /** The real path of the working directory. */
  directory: string;
  /** Whether a live process holds the directory's lock. */
  isRunning: boolean;
  /** It has left its entry, as SIGKILL, a crash or a power failure do. */
  wasKilled?: boolean;
  /** The process, if it runs and takes commands. */
  process?: { pid: number; dewy: string; since: string };
  /** Set together with `process`. */
  socket?: string | undefined;
  /** The process that holds the lock: `dewy server (pid 7 on web1)`. */
  holder?: string | undefined;
}

interface Found {
  /** By name, then by directory. */
  instances: readonly FoundInstance[];
  /** How many belong to other users. */
  hidden: number;
  /** Those of them that can be listed. */
  hiddenIds: ReadonlySet<string>;
}

/** Finds the instances of this user, or as root of every user. Killed ones are shown until they start again. */
export async function findInstances(
  env: Environment,
): Promise<Pick<Found, "instances" | "hidden">> {
  const { instances, hidden } = await find(env);
  return { instances, hidden };
}

async function find(env: Environment): Promise<Found> {
  const directories = await findInstanceDirectories(env);
  const hiddenIds = new Set<string>();
  const found = await Promise.all(
    directories.found.map(async ({ id, path }) => {
      const file = await readInstanceFile(path);
      if (file === "forbidden") hiddenIds.add(id);
      if (typeof file !== "object" || instanceId(file.directory) !== id) return undefined;
      if (!(await hasState(file.directory))) return undefined;
      return instanceOf(file.directory, { file, path });
    }),
  );
  const instances = latest(found.filter((one) => one !== undefined)).sort(byName);
  return { instances, hidden: hiddenIds.size + directories.hidden, hiddenIds };
}

/** One entry for each directory: a dewy that ran in another session may have left one elsewhere. */
function latest(found: readonly FoundInstance[]): FoundInstance[] {
  const byId = new Map<string, FoundInstance>();
  for (const one of found) {
    const other = byId.get(one.id);
    if (other === undefined || other.process === undefined) byId.set(one.id, one);
  }
  return [...byId.values()];
}

function byName(a: FoundInstance, b: FoundInstance): number {
  const [one, other] = a.name === b.name ? [a.directory, b.directory] : [a.name, b.name];
  return one < other ? -1 : 1;
}

async function instanceOf(
  directory: string,
  entry?: { file: OwnedInstanceFile; path: string },
): Promise<FoundInstance> {
  const holder = await findLockHolder(lockPath(directory)).catch(() => undefined);
  const instance = {
    id: instanceId(directory),
    name: entry?.file.name ?? basename(directory),
    mode: entry?.file.mode ?? Mode.options.find((mode) => mode === holder?.command),
    directory,
    isRunning: holder !== undefined,
    wasKilled: holder === undefined && entry !== undefined,
    holder: holder?.name,
  };
  if (entry === undefined || entry.file.pid !== holder?.pid) return instance;
  const { uid, pid, dewy, since } = entry.file;
  // Every user can make an entry that names this directory and process, but not this lock.
  if (uid !== 0 && uid !== holder.uid) return instance;
  return { ...instance, process: { pid, dewy, since }, socket: socketPath(entry.path) };
}

async function hasState(directory: string): Promise<boolean> {
  const status = await lstat(join(directory, ".dewy")).catch(() => undefined);
  return status?.isDirectory() === true;
}

/**
 * Finds the instance that a command is for. It may be left out if there is only one. An instance that is given by its
 * directory need not run.
 *
 * @throws NotFoundError if there is none; ConfigError if there are several.
 */
export async function chooseInstance(
  choice: Choice,
  env: Environment,
  signal?: AbortSignal,
): Promise<FoundInstance> {
  const deadline = performance.now() + STARTING_MS;
  for (;;) {
    const chosen = await choose(choice, await find(env));
    const isReachable = !chosen.isRunning || chosen.process !== undefined;
    if (isReachable || performance.now() > deadline) return chosen;
    await systemClock.sleep(STARTING_POLL_MS, signal);
  }
}

interface Choice {
  name?: string | undefined;
  directory?: string | undefined;
}

/** How long to wait for the socket of a dewy that has just started, or for the end of a command on the directory. */
const STARTING_MS = 5_000;
const STARTING_POLL_MS = 50;

async function choose({ name, directory }: Choice, found: Found): Promise<FoundInstance> {
  const { instances } = found;
  if (directory !== undefined) return await inDirectory(directory, found);
  const fitting = name === undefined ? instances : instances.filter((one) => one.name === name);
  const [only] = fitting;
  if (only !== undefined && fitting.length === 1) return only;
  if (fitting.length > 1) {
    const start =
      name === undefined
        ? "Several instances are on this machine; choose one with --name or --directory"
        : `Several instances have the name "${name}"; choose one with --directory`;
    throw new ConfigError(`${start}:${listOf(fitting)}`);
  }
  throw name === undefined ? noInstance(found) : unknownName(name, found);
}

async function inDirectory(
  directory: string,
  { instances, hiddenIds }: Found,
): Promise<FoundInstance> {
  const path = await realDirectory(directory);
  const id = instanceId(path);
  const found = instances.find((one) => one.id === id);
  if (found !== undefined) return found;
  if (hiddenIds.has(id)) throw forbidden(`the instance in ${path}`);
  if (await hasState(path)) return await instanceOf(path);
  throw new NotFoundError(
    `Cannot find an instance in ${path}: dewy has not worked in this directory (it has no .dewy)${listOf(instances)}`,
    { fault: "operator" },
  );
}

async function realDirectory(directory: string): Promise<string> {
  try {
    return await realpath(directory);
  } catch (cause) {
    if (systemCode(cause) === "EACCES") throw forbidden(resolve(directory));
    if (systemCode(cause) !== "ENOENT") throw hostError(`open ${resolve(directory)}`, cause);
    throw new NotFoundError(
      `Cannot find an instance in ${resolve(directory)}: the directory does not exist`,
      { fault: "operator", cause },
    );
  }
}

function forbidden(what: string): ConfigError {
  return new ConfigError(
    `Cannot use ${what}: it belongs to another user; run the command as that user, or with sudo`,
  );
}

function noInstance({ hidden }: Found): NotFoundError {
  const hint =
    hidden === 0
      ? "dewy does not run on this machine; for a directory in which it has run, use --directory"
      : `${othersText(hidden)}; run the command as that user, or with sudo`;
  return new NotFoundError(`No instance found: ${hint}`, { fault: "operator" });
}

function unknownName(name: string, { instances, hidden }: Found): NotFoundError {
  const meant = nearest(
    name,
    instances.map((one) => one.name),
  );
  const hint =
    meant === undefined ? "for one that does not run, use --directory" : `did you mean "${meant}"?`;
  const others = hidden === 0 ? "" : ` (${othersText(hidden)}; to see them, use sudo)`;
  return new NotFoundError(
    `No instance has the name "${name}"; ${hint}${others}${listOf(instances)}`,
    { fault: "operator" },
  );
}

/** `2 more instances belong to other users`. */
export function othersText(count: number): string {
  return count === 1
    ? "1 more instance belongs to another user"
    : `${count} more instances belong to other users`;
}

const MAX_LISTED = 30;

function listOf(instances: readonly FoundInstance[]): string {
  const lines = instances
    .slice(0, MAX_LISTED)
    .map(({ name, mode = "stopped", directory }) => `\n  ${name}  (${mode})  ${directory}`);
  const left = instances.length - lines.length;
  return lines.join("") + (left > 0 ? `\n  and ${left} more` : "");
}
