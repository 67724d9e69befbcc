import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Environment } from "../../core/environment.ts";
import type { Redact } from "../../core/secret.ts";
import type { AppRelease } from "../../deployers/runner.ts";
import { ownDirectory } from "../../host/files/own_directory.ts";
import { removeTree } from "../../host/files/remove_tree.ts";
import { NotExecutedError } from "../generation/execution.ts";
import {
  GENERATION_VARIABLE,
  type GenerationMembers,
  ID_VARIABLE,
  markedSocket,
  RELEASE_VARIABLE,
  ROOT_VARIABLE,
  TAG_VARIABLE,
} from "../generation/members.ts";
import { type GenerationOptions, startGeneration } from "../generation/process.ts";
import { checkProgram, foreignArchitecture, withFault } from "./check_program.ts";
import type { Generation, StartGeneration } from "./generation.ts";
import { endable } from "./generation_end.ts";
import type { Place } from "./handoff.ts";
import { OutputTail } from "./output_tail.ts";
import type { Member } from "./retire.ts";

/** What the app is started with. */
export interface AppOptions {
  /** The program and its arguments. */
  program: readonly [string, ...string[]];
  /** The working directory of the app, and the mark of its processes. */
  root: string;
  /** The absolute path of a release. */
  releasePath(directory: string): string;
  /** Finds its processes. */
  members: GenerationMembers;
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
 * @returns the function; it rejects with a DewyError that says whose fault it is when the program cannot be executed.
 */
export function appStarter(options: AppOptions): StartGeneration {
  let isFirst = true;
  return async (release, number, place): Promise<Generation> => {
    const runDirectory = await ownDirectory(join(options.root, ".dewy", "run"));
    if (isFirst) await empty(runDirectory);
    isFirst = false;
    const tail = new OutputTail();
    const startedAt = options.clock.now();
    const { program, root, members } = options;
    const id = members.idOf(number);
    const variables = await appVariables(release, number, place, options);
    const env: typeof variables = { ...variables, [ID_VARIABLE]: id };
    const checked = { name: program[0], root, searchPath: env.PATH, release };
    await checkProgram(checked);
    let startTime = "";
    const child = await startGeneration({
      command: program,
      cwd: root,
      env,
      sockets: place.sockets,
      generation: number,
      readyDescriptor: true,
      notifySocket: options.saysReady,
      user: options.user,
      cgroup: members.makeCgroup(id),
      runDirectory,
      prefix: options.logPrefix ? `[${release.tag || "?"} #${number}] ` : "",
      onOutput: (chunk) => tail.add(chunk),
      onSpawn: (spawned) => {
        startTime = spawned.startTime ?? "";
        const sockets = place.sockets.flatMap(({ fd, inherited }) => markedSocket(fd, inherited));
        members.add({ ...spawned, id, startTime, sockets });
      },
    }).catch(async (error: unknown) => {
      members.remove(id);
      throw error instanceof NotExecutedError ? await withFault(error, checked) : error;
    });
    const processes = endable({ id, pid: child.pid, startTime }, members);
    const foreign = foreignArchitecture(checked);
    const hints = foreign === undefined ? [] : [foreign];
    let hasEnded = false;
    const exited = child.exited.then(async (exit) => {
      hasEnded = true;
      const left = exit.code === 0 ? await processes.members() : [];
      if (left.length > 0) hints.push(backgroundHint(left));
      return exit;
    });
    return {
      ...processes,
      number,
      release,
      place,
      startedAt,
      get hasEnded() {
        return hasEnded;
      },
      exited,
      saidReady: child.ready,
      lastLines(count) {
        const redact = options.redactor(env);
        return tail.last(count).map((line) => redact(line));
      },
      hints,
    };
  };
}

/** An app that exits well and leaves processes running has most likely put itself into the background. */
function backgroundHint(left: readonly Member[]): string {
  const names = [...new Set(left.map(({ name }) => name))].join(", ");
  return `it left processes running (${names}), so it seems to put itself into the background, where dewy cannot supervise it: run it in the foreground, for example with "daemon off;" (nginx) or without --daemon (gunicorn)`;
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
    [TAG_VARIABLE]: release.tag,
    [GENERATION_VARIABLE]: String(number),
    [RELEASE_VARIABLE]: options.releasePath(release.directory),
    [ROOT_VARIABLE]: options.root,
  };
}
