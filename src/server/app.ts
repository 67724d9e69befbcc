import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type CommandContext, isolated } from "../agent/context.ts";
import type { Environment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { ReleaseDirectory } from "../deployers/release_directory.ts";
import { systemReason } from "../host/files/atomic_file.ts";
import { HOLDER_VARIABLE, RESTARTS_VARIABLE } from "../host/sockets/inherited.ts";
import { type AppUser, findAppUser } from "./app_user.ts";
import type { ServerConfig } from "./config.ts";
import { parseEnvFile } from "./env_file.ts";
import { canEnter } from "./generation/command.ts";
import type { GenerationMembers } from "./generation/members.ts";
import { resolveProgram } from "./program.ts";
import type { AppOptions } from "./supervisor/start_app.ts";

/** Checks how the app is to be started before anything is deployed. */
export async function appOptions(
  config: ServerConfig & { program: readonly [string, ...string[]] },
  directory: ReleaseDirectory,
  members: GenerationMembers,
  context: CommandContext,
): Promise<AppOptions> {
  const user = await findAppUser(config, { env: context.env });
  if (user !== undefined) requireEntry(directory.root, user);
  const environment = (): Promise<Environment> => appEnvironment(config, context, user);
  await environment();
  return {
    program: resolveProgram(config.program, process.cwd()),
    root: directory.root,
    releasePath: directory.path,
    members,
    environment,
    user,
    reportsReady: config.readyCommand !== undefined,
    logPrefix: config.logPrefix,
    redactor: (env) => context.redactor(context.env, env),
    clock: context.clock,
  };
}

function requireEntry(root: string, user: AppUser): void {
  const directories = [root, join(root, "releases")].filter((path) => existsSync(path));
  const closed = directories.find((path) => !canEnter(path, user));
  if (closed === undefined) return;
  throw new ConfigError(
    `Cannot run the app as user ${user.name ?? user.uid}: that user may not enter ${closed}; ` +
      "give it and every directory above it execute permission (chmod a+x)",
  );
}

/**
 * Variables about dewy's own process. A Node app would use the pipe of dewy's parent.
 * https://nodejs.org/api/child_process.html#optionsdetached, NODE_CHANNEL_FD
 */
const OWN_VARIABLES: ReadonlySet<string> = new Set([
  HOLDER_VARIABLE,
  RESTARTS_VARIABLE,
  "NODE_CHANNEL_FD",
  "NODE_CHANNEL_SERIALIZATION_MODE",
]);

/**
 * The environment of a generation without the variables of its endpoint: dewy's own, without credentials if
 * `--isolate-env` is set, the user's `HOME`, and the environment files. These are read again each time, so that a restart
 * of the app applies their changes.
 */
export async function appEnvironment(
  config: Pick<ServerConfig, "envFiles" | "isolateEnv" | "user">,
  context: Pick<CommandContext, "env" | "registries" | "notifiers" | "caches">,
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
  { env, ...tables }: Pick<CommandContext, "env" | "registries" | "notifiers" | "caches">,
): Environment {
  const passed = Object.fromEntries(
    Object.entries(env).filter(([name]) => !OWN_VARIABLES.has(name)),
  );
  return isolate ? isolated(passed, tables) : passed;
}

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
