import type { Clock } from "../../core/clock.ts";
import { type DeployError, faultOf } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { BakeOutcome } from "../../deploy/deployer.ts";
import type { AppRelease } from "../../deployers/runner.ts";
import type { GenerationExit } from "../generation/command.ts";
import { describeExit, type Generation } from "./generation.ts";
import type { Handoff } from "./handoff.ts";
import { generationError } from "./readiness.ts";

const CHECK_MS = 1_000;
const FAILED_CHECKS = 3;

export interface BakeOptions {
  durationMs: number;
  current: () => Generation | undefined;
  handoff: Handoff;
  clock: Clock;
}

/** The bake of a release. A generation of it that is restarted by the operator in this time continues the bake. */
export class BakePeriod {
  readonly #directory: string;
  readonly #verdict: Promise<"superseded">;
  #fail: (error: DeployError) => void = () => {};
  #supersede: () => void = () => {};

  constructor({ directory }: AppRelease) {
    this.#directory = directory;
    this.#verdict = new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#supersede = () => resolve("superseded");
    });
    this.#verdict.catch(() => {});
  }

  /** Whether a failure of the generation fails the bake. */
  covers({ release }: Pick<Generation, "release">): boolean {
    return release.directory === this.#directory;
  }

  supersede(): void {
    this.#supersede();
  }

  exited(generation: Generation, exit: GenerationExit): void {
    const reason = `the app ${describeExit(exit)} after it had taken over`;
    this.#fail(generationError(generation, reason));
  }

  /** Rejects if the release has failed. If the signal is aborted, the release counts as proven. */
  async wait(options: BakeOptions, signal: AbortSignal): Promise<BakeOutcome> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const proven = (): BakeOutcome => "proven";
    const timeout = options.clock.sleep(options.durationMs, either).then(proven, proven);
    const checks = this.#check(options, either);
    try {
      return await Promise.race([this.#verdict, checks, timeout]);
    } finally {
      over.abort();
      checks.catch(() => {});
    }
  }

  async #check({ current, handoff, clock }: BakeOptions, signal: AbortSignal): Promise<never> {
    let failed = 0;
    while (!signal.aborted) {
      await clock.sleep(CHECK_MS, signal).catch(() => {});
      const generation = current();
      if (signal.aborted || handoff.check === undefined) break;
      if (generation === undefined || !this.covers(generation)) continue;
      const reason = await handoff
        .check(generation.endpoint, signal)
        .then(() => undefined, whyUnhealthy);
      failed = reason === undefined ? 0 : failed + 1;
      if (failed === FAILED_CHECKS && !signal.aborted) {
        throw generationError(generation, `the app became unhealthy: ${reason}`);
      }
    }
    return new Promise<never>(() => {}); // One of the others wins the race.
  }
}

/** A check that fails because of this machine is not the app's fault. */
function whyUnhealthy(error: unknown): string | undefined {
  return faultOf(error) === "release" ? messageOf(error) : undefined;
}
