import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** A process of dewy or of an app. */
export interface AppProcess {
  pid: number;
  group: number;
  /** Its initial environment. */
  env: Readonly<Record<string, string>>;
}

/**
 * The processes with this variable in their environment, which dewy's children inherit whatever
 * their parent is now. Reads `/proc`, so that it does not depend on dewy's own knowledge.
 */
export async function processesWith(name: string, value: string): Promise<AppProcess[]> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry));
  const found = await Promise.all(pids.map((pid) => appProcess(Number(pid))));
  return found.filter((one) => one !== undefined).filter(({ env }) => env[name] === value);
}

async function appProcess(pid: number): Promise<AppProcess | undefined> {
  const read = (file: string): Promise<string> =>
    readFile(join("/proc", String(pid), file), "utf8").catch(() => "");
  const [environment, stat] = await Promise.all([read("environ"), read("stat")]);
  const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (environment === "" || state === "Z") return undefined;
  const pairs = environment.split("\0").map((text) => {
    const at = text.indexOf("=");
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  return { pid, group: Number(group), env: Object.fromEntries(pairs) };
}

/** The targets of the descriptors of a process: `socket:[…]`, `pipe:[…]`, or a path. */
export async function descriptorsOf(pid: number | "self"): Promise<Map<number, string>> {
  const directory = join("/proc", String(pid), "fd");
  const names = await readdir(directory);
  const links = await Promise.all(
    names.map(
      async (name) =>
        [Number(name), await readlink(join(directory, name)).catch(() => "")] as const,
    ),
  );
  return new Map(links);
}

/** Kills the processes that {@link processesWith} finds. */
export async function killAllWith(name: string, value: string): Promise<void> {
  for (const { pid } of await processesWith(name, value)) kill(pid);
}

/**
 * Kills processes with a directory in their command line, and their groups: nginx overwrites its
 * environment.
 */
export async function killAllNaming(directory: string): Promise<void> {
  const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number);
  for (const pid of pids) {
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    const own = command.includes(directory) ? await appProcess(pid) : undefined;
    if (own !== undefined) kill(own.group === pid ? -pid : pid);
  }
}

/** `target` is a process, or a group if it is negative. */
export function kill(target: number): void {
  try {
    process.kill(target, "SIGKILL");
  } catch {
    // It has exited in the meantime.
  }
}
