import { readFile } from "node:fs/promises";
import type { CommandContext } from "../agent/context.ts";
import { ConfigError } from "../core/error.ts";
import { systemReason } from "../host/files/atomic_file.ts";
import { HOLDER_VARIABLE, RESTARTS_VARIABLE } from "../host/sockets/inherited.ts";
import { notifiers } from "../notifiers/table.ts";
import { type AppUser, type AppUserOptions, findAppUser } from "./app_user.ts";
import type { ServerConfig } from "./config.ts";
import { parseEnvFile } from "./env_file.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Besides what the drivers declare: dewy's own settings, and those of the Go dewy's mail notifier. */
const OWN_PREFIXES = ["DEWY_", "MAIL_"];

/**
 * What speaks of dewy's own process, not of the app's; a Node app would take the parent's pipe for its own.
 * https://nodejs.org/api/child_process.html#optionsdetached, NODE_CHANNEL_FD
 */
const OWN_VARIABLES: ReadonlySet<string> = new Set([
  HOLDER_VARIABLE,
  RESTARTS_VARIABLE,
  "NODE_CHANNEL_FD",
  "NODE_CHANNEL_SERIALIZATION_MODE",
]);

/**
 * Finds who the app runs as.
 *
 * @param config the flags.
 * @param options where users are looked up.
 * @returns who; `undefined`: as dewy does.
 * @throws ConfigError for a user or group that cannot be used.
 */
export function appUser(
  { user, group }: Pick<ServerConfig, "user" | "group">,
  options: AppUserOptions = {},
): Promise<AppUser | undefined> {
  return findAppUser(user, group, options);
}

/**
 * Builds the environment of a generation, but for what its place adds: dewy's own, without credentials when these are
 * to be kept from it, with the user's `HOME`, and what the files say. The files are read anew every time, so that a
 * restart of the app takes up their changes.
 *
 * @param config the flags.
 * @param user who the app runs as, from {@link appUser}.
 * @returns variables by name.
 * @throws ConfigError for a file that cannot be read.
 */
export async function appEnvironment(
  config: Pick<ServerConfig, "envFiles" | "isolateEnv" | "user">,
  context: Pick<CommandContext, "env" | "registries">,
  user: AppUser | undefined,
): Promise<Environment> {
  return {
    ...inherited(config.isolateEnv, context),
    ...(config.user === undefined ? {} : personal(user)),
    ...(await readEnvFiles(config.envFiles)),
  };
}

function inherited(
  isolate: boolean,
  { env, registries }: Pick<CommandContext, "env" | "registries">,
): Environment {
  const drivers = [...Object.values(registries), ...Object.values(notifiers)];
  const named = new Set(drivers.flatMap(({ environment }) => environment.map(({ name }) => name)));
  const prefixes = [
    ...OWN_PREFIXES,
    ...drivers.flatMap(({ credentialPrefixes = [] }) => credentialPrefixes),
  ];
  const isCredential = (name: string): boolean =>
    named.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
  const passed = Object.entries(env).filter(([name]) => !OWN_VARIABLES.has(name));
  if (!isolate) return Object.fromEntries(passed);
  return Object.fromEntries(
    passed
      .filter(([name]) => !isCredential(name))
      .map(([name, value]) => [name, safe(name, value)]),
  );
}

/** An app without the variable might bypass the proxy, so only the user and password are removed. */
function safe(name: string, value: string | undefined): string | undefined {
  return /[_-]proxy$/i.test(name) ? value?.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, "$1") : value;
}

/** Root's home is not the place of somebody else's files. */
function personal(user: AppUser | undefined): Environment {
  return { HOME: user?.home, USER: user?.name, LOGNAME: user?.name };
}

async function readEnvFiles(paths: readonly string[]): Promise<Environment> {
  const variables: Record<string, string> = {};
  for (const path of paths) Object.assign(variables, parseEnvFile(await readText(path), path));
  return variables;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const reason = systemReason(cause);
    throw new ConfigError(`Cannot read --env-file "${path}": ${reason}`, { cause });
  }
}
