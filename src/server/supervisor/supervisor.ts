import { type Exclusively, exclusive } from "../../core/concurrency.ts";
import { faultOf } from "../../core/error.ts";
import type { StartReason } from "../../core/event.ts";
import { messageOf } from "../../core/message_of.ts";
import { lastWithin } from "../../core/text.ts";
import type { BakeOutcome } from "../../deploy/deployer.ts";
import type { AppRelease, CrashLoop, Runner } from "../../deployers/runner.ts";
import { TOLD_LINES } from "../../deployers/with_last_lines.ts";
import type { GenerationExit } from "../generation/command.ts";
import { appReport } from "./app_report.ts";
import { BakePeriod } from "./bake_period.ts";
import { Drainer, type DrainerOptions } from "./drainer.ts";
import { describeExit, type Generation, type StartGeneration } from "./generation.ts";
import type { Orphan } from "./orphans.ts";
import { becomeReady, generationError, type ReadinessOptions } from "./readiness.ts";
import { Restarts } from "./restarts.ts";
import { Standby } from "./standby.ts";

export interface SupervisorOptions extends DrainerOptions {
  start: StartGeneration;
  readiness: ReadinessOptions;
  /** How long an old generation stays next to its ready successor, so that it can serve again at once. */
  overlapMs: number;
  restart: "always" | "on-failure";
  /** Called once per crash loop. */
  onCrashLoop(loop: CrashLoop): void;
  /** Once aborted, nothing is started any more. */
  stopping: AbortSignal;
}

