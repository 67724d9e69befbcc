/**
 * Where instances are found. Each has a directory of its own, named after its id, in a runtime directory of its user or
 * of the system.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, type Stats } from "node:fs";
import { chmod, lstat, mkdir, readdir } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import type { Environment } from "../core/environment.ts";
import { HostError } from "../core/error.ts";
import { hostError, systemCode } from "../host/files/atomic_file.ts";

const INSTANCE_ID = /^[0-9a-f]{16}$/;
const OF_DEWY = /^dewy(?:-.+)?$/;
const OF_USER = /^dewy-(\d+)$/;
const USERS = "/run/user";
const TEMPORARY = "/tmp";

/** @param root The real path of a working directory. */
export function instanceId(root: string): string {
  return createHash("sha256").update(root).digest("hex").slice(0, 16);
}

export function ownUser(): number {
  return process.getuid?.() ?? 0;
}

/** Creates the directory of an instance, which only this user and root can enter. */
export async function makeInstanceDirectory(root: string, env: Environment): Promise<string> {
  let problem: unknown;
  for (const runtime of ownRuntimeDirectories(env)) {
    try {
      await makeRuntimeDirectory(runtime, env);
      const directory = join(runtime, instanceId(root));
      const { mode } = await makeOwn(directory, 0o700);
      if ((mode & 0o777) !== 0o700) await chmod(directory, 0o700);
      return directory;
    } catch (error) {
      problem ??= hostError(`use ${runtime}`, error);
    }
  }
  throw problem;
}

/** The preferred one comes first; the others are for the case that it does not exist. */
function ownRuntimeDirectories(env: Environment): readonly string[] {
  if (env.DEWY_RUNTIME_DIR) return [resolve(env.DEWY_RUNTIME_DIR)];
  // https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=
  const [ofService = ""] = (env.RUNTIME_DIRECTORY ?? "").split(":");
  if (isAbsolute(ofService) && OF_DEWY.test(basename(ofService))) return [resolve(ofService)];
  const user = ownUser();
  if (user === 0) return [join(systemDirectory(), "dewy")];
  return [
    ...userDirectories(env).map((parent) => join(parent, "dewy")),
    join(TEMPORARY, `dewy-${user}`),
  ];
}

function systemDirectory(): string {
  return existsSync("/run") ? "/run" : "/var/run";
}

function userDirectories({ XDG_RUNTIME_DIR: ofSession = "" }: Environment): readonly string[] {
  const parents = [...(isAbsolute(ofSession) ? [ofSession] : []), join(USERS, String(ownUser()))];
  return [...new Set(parents.map((parent) => resolve(parent)))];
}

/** Others can list that of the system, so that `dewy status` can count what they may not read. */
async function makeRuntimeDirectory(path: string, env: Environment): Promise<void> {
  if (env.DEWY_RUNTIME_DIR) await mkdir(dirname(path), { recursive: true });
  const { mode } = await makeOwn(path, ownUser() === 0 ? 0o755 : 0o700);
  if ((mode & 0o022) === 0) return;
  throw new HostError(
    `Cannot use ${path}: other users can write to it; remove it, or run: chmod go-w ${path}`,
    { fault: "operator", retryable: false },
  );
}

/** Another user could have put a symbolic link or a directory of their own there, in `/tmp` for example. */
async function makeOwn(path: string, mode: number): Promise<Stats> {
  try {
    await mkdir(path, { mode });
    await chmod(path, mode); // The umask may have removed too much.
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
  const status = await lstat(path);
  const isOwn = process.getuid === undefined || status.uid === ownUser();
  if (status.isDirectory() && isOwn) return status;
  const what = status.isDirectory() ? `belongs to user ${status.uid}` : "is not a directory";
  throw new HostError(`Cannot use ${path}: it ${what}; remove it`, {
    fault: "operator",
    retryable: false,
  });
}

/** Finds the directories of all instances that this user can list, and counts those that it cannot. */
export async function findInstanceDirectories(
  env: Environment,
): Promise<{ found: readonly { id: string; path: string }[]; hidden: number }> {
  const found: { id: string; path: string }[] = [];
  let hidden = 0;
  for (const runtime of await runtimeDirectories(env)) {
    try {
      for (const id of await readdir(runtime)) {
        if (INSTANCE_ID.test(id)) found.push({ id, path: join(runtime, id) });
      }
    } catch (error) {
      if (systemCode(error) === "EACCES") hidden += await countHidden(runtime);
    }
  }
  return { found, hidden };
}

/** Most file systems count the directories in a directory as its links. */
async function countHidden(path: string): Promise<number> {
  const { nlink } = await lstat(path).catch(() => ({ nlink: 2 }));
  return nlink < 2 ? 1 : nlink - 2;
}

async function runtimeDirectories(env: Environment): Promise<readonly string[]> {
  if (env.DEWY_RUNTIME_DIR) return [resolve(env.DEWY_RUNTIME_DIR)];
  const users = ownUser() === 0 ? await directoriesIn(USERS, /^\d+$/) : userDirectories(env);
  const parents = [...new Set([systemDirectory(), ...users])];
  const found = await Promise.all(parents.map((parent) => directoriesIn(parent, OF_DEWY)));
  return [...found.flat(), ...(await temporaryDirectories())];
}

/** Only those that belong to the user in their name: every user can create any name there. */
async function temporaryDirectories(): Promise<readonly string[]> {
  const paths = await directoriesIn(TEMPORARY, OF_USER);
  const owned = await Promise.all(
    paths.map(async (path) => {
      const user = OF_USER.exec(basename(path))?.[1];
      const status = await lstat(path).catch(() => undefined);
      return status?.uid === Number(user);
    }),
  );
  return paths.filter((_, index) => owned[index]);
}

/** Without symbolic links. */
async function directoriesIn(parent: string, name: RegExp): Promise<readonly string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && name.test(entry.name))
    .map((entry) => join(parent, entry.name));
}
