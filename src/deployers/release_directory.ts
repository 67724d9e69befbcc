import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ConfigError } from "../core/error.ts";
import type { Deployer } from "../deploy/deployer.ts";
import type { Retention } from "../deploy/state.ts";
import {
  hostError,
  removeTemporaries,
  syncDirectory,
  systemCode,
  temporaryPath,
} from "../host/files/atomic_file.ts";
import { findOwnDirectory, ownDirectory } from "../host/files/own_directory.ts";
import { giveTree, type MadeDirectory, openMadeDirectory } from "../host/files/ownership.ts";
import { removeTree } from "../host/files/remove_tree.ts";
import { usedDirectories } from "../host/files/used_directories.ts";

const RELEASE_NAME = /^\d{8}T\d{6}Z(?:-\d+)?$/;
const INCOMPLETE = /^\.(?:staging|removing)-\d{8}T\d{6}Z(?:-\d+)?(?:\.[0-9a-f]{16}\.tmp)?$/;

/** Complete releases in `releases/`, and the symlink `current` to the live one. */
export interface ReleaseDirectory
  extends Pick<Deployer, "path" | "has" | "live" | "clean" | "prune"> {
  readonly root: string;
  /** The names of the complete releases, newest first. */
  names(): Promise<readonly string[]>;
  /** Points `current` to a release; `undefined` removes the link. */
  point(name: string | undefined): Promise<void>;
  /** `fill` gets an empty directory, which is renamed to `name` once it is complete. */
  create(now: Date, fill: (directory: string, name: string) => Promise<void>): Promise<string>;
}

/**
 * Opens a working directory without writing to it.
 *
 * @param mode The permissions of new releases, regardless of the umask.
 */
export async function openReleaseDirectory(
  directory: string,
  mode?: number,
): Promise<ReleaseDirectory> {
  const root = await checkedRoot(directory);
  const releases = join(root, "releases");
  const current = join(root, "current");
  await checkCurrent(current, releases);
  const path = (name: string): string => join(releases, name);
  const has = (name: string): Promise<boolean> => isDirectory(path(name));
  return {
    root,
    path,
    has,
    names: async () => {
      const parent = await findOwnDirectory(releases);
      return parent === undefined ? [] : (await releaseNames(parent)).sort(newestFirst);
    },
    live: async () => {
      const name = await target(current, releases);
      return name !== undefined && (await has(name)) ? name : undefined;
    },
    point: (name) => point(root, current, name),
    create: (now, fill) => create(releases, mode, now, fill),
    clean: () => clean(root, releases),
    prune: (retention) => prune(releases, retention),
  };
}

async function checkedRoot(directory: string): Promise<string> {
  try {
    const root = await realpath(directory);
    if (await isDirectory(root)) return root;
  } catch (cause) {
    if (systemCode(cause) !== "ENOENT") throw hostError(`open ${resolve(directory)}`, cause);
    throw new ConfigError(
      `Cannot use --directory "${directory}": directory does not exist; create it: mkdir -p ${resolve(directory)}`,
    );
  }
  throw new ConfigError(`Cannot use --directory "${directory}": it is not a directory`);
}

async function checkCurrent(current: string, releases: string): Promise<void> {
  const status = await orIfMissing(lstat(current), undefined, current);
  if (status === undefined) return;
  const isLink = status.isSymbolicLink();
  if (isLink && (await target(current, releases)) !== undefined) return;
  const problem = isLink
    ? `points to ${await readlink(current)}, not into ${releases}`
    : "is not a symlink";
  throw new ConfigError(
    `Cannot use ${current}: it ${problem}; dewy creates this link itself, so move it away`,
  );
}

async function target(current: string, releases: string): Promise<string | undefined> {
  const link = await orIfMissing(readlink(current), undefined, current);
  if (link === undefined) return undefined;
  const path = resolve(dirname(current), link);
  const parent = await orIfMissing(realpath(dirname(path)), dirname(path), dirname(path));
  const ours = await orIfMissing(realpath(releases), releases, releases);
  return parent === ours ? basename(path) : undefined;
}

