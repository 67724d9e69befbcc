import type { Clock } from "../../core/clock.ts";
import { faultOf } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { type Exclusively, exclusive } from "../../core/exclusive.ts";
import { messageOf } from "../../core/message_of.ts";
import type { BakeOutcome } from "../../deploy/deployer.ts";
import type { AppRelease, CrashLoop, Runner } from "../../deployers/runner.ts";
import { TOLD_LINES } from "../../deployers/with_last_lines.ts";
import { describeExit, type Exit, type Generation, type StartGeneration } from "./generation.ts";
import type { Handoff, Place } from "./handoff.ts";
import type { Orphan } from "./orphans.ts";
import { Probation } from "./probation.ts";
import { becomeReady, brokeDown, type ReadinessOptions } from "./readiness.ts";
import { Restarts } from "./restarts.ts";
import type { Endable } from "./retire.ts";
import { Retirement } from "./retirement.ts";
import { Standby } from "./standby.ts";

/** What a supervisor works with. */
export interface SupervisorOptions {
  start: StartGeneration;
  handoff: Handoff;
  readiness: ReadinessOptions;
  /** What asks a generation to end. */
  signalOnTerm: string;
  /** How long an old generation stays beside a new one that is ready, so that it can serve again at once, in milliseconds. */
  overlapMs: number;
  /** How long an old generation may take to finish, in milliseconds. */
  drainMs: number;
  /** Whether an app that ends by itself with exit code 0 is started again. */
  restart: "always" | "on-failure";
  /** Is told when a release keeps crashing; once a row. */
  onCrashLoop(loop: CrashLoop): void;
  /** Dewy is to end: nothing is started any more. */
  stopping: AbortSignal;
  clock: Clock;
  emit: EventSink;
}

/**
 * Keeps one generation of the app running, and replaces it without a gap. There is one supervisor a process; its
 * operations run one after the other.
 */
export class Supervisor implements Runner {
  readonly #options: SupervisorOptions;
  readonly #end = new AbortController();
  /** Nothing is started any more. */
  readonly #stop: AbortSignal;
  readonly #exclusively: Exclusively = exclusive();
  readonly #standby: Standby;
  readonly #restarts: Restarts;
  readonly #retirement: Retirement;
  /** Every generation that was started or adopted and of which something may still run, with the directory of its release. */
  readonly #living = new Map<Endable, string>();
  #current: Generation | undefined;
  #probation: Probation | undefined;
  /** Set from a failed {@link deploy} until the caller goes back: `current` points to the failed release, so nothing may start. */
  #mustGoBack = false;
  #started = 0;
  /** Resolves when nothing is left of the generation that ended last. */
  #gone: Promise<void> = Promise.resolve();

