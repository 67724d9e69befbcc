import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Environment } from "../../core/environment.ts";
import type { Redact } from "../../core/secret.ts";
import { outputForPeople } from "../../core/text.ts";
import type { AppRelease } from "../../deployers/runner.ts";
import { TOLD_CHARACTERS } from "../../deployers/with_last_lines.ts";
import { ownDirectory } from "../../host/files/own_directory.ts";
import { removeTree } from "../../host/files/remove_tree.ts";
import { NotExecutedError } from "../generation/command.ts";
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
import {
  type Generation,
  generationProcesses,
  type Member,
  type StartGeneration,
} from "./generation.ts";
import type { Endpoint } from "./handoff.ts";

export interface AppOptions {
  program: readonly [string, ...string[]];
  /** The working directory, which also marks the processes of the app. */
  root: string;
  releasePath(directory: string): string;
  members: GenerationMembers;
  /** The environment, read again for each start. */
  environment(): Promise<Environment>;
  user: GenerationOptions["user"];
  /** Whether the app gets a `NOTIFY_SOCKET`, because dewy waits for its readiness. */
  reportsReady: boolean;
  logPrefix: boolean;
  /** Masks the secrets of the app's environment in its last lines. */
  redactor(env: Environment): Redact;
  clock: Clock;
}

export function appStarter(options: AppOptions): StartGeneration {
  let isFirst = true;
  return async (release, number, endpoint): Promise<Generation> => {
    const runDirectory = await ownDirectory(join(options.root, ".dewy", "run"));
    if (isFirst) await clear(runDirectory);
    isFirst = false;
    const tail = new OutputTail();
    const startedAt = options.clock.now();
    const { program, root, members } = options;
    const id = members.idOf(number);
    const variables = await appVariables({ release, number, endpoint }, options);
    const env: Environment = { ...variables, [ID_VARIABLE]: id };
    const checked = { name: program[0], root, searchPath: env.PATH, release };
    await checkProgram(checked);
    let startTime = "";
    const child = await startGeneration({
      command: program,
      cwd: root,
      env,
      sockets: endpoint.sockets,
      generation: number,
      notifySocket: options.reportsReady,
      user: options.user,
      cgroup: members.makeCgroup(id),
      runDirectory,
      prefix: options.logPrefix ? `[${release.tag || "?"} #${number}] ` : "",
      onOutput: (chunk) => tail.add(chunk),
      onSpawn: (spawned) => {
        startTime = spawned.startTime;
        const sockets = endpoint.sockets.flatMap(({ fd, inherited }) =>
          markedSocket(fd, inherited),
        );
        members.add({ ...spawned, id, sockets });
      },
    }).catch(async (error: unknown) => {
      members.remove(id);
      throw error instanceof NotExecutedError ? await withFault(error, checked) : error;
    });
    const processes = generationProcesses({ id, pid: child.pid, startTime }, members);
    const foreign = foreignArchitecture(checked);
    const hints = foreign === undefined ? [] : [foreign];
    const redact = options.redactor(env);
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
      endpoint,
      startedAt,
      get hasEnded() {
        return hasEnded;
      },
      exited,
      reportedReady: child.ready,
      lastLines: (count) => tail.last(count).map(redact),
      output: () => outputForPeople(tail.all(), redact),
      hints,
    };
  };
}

/** An app that exits with code 0 and leaves processes running has most likely moved to the background. */
function backgroundHint(left: readonly Member[]): string {
  const names = [...new Set(left.map(({ name }) => name))].join(", ");
  return `it left processes running (${names}), so it seems to put itself into the background, where dewy cannot supervise it: run it in the foreground, for example with "daemon off;" (nginx) or without --daemon (gunicorn)`;
}

/** The names of output FIFOs and notify sockets. */
const RUN_NAME = /^(?:output|notify)-/;

async function clear(directory: string): Promise<void> {
  await chmod(directory, 0o711);
  for (const name of await readdir(directory)) {
    if (RUN_NAME.test(name)) await removeTree(join(directory, name));
  }
}

/** The environment of a generation without the variables of its sockets. */
export async function appVariables(
  { release, number, endpoint }: { release: AppRelease; number: number; endpoint: Endpoint },
  options: AppOptions,
): Promise<Environment> {
  return {
    ...(await options.environment()),
    ...endpoint.env,
    [TAG_VARIABLE]: release.tag,
    [GENERATION_VARIABLE]: String(number),
    [RELEASE_VARIABLE]: options.releasePath(release.directory),
    [ROOT_VARIABLE]: options.root,
  };
}

const KEPT_LINES = 200;
/** Frames within Node, which would push the error itself out of the last lines. */
const NODE_FRAME = /^\s+at .*\bnode:/;

/** Keeps the last lines of output for the error that explains an exit. */
class OutputTail {
  readonly #lines: string[] = [];
  readonly #decoder = new TextDecoder();
  #rest = "";

  add(chunk: Uint8Array): void {
    const parts = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = (parts.pop() ?? "").slice(-TOLD_CHARACTERS);
    this.#lines.push(...parts.slice(-KEPT_LINES).map((line) => line.slice(0, TOLD_CHARACTERS)));
    if (this.#lines.length > KEPT_LINES) this.#lines.splice(0, this.#lines.length - KEPT_LINES);
  }

  /** Oldest first, including an incomplete one. */
  all(): readonly string[] {
    return this.#rest === "" ? this.#lines : [...this.#lines, this.#rest];
  }

  /** The newest lines that can explain an exit. */
  last(count: number): readonly string[] {
    return this.all()
      .filter((line) => !NODE_FRAME.test(line))
      .slice(-count);
  }
}
