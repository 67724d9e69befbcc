/**
 * A root directory with a dewy binary, the C library and a static shell, and nothing else.
 *
 * Debian: `apt-get install -y --no-install-recommends busybox-static`.
 *
 * @module
 */
import { execFile, spawnSync } from "node:child_process";
import { cp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { missingPeer } from "../peers/missing_peer.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const call = promisify(execFile);

/** Mounts what every Linux has, and becomes the program. Arguments: the directory, the program. */
const ENTER = `root=$1; shift
mount --rbind /proc "$root/proc" && mount --rbind /dev "$root/dev" &&
PATH=$PATH:/usr/sbin exec chroot "$root" env -i PATH=/usr/bin:/bin HOME=/ "$@"`;

/** The words that make this user root of its own mounts. */
export const UNSHARE: readonly [string, ...string[]] =
  process.getuid?.() === 0
    ? ["unshare", "--mount"]
    : ["unshare", "--mount", "--user", "--map-root-user"];

export interface BareRoot {
  directory: string;
  /** The words that run a program in it, with nothing else in its environment. */
  enter(program: string, env?: Readonly<Record<string, string>>): readonly [string, ...string[]];
  dewy(env?: Readonly<Record<string, string>>): readonly [string, ...string[]];
  /** Adds a file with the libraries that it needs. */
  add(file: string, path: string): Promise<void>;
}

/** Returns why programs cannot run in such a directory here, or `undefined` if they can. */
export function missingBareRoot(): string | undefined {
  const missing = missingPeer(["busybox", "unshare", "ldd"], "busybox-static util-linux");
  if (missing !== undefined) return missing;
  const [program, ...args] = UNSHARE;
  if (spawnSync(program, [...args, "true"]).status === 0) return undefined;
  const reason = "skipped: this user may not make namespaces";
  if (process.env.DEWY_REQUIRE_PEERS !== "1") return reason;
  throw new Error(`DEWY_REQUIRE_PEERS=1, but ${reason}`);
}

/** Makes one that is removed when the test ends. */
export async function bareRoot(binary: string): Promise<BareRoot> {
  const directory = await tempDirectory();
  const add = (file: string, path: string) => addProgram(directory, file, path);
  for (const name of ["proc", "dev", "tmp", "etc"]) await mkdir(join(directory, name));
  await add(await which("busybox"), "/bin/busybox");
  const { stdout } = await call("busybox", ["--list"]);
  for (const name of stdout.trim().split("\n")) {
    if (name !== "busybox") await symlink("busybox", join(directory, "bin", name));
  }
  await writeFile(join(directory, "etc/passwd"), "root:x:0:0::/:/bin/sh\n");
  await add(binary, "/bin/dewy");
  const enter: BareRoot["enter"] = (program, env = {}) => {
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    return [...UNSHARE, "sh", "-c", ENTER, "sh", directory, ...variables, program];
  };
  return { directory, add, enter, dewy: (env) => enter("dewy", env) };
}

/** Where a program of this machine is. */
export async function which(program: string): Promise<string> {
  return (await call("which", [program])).stdout.trim();
}

async function addProgram(root: string, file: string, path: string): Promise<void> {
  const copy = async (from: string, to: string): Promise<void> => {
    await mkdir(dirname(join(root, to)), { recursive: true });
    await rm(join(root, to), { force: true });
    await cp(from, join(root, to), { dereference: true });
  };
  await copy(file, path);
  const { stdout } = await call("ldd", [file]).catch(() => ({ stdout: "" })); // A static program.
  for (const [library] of stdout.matchAll(/\/\S+/g)) await copy(library, library);
}