  /** @param options what it works with. */
  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#stop = AbortSignal.any([options.stopping, this.#end.signal]);
    this.#standby = new Standby(options.clock);
    this.#retirement = new Retirement(options);
    this.#restarts = new Restarts({
      start: (release, signal) => this.#exclusively(() => this.#restartCrashed(release, signal)),
      onCrashLoop: options.onCrashLoop,
      clock: options.clock,
      signal: this.#stop,
    });
  }

  /** The release that serves, or is to be started again; `undefined` when there is none. */
  get release(): AppRelease | undefined {
    return this.#current?.release;
  }

  /** The generation that serves; `undefined` when there is none. */
  get running(): { generation: number; pid: number } | undefined {
    const current = this.#current;
    return current === undefined ? undefined : { generation: current.number, pid: current.pid };
  }

  /**
   * Takes charge of processes that an earlier dewy has left behind: they end when a generation of ours can serve.
   *
   * @param orphans what is left.
   */
  adopt(orphans: readonly Orphan[]): void {
    this.#retirement.adopt(orphans);
    for (const orphan of orphans) this.#living.set(orphan, orphan.directory);
  }

  /** Ends what {@link adopt} took charge of. */
  retireOrphans(): void {
    this.#retirement.endOrphans();
  }

  /**
   * Starts a new release and, once it is ready, lets it take over, on probation: {@link bake} ends that. The generation
   * before it serves until then, stands by for a while, and finishes what it has begun afterwards. One that is still
   * baking does not stand by: the last good one does, unless it has been asked to end already.
   *
   * @param release what to run.
   * @param signal ends it as long as the new one is not ready.
   * @throws DeployError when the new one does not become ready; the old one serves on.
   */
  deploy(release: AppRelease, signal: AbortSignal): Promise<void> {
    return this.#exclusively(async () => {
      this.#mustGoBack = true;
      await this.#replace(release, signal, { onProbation: true, standsBy: true });
      this.#mustGoBack = false;
    });
  }

  /**
   * Waits until the probation of a release is over; it is not restarted meanwhile.
   *
   * @param release which one.
   * @param durationMs how long that is.
   * @param signal ends it early.
   * @returns how it ended.
   * @throws DeployError when it ends or becomes unhealthy. What stood by serves again already.
   */
  async bake(release: AppRelease, durationMs: number, signal: AbortSignal): Promise<BakeOutcome> {
    const probation = this.#probation;
    if (!probation?.covers({ release })) return "superseded";
    const { clock, handoff } = this.#options;
    const current = (): Generation | undefined => this.#current;
    try {
      const ended = AbortSignal.any([signal, this.#stop]);
      const outcome = await probation.pass(durationMs, { current, handoff, clock }, ended);
      // From here on nothing goes back by itself.
      if (outcome === "proven") this.#standby.dismiss(this.#current?.release.directory);
      return outcome;
    } finally {
      if (this.#probation === probation) this.#probation = undefined;
      // What has failed is rolled back next; by then nothing of it may answer any more.
      await this.#gone;
    }
  }

  /**
   * Starts a release without probation, and never gives up: what cannot be started now is tried again with growing pauses.
   *
   * @param release what to run.
   */
  async ensureRunning(release: AppRelease): Promise<void> {
    if (this.#stop.aborted) return;
    try {
      await this.#exclusively(async () => {
        this.#mustGoBack = false;
        await this.#replace(release, this.#stop);
      });
    } catch (error) {
      if (!this.#stop.aborted) this.#tellFailedStart(release, error);
    }
  }

  /**
   * Lets an earlier release serve again: at once while its generation stands by, else as {@link ensureRunning}.
   *
   * @param release what to run.
   */
  async rollback(release: AppRelease): Promise<void> {
    const serves = await this.#exclusively(async () => {
      this.#mustGoBack = false;
      const failed = this.#current;
      if (failed?.release.directory === release.directory) return true;
      const hasResumed = this.#resume(release.directory) !== undefined;
      if (hasResumed && failed !== undefined) this.#retireLater(failed);
      return hasResumed;
    });
    if (!serves) await this.ensureRunning(release);
  }

  /**
   * Whether a release still has to be started to be the one that serves.
   *
   * @param directory the name of its directory.
   */
  mustRun(directory: string): boolean {
    return this.#current?.release.directory !== directory;
  }

  /** Ends what serves, and starts nothing in its place. */
  async end(): Promise<void> {
    this.#restarts.cancel();
    await this.#exclusively(async () => {
      this.#mustGoBack = false;
      const current = this.#current;
      this.#current = undefined;
      if (current !== undefined) await this.#retirement.end(current);
    });
  }

  /** {@inheritDoc Runner.inUse} */
  async inUse(): Promise<ReadonlySet<string>> {
    await this.#forgetEnded();
    return new Set(this.#living.values());
  }

  /**
   * Starts the current release again, without a gap.
   *
   * @param signal ends it as long as the new generation is not ready.
   */
  async restart(signal: AbortSignal): Promise<void> {
    await this.#exclusively(async () => {
      const release = this.#current?.release;
      if (release === undefined) return;
      await this.#replace(release, signal, { standsBy: true });
    });
  }

  /** Ends everything; resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#end.abort();
    this.#restarts.cancel();
    this.#options.handoff.stopAccepting();
    await this.#exclusively(async () => {
      const current = this.#current;
      this.#current = undefined;
      if (current !== undefined) this.#retireLater(current);
    });
    await this.#retirement.settled();
    await this.#options.handoff.close();
  }

  async #replace(
    release: AppRelease,
    signal: AbortSignal,
    how: { onProbation?: boolean; standsBy?: boolean } = {},
  ): Promise<void> {
    const { handoff, overlapMs } = this.#options;
    await this.#retirement.tellOrphans();
    const stopped = handoff.overlaps ? undefined : this.#current;
    if (stopped !== undefined) {
      this.#current = undefined;
      await this.#retirement.end(stopped);
    }
    const next = await this.#startReady(release, signal).catch(async (error: unknown) => {
      if (stopped !== undefined) await this.#startAgain(stopped.release);
      throw error;
    });
    const before = this.#current;
    let { standsBy = false } = how;
    if (how.onProbation === true) {
      if (before !== undefined && this.#probation?.covers(before)) {
        standsBy = false;
        this.#standby.prolong();
      }
      this.#probation?.superseded();
      this.#probation = new Probation(release);
    }
    this.#begin(next);
    if (before !== undefined) this.#retireLater(before, standsBy ? overlapMs : 0);
    this.#retirement.endOrphans();
  }

  /** From now on this one serves, and its end is a crash. */
  #begin(generation: Generation): void {
    const { emit, clock } = this.#options;
    const { number, pid, release, startedAt } = generation;
    const durationMs = clock.now() - startedAt;
    // The one before it may be waiting to be started again.
    this.#restarts.cancel();
    this.#serveWith(generation);
    void generation.exited.then((exit) => {
      if (generation === this.#current && !this.#end.signal.aborted) this.#ended(generation, exit);
    });
    emit({ type: "generation-ready", tag: release.tag, generation: number, pid, durationMs });
  }

  #serveWith(generation: Generation): void {
    this.#options.handoff.take(generation.place);
    this.#current = generation;
  }

  async #startReady(release: AppRelease, signal: AbortSignal): Promise<Generation> {
    const { handoff, readiness, start } = this.#options;
    const place: Place = await handoff.prepare();
    await this.#gone;
    await this.#forgetEnded();
    this.#started += 1;
    const generation = await start(release, this.#started, place);
    this.#living.set(generation, release.directory);
    try {
      await becomeReady(generation, handoff, readiness, AbortSignal.any([signal, this.#stop]));
      return generation;
    } catch (error) {
      await this.#retirement.kill(generation);
      throw error;
    }
  }

  async #forgetEnded(): Promise<void> {
    for (const one of [...this.#living.keys()]) {
      if (!one.isRunning() && (await one.members()).length === 0) this.#living.delete(one);
    }
  }

  /** Without overlap, a failed switch has already ended what served. */
  async #startAgain(release: AppRelease): Promise<void> {
    if (this.#stop.aborted || this.#mustGoBack) return;
    try {
      this.#begin(await this.#startReady(release, this.#stop));
    } catch (error) {
      this.#tellFailedStart(release, error);
    }
  }

  #ended(generation: Generation, exit: Exit): void {
    const { restart, clock } = this.#options;
    const killed = this.#retirement.kill(generation);
    this.#gone = this.#gone.then(() => killed);
    if (exit.code === 0 && restart === "on-failure") {
      this.#standby.dismiss();
      this.#tellExit(generation, exit, undefined);
      return;
    }
    const next = this.#resume();
    if (this.#probation?.covers(generation) === true) {
      this.#probation.ended(generation, exit);
      return;
    }
    if (next !== undefined) {
      this.#tellResumed(next, brokeDown(generation, `it ended with ${describeExit(exit)}`).message);
      return;
    }
    const lifeMs = clock.now() - generation.startedAt;
    const { release } = generation;
    const restartInMs = this.#restarts.later(release, describeExit(exit), lifeMs, "release");
    this.#tellExit(generation, exit, restartInMs);
  }

  /** The generation that stands by serves again, if there is one. */
  #resume(directory?: string): Generation | undefined {
    const generation = this.#standby.take(directory);
    if (generation !== undefined) this.#serveWith(generation);
    return generation;
  }

  #tellResumed({ number: generation, pid, release }: Generation, reason: string): void {
    this.#options.emit({ type: "resumed", tag: release.tag, generation, pid, reason });
  }

  #tellExit(generation: Generation, exit: Exit, restartInMs: number | undefined): void {
    const { number, pid, release } = generation;
    this.#options.emit({
      type: "app-exited",
      tag: release.tag,
      generation: number,
      pid,
      ...exit,
      lastLines: generation.lastLines(TOLD_LINES),
      hints: generation.hints,
      restartInMs,
    });
  }

  async #restartCrashed(release: AppRelease, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (this.#mustGoBack) {
      this.#restarts.postpone(release);
      return;
    }
    try {
      await this.#replace(release, signal);
    } catch (error) {
      if (!signal.aborted) this.#tellFailedStart(release, error);
    }
  }

  #tellFailedStart(release: AppRelease, error: unknown): void {
    const reason = messageOf(error);
    const retryInMs = this.#restarts.later(release, reason, 0, faultOf(error));
    this.#options.emit({ type: "start-failed", tag: release.tag, reason, retryInMs });
  }

  /** Connections that are on their way to it are still accepted; it may have to serve again. */
  #retireLater(generation: Generation, standbyMs = 0): void {
    const { clock, handoff } = this.#options;
    const { signal } = this.#end;
    const pauseMs = Math.max(standbyMs, handoff.settleMs);
    const servesAgain =
      standbyMs > 0
        ? this.#standby.keep(generation, pauseMs, signal)
        : clock.sleep(pauseMs, signal).then(isOver, isOver);
    this.#retirement.endLater(generation, servesAgain);
  }
}

const isOver = (): boolean => false;
