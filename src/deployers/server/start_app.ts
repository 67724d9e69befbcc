import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Environment } from "../../core/environment.ts";
import type { Redact } from "../../core/secret.ts";
import { type GenerationOptions, startGeneration } from "../../host/generation_process.ts";
import { ownDirectory } from "../../host/own_directory.ts";
import { signalProcess } from "../../host/process_group.ts";
import { removeTree } from "../../host/remove_tree.ts";
import type { AppRelease } from "../runner.ts";
import type { Generation, StartGeneration } from "./generation.ts";
import type { Place } from "./handoff.ts";
import { RELEASE_VARIABLE, ROOT_VARIABLE } from "./orphans.ts";
import { OutputTail } from "./output_tail.ts";

/** What the app is started with. */
export interface AppOptions {
  /** The program and its arguments. */
  program: readonly [string, ...string[]];
  /** The working directory of the app, and the mark of its processes. */
  root: string;
  /** The absolute path of a release. */
  releasePath(directory: string): string;
  /** Its environment, read anew for every start. */
  environment(): Promise<Readonly<Record<string, string | undefined>>>;
  /** Who it runs as; absent: as dewy does. */
  user: GenerationOptions["user"];
  /** Whether somebody waits for its word that it is ready. */
  saysReady: boolean;
  /** Whether its lines begin with their generation. */
  logPrefix: boolean;
  /** Makes what masks the secrets of its environment in its last lines. */
  redactor(env: Environment): Redact;
  clock: Clock;
}

/**
 * Makes the function that starts the app of a release.
 *
 * @param options what the app is started with.
 * @returns the function; it rejects with a DeployError when the program cannot be executed.
 */
export function appStarter(options: AppOptions): StartGeneration {
  let isFirst = true;
  return async (release, number, place): Promise<Generation> => {
    const runDirectory = await ownDirectory(join(options.root, ".dewy", "run"));
    if (isFirst) await empty(runDirectory);
    isFirst = false;
    const tail = new OutputTail();
    const startedAt = options.clock.now();
    const env = await appVariables(release, number, place, options);
    const child = await startGeneration({
      command: options.program,
      cwd: options.root,
      env,
      sockets: place.sockets,
      generation: number,
      readyDescriptor: true,
      notifySocket: options.saysReady,
      user: options.user,
      runDirectory,
      prefix: options.logPrefix ? `[${release.tag || "?"} #${number}] ` : "",
      onOutput: (chunk) => tail.add(chunk),
    });
    let hasEnded = false;
    void child.exited.then(() => {
      hasEnded = true;
    });
    return {
      number,
      release,
      place,
      startedAt,
      pid: child.pid,
      get hasEnded() {
        return hasEnded;
      },
      exited: child.exited,
      saidReady: child.ready,
      signal: (name) => {
        // Its number may be another process's by now.
        if (!hasEnded) signalProcess(child.pid, name);
      },
      killGroup: () => child.signalGroup("SIGKILL"),
      isAlive: () => child.groupIsAlive(),
      lastLines(count) {
        const redact = options.redactor(env);
        return tail.last(count).map((line) => redact(line));
      },
    };
  };
}

/** What the relays and sockets of generations are called. */
const RUN_NAME = /^(?:output|notify)-/;

async function empty(directory: string): Promise<void> {
  await chmod(directory, 0o711);
  for (const name of await readdir(directory)) {
    if (RUN_NAME.test(name)) await removeTree(join(directory, name));
  }
}

/**
 * The environment of a generation, but for what speaks of its sockets.
 *
 * @param release what is started.
 * @param number the start's number.
 * @param place where.
 * @param options what the app is started with.
 * @returns variables by name.
 */
export async function appVariables(
  release: AppRelease,
  number: number,
  place: Place,
  options: AppOptions,
): Promise<Readonly<Record<string, string | undefined>>> {
  return {
    ...(await options.environment()),
    ...place.env,
    DEWY_TAG: release.tag,
    DEWY_GENERATION: String(number),
    [RELEASE_VARIABLE]: options.releasePath(release.directory),
    [ROOT_VARIABLE]: options.root,
  };
}
