import type { Clock } from "../../core/clock.ts";
import { type DeployError, faultOf } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { BakeOutcome } from "../../deploy/deployer.ts";
import type { AppRelease } from "../../deployers/runner.ts";
import { describeExit, type Exit, type Generation } from "./generation.ts";
import type { Handoff } from "./handoff.ts";
import { brokeDown } from "./readiness.ts";

const CHECK_MS = 1_000;
const FAILED_CHECKS = 3;

/**
 * The time in which a new release has to prove itself. It is about the release: a generation of it that was started
 * anew meanwhile goes on with it.
 */
export class Probation {
  readonly #directory: string;
  readonly #verdict: Promise<"superseded">;
  #fail: (error: DeployError) => void = () => {};
  #supersede: () => void = () => {};

  /** @param release what has taken over. */
  constructor({ directory }: AppRelease) {
    this.#directory = directory;
    this.#verdict = new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#supersede = () => resolve("superseded");
    });
    this.#verdict.catch(() => {});
  }

  /** Whether the failure of a generation is for the probation to judge. */
  covers({ release }: Pick<Generation, "release">): boolean {
    return release.directory === this.#directory;
  }

  /** Ends the probation, because another release has taken over. */
  superseded(): void {
    this.#supersede();
  }

  /**
   * A generation of the release has ended by itself.
   *
   * @param generation the generation.
   * @param exit how.
   */
  ended(generation: Generation, exit: Exit): void {
    const reason = `it ended with ${describeExit(exit)} after it had taken over`;
    this.#fail(brokeDown(generation, reason));
  }

  /**
   * Waits until the time is over.
   *
   * @param durationMs how long.
   * @param parts who serves at any moment, and how to ask it.
   * @param signal ends the time: it was ready, and nothing speaks against it.
   * @returns how it ended.
   * @throws DeployError when the release has failed.
   */
  async pass(
    durationMs: number,
    parts: { current: () => Generation | undefined; handoff: Handoff; clock: Clock },
    signal: AbortSignal,
  ): Promise<BakeOutcome> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const isOver = (): BakeOutcome => "proven";
    const enough = parts.clock.sleep(durationMs, either).then(isOver, isOver);
    const checks = this.#check(parts, either);
    try {
      return await Promise.race([this.#verdict, checks, enough]);
    } finally {
      over.abort();
      checks.catch(() => {});
    }
  }

  async #check(
    { current, handoff, clock }: Parameters<Probation["pass"]>[1],
    signal: AbortSignal,
  ): Promise<never> {
    let failed = 0;
    while (!signal.aborted) {
      await clock.sleep(CHECK_MS, signal).catch(() => {});
      const generation = current();
      if (signal.aborted || handoff.check === undefined) break;
      if (generation === undefined || !this.covers(generation)) continue;
      const reason = await handoff
        .check(generation.place, signal)
        .then(() => undefined, whyUnhealthy);
      failed = reason === undefined ? 0 : failed + 1;
      if (failed === FAILED_CHECKS && !signal.aborted) {
        throw brokeDown(generation, `it became unhealthy: ${reason}`);
      }
    }
    return new Promise<never>(() => {}); // the race is decided by the others
  }
}

/** A check that fails on this machine says nothing about the app. */
function whyUnhealthy(error: unknown): string | undefined {
  return faultOf(error) === "release" ? messageOf(error) : undefined;
}