/** Keeps one generation of the app running, and replaces it without a gap. All operations are serialized. */
export class Supervisor implements Runner {
  readonly #options: SupervisorOptions;
  readonly #end = new AbortController();
  readonly #stop: AbortSignal;
  readonly #exclusively: Exclusively = exclusive();
  readonly #standby: Standby;
  readonly #restarts: Restarts;
  readonly #drainer: Drainer;
  /** Every started or adopted generation that may still run, with its release directory. */
  readonly #living = new Map<Generation | Orphan, string>();
  #current: Generation | undefined;
  #starting: Generation | undefined;
  #bake: BakePeriod | undefined;
  /** Set from a failed {@link deploy} until the rollback: `current` points to the failed release, so nothing may start. */
  #mustRollBack = false;
  #started = 0;
  /** Whether a generation of this dewy process has ever served. */
  #hasBegun = false;
  /** The last two starts: after a crash, the output of the first explains it. */
  #lastStarts: readonly Generation[] = [];
  /** Resolves when nothing is left of the generation that exited last. */
  #gone: Promise<void> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#stop = AbortSignal.any([options.stopping, this.#end.signal]);
    this.#standby = new Standby(options.clock);
    this.#drainer = new Drainer(options);
    this.#restarts = new Restarts({
      start: (release, signal) => this.#exclusively(() => this.#restartCrashed(release, signal)),
      onCrashLoop: options.onCrashLoop,
      clock: options.clock,
      signal: this.#stop,
    });
  }

  /** The release that serves or is about to be restarted. */
  get release(): AppRelease | undefined {
    return this.#current?.release;
  }

  get running(): { generation: number; pid: number } | undefined {
    const current = this.#current;
    return current === undefined ? undefined : { generation: current.number, pid: current.pid };
  }

  report(): ReturnType<typeof appReport> {
    return appReport({
      living: this.#living.keys(),
      current: this.#current,
      starting: this.#starting,
      standby: this.#standby.generation,
      isRestarting: this.#restarts.isPending,
      restarts: this.#restarts.count,
    });
  }

  /** The last output of the app, for people. */
  lastLines(): readonly string[] {
    return lastWithin(this.#lastStarts.flatMap((generation) => generation.output()));
  }

  /** Adopts orphans, which are stopped once a new generation serves. */
  adopt(orphans: readonly Orphan[]): void {
    this.#drainer.adopt(orphans);
    for (const orphan of orphans) this.#living.set(orphan, orphan.directory);
  }

  stopOrphans(): void {
    this.#drainer.stopOrphans();
  }

  /**
   * Starts a new release and lets it take over once it is ready; {@link bake} watches it afterwards. The previous generation
   * serves until then, stands by for the overlap, and drains. A generation that is still baking does not stand by: the last
   * good one keeps doing so, unless it is draining already. Rejects if the new release does not become ready.
   */
  deploy(release: AppRelease, signal: AbortSignal): Promise<void> {
    return this.#exclusively(async () => {
      this.#mustRollBack = true;
      await this.#replace(release, signal, { reason: "deploy", bakes: true, standsBy: true });
      this.#mustRollBack = false;
    });
  }

  /** If it rejects, the generation on standby serves again already. */
  async bake(release: AppRelease, durationMs: number, signal: AbortSignal): Promise<BakeOutcome> {
    const bake = this.#bake;
    if (!bake?.covers({ release })) return "superseded";
    const { clock, handoff } = this.#options;
    const current = (): Generation | undefined => this.#current;
    try {
      const ended = AbortSignal.any([signal, this.#stop]);
      const outcome = await bake.wait({ durationMs, current, handoff, clock }, ended);
      // From now on, a failure does not cause a rollback.
      if (outcome === "proven") this.#standby.release(this.#current?.release.directory);
      return outcome;
    } finally {
      if (this.#bake === bake) this.#bake = undefined;
      // A failed release is rolled back next. None of its processes may answer requests by then.
      await this.#gone;
    }
  }

  async ensureRunning(release: AppRelease): Promise<void> {
    if (this.#stop.aborted) return;
    try {
      await this.#exclusively(async () => {
        this.#mustRollBack = false;
        await this.#replace(release, this.#stop, { reason: "rollback" });
      });
    } catch (error) {
      if (!this.#stop.aborted) this.#reportFailedStart(release, error);
    }
  }

  /** The generation of the release may be on standby; otherwise the release is started. */
  async rollback(release: AppRelease): Promise<void> {
    const serves = await this.#exclusively(async () => {
      this.#mustRollBack = false;
      const failed = this.#current;
      if (failed?.release.directory === release.directory) return true;
      const hasResumed = this.#resume(release.directory) !== undefined;
      if (hasResumed && failed !== undefined) this.#drainLater(failed);
      return hasResumed;
    });
    if (!serves) await this.ensureRunning(release);
  }

  /** The generation on standby serves again at once; otherwise one is started. */
  takeBack(release: AppRelease, signal: AbortSignal): Promise<void> {
    return this.#exclusively(async () => {
      this.#mustRollBack = true;
      const left = this.#current;
      const { directory } = release;
      if (left?.release.directory !== directory) {
        if (this.#resume(directory) === undefined) {
          await this.#replace(release, signal, { reason: "rollback" });
        } else if (left !== undefined) this.#drainLater(left);
        // The release that is left may have crashed.
        this.#restarts.cancel();
        if (this.#bake?.covers({ release }) === false) this.#bake.supersede();
      }
      this.#mustRollBack = false;
    });
  }

  mustRun(directory: string): boolean {
    return this.#current?.release.directory !== directory;
  }

  async end(): Promise<void> {
    this.#restarts.cancel();
    await this.#exclusively(async () => {
      this.#mustRollBack = false;
      const current = this.#current;
      this.#current = undefined;
      if (current !== undefined) await this.#drainer.drain(current);
    });
  }

  async inUse(): Promise<ReadonlySet<string>> {
    await this.#forgetEnded();
    return new Set(this.#living.values());
  }

  async restart(reason: "signal" | "operator", signal: AbortSignal): Promise<void> {
    await this.#exclusively(async () => {
      const release = this.#current?.release;
      if (release === undefined) return;
      await this.#replace(release, signal, { reason, standsBy: true });
    });
  }

  async stop(): Promise<void> {
    this.#end.abort();
    this.#restarts.cancel();
    this.#options.handoff.stopAccepting();
    await this.#exclusively(async () => {
      const current = this.#current;
      this.#current = undefined;
      if (current !== undefined) this.#drainLater(current);
    });
    await this.#drainer.settled();
    await this.#options.handoff.close();
  }

  async #replace(
    release: AppRelease,
    signal: AbortSignal,
    how: { reason: StartReason; bakes?: boolean; standsBy?: boolean },
  ): Promise<void> {
    const { handoff, overlapMs } = this.#options;
    await this.#drainer.reportOrphans();
    const stopped = handoff.overlaps ? undefined : this.#current;
    if (stopped !== undefined) {
      this.#current = undefined;
      await this.#drainer.drain(stopped);
    }
    const next = await this.#startReady(release, signal).catch(async (error: unknown) => {
      if (stopped !== undefined) await this.#startAgain(stopped.release);
      throw error;
    });
    const before = this.#current;
    let { standsBy = false } = how;
    if (how.bakes === true) {
      if (before !== undefined && this.#bake?.covers(before)) {
        standsBy = false;
        this.#standby.prolong();
      }
      this.#bake?.supersede();
      this.#bake = new BakePeriod(release);
    }
    this.#begin(next, how.reason);
    if (before !== undefined) this.#drainLater(before, standsBy ? overlapMs : 0);
    this.#drainer.stopOrphans();
  }

  /** From now on this generation serves, and its exit is a crash. */
  #begin(generation: Generation, why: StartReason): void {
    const { emit, clock } = this.#options;
    const { number, pid, release, startedAt } = generation;
    const durationMs = clock.now() - startedAt;
    // The previous generation may be about to be restarted.
    this.#restarts.cancel();
    this.#serveWith(generation);
    void generation.exited.then((exit) => {
      if (generation === this.#current && !this.#end.signal.aborted) {
        this.#handleExit(generation, exit);
      }
    });
    const reason = this.#hasBegun ? why : "start";
    this.#hasBegun = true;
    emit({
      type: "generation-ready",
      tag: release.tag,
      generation: number,
      pid,
      reason,
      durationMs,
    });
  }

  #serveWith(generation: Generation): void {
    this.#options.handoff.switchTo(generation.endpoint);
    this.#current = generation;
  }

  async #startReady(release: AppRelease, signal: AbortSignal): Promise<Generation> {
    const { handoff, readiness, start } = this.#options;
    const endpoint = await handoff.prepare();
    await this.#gone;
    await this.#forgetEnded();
    this.#started += 1;
    const generation = await start(release, this.#started, endpoint);
    this.#living.set(generation, release.directory);
    this.#lastStarts = [...this.#lastStarts.slice(-1), generation];
    this.#starting = generation;
    try {
      await becomeReady(generation, handoff, readiness, AbortSignal.any([signal, this.#stop]));
      return generation;
    } catch (error) {
      await this.#drainer.kill(generation);
      throw error;
    } finally {
      this.#starting = undefined;
    }
  }

  async #forgetEnded(): Promise<void> {
    for (const one of [...this.#living.keys()]) {
      if (!one.isRunning() && (await one.members()).length === 0) this.#living.delete(one);
    }
  }

  /** Without overlap, a failed switch has already stopped the previous release. */
  async #startAgain(release: AppRelease): Promise<void> {
    if (this.#stop.aborted || this.#mustRollBack) return;
    try {
      this.#begin(await this.#startReady(release, this.#stop), "rollback");
    } catch (error) {
      this.#reportFailedStart(release, error);
    }
  }

  #handleExit(generation: Generation, exit: GenerationExit): void {
    const { restart, clock } = this.#options;
    const killed = this.#drainer.kill(generation);
    this.#gone = this.#gone.then(() => killed);
    if (exit.code === 0 && restart === "on-failure") {
      this.#standby.release();
      this.#reportExit(generation, exit, undefined);
      return;
    }
    const next = this.#resume();
    if (this.#bake?.covers(generation) === true) {
      this.#bake.exited(generation, exit);
      return;
    }
    if (next !== undefined) {
      const error = generationError(generation, `the app ${describeExit(exit)}`);
      this.#reportResumed(next, error.message);
      return;
    }
    const lifeMs = clock.now() - generation.startedAt;
    const { release } = generation;
    const reason = [describeExit(exit), ...generation.hints].join("; ");
    const restartInMs = this.#restarts.schedule(release, reason, lifeMs, "release");
    this.#reportExit(generation, exit, restartInMs);
  }

  /** Lets the generation on standby serve again, if there is one. */
  #resume(directory?: string): Generation | undefined {
    const generation = this.#standby.resume(directory);
    if (generation !== undefined) this.#serveWith(generation);
    return generation;
  }

  #reportResumed({ number: generation, pid, release }: Generation, reason: string): void {
    this.#options.emit({ type: "resumed", tag: release.tag, generation, pid, reason });
  }

  #reportExit(generation: Generation, exit: GenerationExit, restartInMs: number | undefined): void {
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
    if (this.#mustRollBack) {
      this.#restarts.postpone(release);
      return;
    }
    try {
      await this.#replace(release, signal, { reason: "crash" });
    } catch (error) {
      if (!signal.aborted) this.#reportFailedStart(release, error);
    }
  }

  #reportFailedStart(release: AppRelease, error: unknown): void {
    const reason = messageOf(error);
    const retryInMs = this.#restarts.schedule(release, reason, 0, faultOf(error));
    this.#options.emit({ type: "start-failed", tag: release.tag, reason, retryInMs });
  }

  /** Until then, the generation accepts connections that are on their way to it, and may serve again. */
  #drainLater(generation: Generation, standbyMs = 0): void {
    const { clock, handoff } = this.#options;
    const { signal } = this.#end;
    const pauseMs = Math.max(standbyMs, handoff.settleMs);
    const servesAgain =
      standbyMs > 0
        ? this.#standby.keep(generation, pauseMs, signal)
        : clock.sleep(pauseMs, signal).then(never, never);
    this.#drainer.drainLater(generation, servesAgain);
  }
}

const never = (): boolean => false;
