import type { Clock } from "../../core/clock.ts";
import { type GenerationOptions, startGeneration } from "../../host/generation_process.ts";
import { signalProcess } from "../../host/process_group.ts";
import type { AppRelease, Generation, StartGeneration } from "./generation.ts";
import type { Place } from "./handoff.ts";
import { ROOT_VARIABLE } from "./orphans.ts";
import { OutputTail } from "./output_tail.ts";

/** What the app is started with. */
export interface AppOptions {
  /** The program and its arguments. */
  program: readonly [string, ...string[]];
  /** The working directory of the app, and the mark of its processes. */
  root: string;
  /** Its environment, read anew for every start. */
  environment(): Promise<Readonly<Record<string, string | undefined>>>;
  /** Who it runs as; absent: as dewy does. */
  user: GenerationOptions["user"];
  /** Takes what it writes, as it is. */
  write(
    generation: { number: number; release: AppRelease },
    stream: "stdout" | "stderr",
    chunk: Uint8Array,
  ): void;
  clock: Clock;
}

/**
 * Makes the function that starts the app of a release.
 *
 * @param options what the app is started with.
 * @returns the function; it rejects with a HostError when the program cannot be executed.
 */
export function appStarter(options: AppOptions): StartGeneration {
  return async (release, number, place): Promise<Generation> => {
    const tail = new OutputTail();
    const startedAt = options.clock.now();
    const child = await startGeneration({
      command: options.program,
      cwd: options.root,
      env: await variables(release, number, place, options),
      sockets: place.sockets,
      generation: number,
      readyDescriptor: true,
      user: options.user,
      onOutput: (stream, chunk) => {
        tail.add(chunk);
        options.write({ number, release }, stream, chunk);
      },
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
      exited: child.exited,
      saidReady: child.ready,
      signal: (name) => {
        // Its number may be another process's by now.
        if (!hasEnded) signalProcess(child.pid, name);
      },
      killGroup: () => child.signalGroup("SIGKILL"),
      isAlive: () => child.groupIsAlive(),
      lastLines: (count) => tail.last(count),
    };
  };
}

async function variables(
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
    [ROOT_VARIABLE]: options.root,
  };
}