async function point(root: string, current: string, name: string | undefined): Promise<void> {
  const temporary = temporaryPath(temporaryBase(root));
  try {
    if (name === undefined) {
      await rm(current, { force: true });
    } else {
      await symlink(join("releases", name), temporary);
      await rename(temporary, current);
    }
    await syncDirectory(root);
  } catch (cause) {
    throw hostError(`point ${current} to ${name ?? "nothing"}`, cause);
  }
}

function temporaryBase(root: string): string {
  return join(root, ".current");
}

async function create(
  releases: string,
  mode: number | undefined,
  now: Date,
  fill: (directory: string, name: string) => Promise<void>,
): Promise<string> {
  const parent = await ownDirectory(releases, mode);
  const name = await freeName(parent, now);
  const incomplete = temporaryPath(join(parent, `.staging-${name}`));
  let made: MadeDirectory | undefined;
  try {
    await mkdir(incomplete);
    if (mode !== undefined) await chmod(incomplete, mode);
    made = await openMadeDirectory(incomplete);
    await fill(incomplete, name);
    if (made !== undefined) await giveTree(made);
    await rename(incomplete, join(parent, name));
    await syncDirectory(parent);
    return name;
  } catch (cause) {
    await removeTree(incomplete).catch(() => {});
    throw hostError(`create ${join(releases, name)}`, cause);
  } finally {
    await made?.directory.close();
  }
}

/** `YYYYMMDDTHHMMSSZ`; further releases in the same second get a number: `…Z-2`. */
async function freeName(releases: string, now: Date): Promise<string> {
  const second = `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z`;
  const taken = new Set(await readdir(releases));
  let name = second;
  for (let number = 2; taken.has(name); number++) name = `${second}-${number}`;
  return name;
}

async function clean(root: string, releases: string): Promise<void> {
  await removeTemporaries(temporaryBase(root));
  const parent = await findOwnDirectory(releases);
  if (parent === undefined) return;
  for (const name of await readdir(parent)) {
    if (INCOMPLETE.test(name)) await removeTree(join(parent, name));
  }
}

async function prune(
  releases: string,
  retention: () => Promise<Retention>,
): Promise<readonly string[]> {
  const parent = await findOwnDirectory(releases);
  if (parent === undefined) return [];
  const names = await releaseNames(parent);
  const { keep, others } = await retention();
  const old = names
    .filter((name) => !keep.has(name))
    .sort(newestFirst)
    .slice(others);
  if (old.length === 0) return [];
  const used = await usedDirectories(parent);
  const removable = old.filter((name) => !used.has(name));
  for (const name of removable) {
    // Renamed first, so that every release under its own name is complete.
    const incomplete = join(parent, `.removing-${name}`);
    await rename(join(parent, name), incomplete).catch((cause: unknown) => {
      throw hostError(`remove ${name}`, cause);
    });
    await removeTree(incomplete);
  }
  return removable;
}

async function releaseNames(parent: string): Promise<string[]> {
  return (await readdir(parent)).filter((name) => RELEASE_NAME.test(name));
}

function newestFirst(a: string, b: string): number {
  const [secondA = "", numberA = "1"] = a.split("-");
  const [secondB = "", numberB = "1"] = b.split("-");
  if (secondA !== secondB) return secondA < secondB ? 1 : -1;
  return Number(numberB) - Number(numberA);
}

async function isDirectory(path: string): Promise<boolean> {
  return (await orIfMissing(stat(path), undefined, path))?.isDirectory() === true;
}

/** Every failure but a missing path is an error, because the file may exist. */
async function orIfMissing<T, U>(found: Promise<T>, otherwise: U, path: string): Promise<T | U> {
  try {
    return await found;
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(cause) ?? "")) return otherwise;
    throw hostError(`access ${path}`, cause);
  }
}
