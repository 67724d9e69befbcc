import { readFile } from "node:fs/promises";
import type { Environment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import { run } from "../host/process/run.ts";
import type { ServerConfig } from "./config.ts";

export interface AppUser {
  uid: number;
  gid: number;
  /** `undefined` for a number that the system does not know. */
  name: string | undefined;
  home: string | undefined;
}

export interface AppUserOptions {
  /** The user that dewy runs as; `undefined` where the system has no users. */
  uid?: number | undefined;
  passwdPath?: string;
  groupPath?: string;
  env?: Environment;
}

const LOOKUP_TIMEOUT_MS = 10_000;

/**
 * Looks up `--user` and `--group`, which are names or numbers, in `/etc/passwd` and `/etc/group`, then with the system's
 * `getent` (LDAP, for example). The group defaults to that of the user.
 */
export async function findAppUser(
  { user, group }: Pick<ServerConfig, "user" | "group">,
  options: AppUserOptions = {},
): Promise<AppUser | undefined> {
  if (user === undefined && group === undefined) return undefined;
  const own = "uid" in options ? options.uid : process.getuid?.();
  if (own !== 0) throw needsRoot(user === undefined ? `--group ${group}` : `--user ${user}`, own);
  const entry = await userEntry(user ?? "0", options);
  const gid = group === undefined ? entry.gid : await groupId(group, options);
  if (gid === undefined) {
    throw new ConfigError(
      `Invalid value for --user "${user}": the system does not know this user or its group; add --group`,
    );
  }
  return { ...entry, gid };
}

function needsRoot(flag: string, own: number | undefined): ConfigError {
  const state = own === undefined ? "this system has no such users" : `dewy runs as user ${own}`;
  return new ConfigError(
    `Cannot use ${flag}: only root may start a program as another user, and ${state}; ` +
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
  if (uid === undefined) throw new ConfigError(`Invalid value for --user "${user}": unknown user`);
  return { uid, gid: undefined, name: undefined, home: undefined };
}

async function groupId(group: string, options: AppUserOptions): Promise<number> {
  const number = numberOf(group);
  if (number !== undefined) return number;
  const line = await findEntry("group", group, options.groupPath ?? "/etc/group", options.env);
  const gid = numberOf(line?.split(":")[2] ?? "");
  if (gid === undefined) {
    throw new ConfigError(`Invalid value for --group "${group}": unknown group`);
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
  if (key.startsWith("-")) return undefined; // getent would read it as an option.
  const result = await run({
    command: ["getent", database, key],
    cwd: "/",
    env: { PATH: (env ?? process.env).PATH },
    timeoutMs: LOOKUP_TIMEOUT_MS,
  }).catch(() => undefined);
  const [line = ""] = result?.exitCode === 0 ? result.stdout.split("\n") : [];
  return line === "" ? undefined : line;
}

/** The kernel reads 4294967295 as -1, "do not change". */
function numberOf(text: string): number | undefined {
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : Number.NaN;
  return value < 0xffff_ffff ? value : undefined;
}
