import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CommandContext } from "../agent/context.ts";
import { ConfigError } from "../core/error.ts";
import type { ReleaseDirectory } from "../deployers/release_directory.ts";
import type { AppUser } from "./app_user.ts";
import type { ServerConfig } from "./config.ts";
import { appEnvironment, appUser } from "./environment.ts";
import { canEnter } from "./generation/command.ts";
import type { GenerationMembers } from "./generation/members.ts";
import { resolveProgram } from "./program.ts";
import type { AppOptions } from "./supervisor/start_app.ts";

/**
 * Reads how the app is to be started, so that a mistake ends dewy before anything is deployed.
 *
 * @param config what the command is told.
 * @param program the app, as typed.
 * @param directory its working directory.
 * @param members finds its processes.
 * @returns what every generation is started with.
 * @throws ConfigError for an environment file, user or group that cannot be used, and for a directory that the user
 * cannot enter.
 */
export async function appOptions(
  config: ServerConfig,
  program: readonly [string, ...string[]],
  directory: ReleaseDirectory,
  members: GenerationMembers,
  context: CommandContext,
): Promise<AppOptions> {
  const user = await appUser(config, { env: context.env });
  if (user !== undefined) requireEntry(directory.root, user);
  const environment = (): ReturnType<typeof appEnvironment> =>
    appEnvironment(config, context, user);
  await environment();
  return {
    program: resolveProgram(program, process.cwd()),
    root: directory.root,
    releasePath: directory.path,
    members,
    environment,
    user,
    saysReady: config.readyCommand !== undefined,
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
