import { lstat, readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { openOwnFile, systemCode, writeFileAtomic } from "../host/files/atomic_file.ts";
import { Mode } from "./protocol.ts";
import { ownUser } from "./runtime_directory.ts";

/** What a dewy process says about itself in its directory below the runtime directory. */
export const InstanceFile = v.object({
  pid: v.number(),
  name: v.string(),
  mode: Mode,
  /** The real path of the working directory. */
  directory: v.string(),
  /** The version of dewy. */
  dewy: v.string(),
  since: v.string(),
});
export type InstanceFile = v.InferOutput<typeof InstanceFile>;

const NAME = "instance.json";
const SOCKET = "socket";
const MAX_BYTES = 65_536;

export function socketPath(directory: string): string {
  return join(directory, SOCKET);
}

export async function writeInstanceFile(directory: string, file: InstanceFile): Promise<void> {
  await writeFileAtomic(join(directory, NAME), `${JSON.stringify(file)}\n`);
}

/** An entry in a runtime directory, as read. */
export interface OwnedInstanceFile extends InstanceFile {
  uid: number;
}

/** Returns `forbidden` if it belongs to another user, and `undefined` if there is no valid one. */
export async function readInstanceFile(
  directory: string,
): Promise<OwnedInstanceFile | "forbidden" | undefined> {
  try {
    const file = await openOwnFile(join(directory, NAME));
    try {
      const status = await file.stat();
      // Readable all the same: it would lead this user's commands to a socket of another user.
      if (![0, ownUser()].includes(status.uid) && ownUser() !== 0) return "forbidden";
      if (!status.isFile() || status.size > MAX_BYTES) return undefined;
      const parsed = v.safeParse(
        v.pipe(v.string(), v.parseJson(), InstanceFile),
        await file.readFile("utf8"),
      );
      return parsed.success ? { ...parsed.output, uid: status.uid } : undefined;
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = systemCode(error);
    return code === "EACCES" || code === "EPERM" ? "forbidden" : undefined;
  }
}

/** Removes what killed processes have left for working directories that do not exist any more. */
export async function removeAbandoned(runtimeDirectory: string): Promise<void> {
  for (const name of await readdir(runtimeDirectory).catch(() => [])) {
    const directory = join(runtimeDirectory, name);
    const file = await readInstanceFile(directory);
    if (typeof file !== "object") continue;
    await lstat(file.directory).catch(async (error: unknown) => {
      if (systemCode(error) === "ENOENT") await removeInstanceDirectory(directory);
    });
  }
}

/** Removes the directory of an instance with everything that dewy has put there. */
export async function removeInstanceDirectory(directory: string): Promise<void> {
  try {
    for (const name of await readdir(directory)) {
      if (name.startsWith(NAME) || name.startsWith(SOCKET)) await rm(join(directory, name));
    }
    await rmdir(directory);
  } catch {
    // A leftover is shown as not running.
  }
}
