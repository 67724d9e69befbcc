import { readFile } from "node:fs/promises";
import { ConfigError } from "../core/error.ts";
import { run } from "../host/process/run.ts";

/** Who a program runs as. */
export interface AppUser {
  uid: number;
  gid: number;
  /** The user's name; `undefined` for a number that the system does not know. */
  name: string | undefined;
  /** The user's home directory. */
  home: string | undefined;
}

/** Where users are looked up, and who asks. */
export interface AppUserOptions {
  /** The user dewy runs as; `undefined` where the system has none. */
  uid?: number | undefined;
  /** The default is `/etc/passwd`. */
  passwdPath?: string;
  /** The default is `/etc/group`. */
  groupPath?: string;
  /** What `id` and `getent` need. */
  env?: Readonly<Record<string, string | undefined>>;
}

const LOOKUP_TIMEOUT_MS = 10_000;

/**
 * Finds the user and group of `--user` and `--group`: in `/etc/passwd` and `/etc/group`, else as the system's `getent`
 * knows them (LDAP and the like).
 *
 * @param user a name or a number; `undefined`: dewy's own.
 * @param group a name or a number; `undefined`: the user's own.
 * @param options where to look.
 * @returns who; `undefined` when neither is told.
 * @throws ConfigError for one that does not exist, and when dewy does not run as root.
 */
export async function findAppUser(
  user: string | undefined,
  group: string | undefined,
  options: AppUserOptions = {},
): Promise<AppUser | undefined> {
  if (user === undefined && group === undefined) return undefined;
  const own = "uid" in options ? options.uid : process.getuid?.();
  if (own !== 0) throw needsRoot(user === undefined ? `--group ${group}` : `--user ${user}`, own);
  const entry = await userEntry(user ?? "0", options);
  const gid = group === undefined ? entry.gid : await groupId(group, options);
  if (gid === undefined) {
    throw new ConfigError(
      `Cannot use --user "${user}": the system knows no such user, and so no group of it; add --group`,
    );
  }
  return { ...entry, gid };
}

function needsRoot(flag: string, own: number | undefined): ConfigError {
  const state = own === undefined ? "this system has no such users" : `dewy runs as user ${own}`;
  return new ConfigError(
    `Cannot use ${flag}: only root may start a program as somebody else, and ${state}; ` +
      "start dewy as root, or leave the user to systemd (User=)",
  );
}

type UserEntry = Omit<AppUser, "gid"> & { gid: number | undefined };

async function userEntry(user: string, options: AppUserOptions): Promise<UserEntry> {
  const line = await findEntry("passwd", user, options.passwdPath ?? "/etc/passwd", options.env);
  if (line !== undefined) {
    // https://man7.org/linux/man-pages/man5/passwd.5.html
    const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
    return { uid: Number(uid), gid: Number(gid), name, home: home || undefined };
  }
  const uid = numberOf(user);
  if (uid === undefined)
    throw new ConfigError(`Cannot use --user "${user}": there is no such user`);
  return { uid, gid: undefined, name: undefined, home: undefined };
}

async function groupId(group: string, options: AppUserOptions): Promise<number> {
  const number = numberOf(group);
  if (number !== undefined) return number;
  const line = await findEntry("group", group, options.groupPath ?? "/etc/group", options.env);
  const gid = numberOf(line?.split(":")[2] ?? "");
  if (gid === undefined) {
    throw new ConfigError(`Cannot use --group "${group}": there is no such group`);
  }
  return gid;
}

async function findEntry(
  database: "passwd" | "group",
  key: string,
  path: string,
  env: AppUserOptions["env"],
): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  const lines = text.split("\n").map((line) => line.split(":"));
  const named = lines.find(([name]) => name === key);
  const numbered = lines.find(([, , id]) => id === key && numberOf(key) !== undefined);
  return (named ?? numbered)?.join(":") ?? (await askSystem(database, key, env));
}

async function askSystem(
  database: string,
  key: string,
  env: AppUserOptions["env"],
): Promise<string | undefined> {
  if (key.startsWith("-")) return undefined; // an option to getent
  const result = await run({
    command: ["getent", database, key],
    cwd: "/",
    env: env ?? process.env,
    timeoutMs: LOOKUP_TIMEOUT_MS,
  }).catch(() => undefined);
  const [line = ""] = result?.exitCode === 0 ? result.stdout.split("\n") : [];
  return line === "" ? undefined : line;
}

/** 4294967295 is -1, "leave as it is", to the kernel. */
function numberOf(text: string): number | undefined {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value < 0xffff_ffff ? value : undefined;
}
