import type { Clock } from "../../core/clock.ts";
import type { EventSink } from "../../core/event.ts";
import { type Exclusively, exclusive } from "../../core/exclusive.ts";
import type { AppRelease, Runner } from "../runner.ts";
import { TOLD_LINES } from "../with_last_lines.ts";
import { describeExit, type Exit, type Generation, type StartGeneration } from "./generation.ts";
import type { Handoff, Place } from "./handoff.ts";
import { becomeReady, brokeDown, type ReadinessOptions } from "./readiness.ts";
import { type Endable, retire } from "./retire.ts";

/** What a supervisor works with. */
export interface SupervisorOptions {
  start: StartGeneration;
  handoff: Handoff;
  readiness: ReadinessOptions;
  /** What asks a generation to end. */
  signalOnTerm: string;
  /** How long an old generation may take to finish, in milliseconds. */
  drainMs: number;
  /** Whether an app that ends by itself with exit code 0 is started again. */
  restart: "always" | "on-failure";
  /** Is told when a release keeps crashing; once per release. */
  onCrashLoop(release: AppRelease, reason: string): void;
  clock: Clock;
  emit: EventSink;
}

const FIRST_RESTART_MS = 1_000;
const LONGEST_RESTART_MS = 60_000;
/** A generation that stayed up for so long has not crashed "again". */
const STABLE_MS = 60_000;
const CRASHES_OF_A_LOOP = 5;
const CHECK_MS = 1_000;
const FAILED_CHECKS = 3;

/**
 * Keeps one generation of the app running, and replaces it without a gap. There is one supervisor a process; its
 * operations run one after the other.
 */
export class Supervisor implements Runner {
  readonly #options: SupervisorOptions;
  readonly #stop = new AbortController();
  readonly #retiring = new Set<Promise<void>>();
  readonly #exclusively: Exclusively = exclusive();
  #current: Generation | undefined;
  /** The generation whose failure is somebody else's to judge. */
  #onProbation: Generation | undefined;
  #started = 0;
  #crashes = 0;
  #pendingRestart: AbortController | undefined;

  /** @param options what it works with. */
  constructor(options: SupervisorOptions) {
    this.#options = options;
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
   * Starts a release and, once it is ready, lets it take over. The generation before it serves until then, and
   * finishes what it has begun afterwards.
   *
   * @param release what to run.
   * @param signal ends it as long as the new one is not ready.
   * @throws DeployError when the new one does not become ready; the old one serves on.
   */
  replace(release: AppRelease, signal: AbortSignal): Promise<void> {
    this.#pendingRestart?.abort();
    return this.#exclusively(() => this.#replace(release, signal));
  }

  /**
   * Watches the current generation for a while; nobody restarts it meanwhile.
   *
   * @param durationMs how long.
   * @throws DeployError when it ends or becomes unhealthy.
   */
  async bake(durationMs: number): Promise<void> {
    const generation = this.#current;
    if (generation === undefined || durationMs === 0) return;
    const { clock } = this.#options;
    const over = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, over.signal]);
    this.#onProbation = generation;
    const end = generation.exited.then((exit) => {
      if (!this.#stop.signal.aborted) {
        throw brokeDown(generation, `it ended with ${describeExit(exit)} after it had taken over`);
      }
    });
    const checks = this.#keepChecking(generation, signal);
    // Stopped by the operator: it was ready, and nothing speaks against it.
    const enough = clock.sleep(durationMs, signal).catch(() => {});
    try {
      await Promise.race([end, checks, enough]);
    } finally {
      over.abort();
      this.#onProbation = undefined;
      for (const loser of [end, checks]) loser.catch(() => {});
    }
  }

  /**
   * As {@link replace}, but never gives up: what cannot be started now is tried again with growing pauses.
   *
   * @param release what to run.
   */
  async insist(release: AppRelease): Promise<void> {
    try {
      await this.replace(release, this.#stop.signal);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#tellFailedStart(release, error);
    }
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
    this.#pendingRestart?.abort();
    await this.#exclusively(async () => {
      const current = this.#current;
      this.#current = undefined;
      if (current !== undefined) await this.#retireGeneration(current);
    });
  }

  /** Starts the current release anew, without a gap. */
  async restart(): Promise<void> {
    const release = this.#current?.release;
    if (release === undefined) return;
    await this.replace(release, this.#stop.signal);
  }

  /**
   * Ends processes that an earlier dewy has left behind.
   *
   * @param orphans what is left.
   */
  retireOrphans(orphans: readonly Endable[]): void {
    for (const orphan of orphans) this.#inBackground(this.#end(orphan));
  }

  /** Ends everything; resolves when nothing runs any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#pendingRestart?.abort();
    await this.#exclusively(async () => {
      const current = this.#current;
      this.#current = undefined;
      if (current !== undefined) this.#retireLater(current);
    });
    await Promise.all(this.#retiring);
    await this.#options.handoff.close();
  }

  async #replace(release: AppRelease, signal: AbortSignal): Promise<void> {
    const { handoff, emit, clock } = this.#options;
    const before = this.#current;
    if (before !== undefined && !handoff.overlaps) {
      this.#current = undefined;
      await this.#retireGeneration(before);
    }
    const next = await this.#startReady(release, signal).catch(async (error: unknown) => {
      if (before !== undefined && !handoff.overlaps) await this.#startAgain(before.release);
      throw error;
    });
    handoff.take(next.place);
    this.#current = next;
    this.#watch(next);
    const { number, pid } = next;
    const durationMs = clock.now() - next.startedAt;
    emit({ type: "generation-ready", tag: release.tag, generation: number, pid, durationMs });
    if (before !== undefined && handoff.overlaps) this.#retireLater(before);
  }

  async #startReady(release: AppRelease, signal: AbortSignal): Promise<Generation> {
    const { handoff, readiness, start } = this.#options;
    const place: Place = await handoff.prepare();
    this.#started += 1;
    const generation = await start(release, this.#started, place);
    try {
      await becomeReady(
        generation,
        handoff,
        readiness,
        AbortSignal.any([signal, this.#stop.signal]),
      );
      return generation;
    } catch (error) {
      generation.killGroup();
      throw error;
    }
  }

  /** Without overlap, a failed switch has already ended what served. */
  async #startAgain(release: AppRelease): Promise<void> {
    if (this.#stop.signal.aborted) return;
    try {
      const generation = await this.#startReady(release, this.#stop.signal);
      this.#options.handoff.take(generation.place);
      this.#current = generation;
      this.#watch(generation);
    } catch (error) {
      this.#tellFailedStart(release, error);
    }
  }

  #watch(generation: Generation): void {
    void generation.exited.then((exit) => {
      if (generation !== this.#current || this.#stop.signal.aborted) return;
      if (generation === this.#onProbation) return;
      this.#crashed(generation, exit);
    });
  }

  #crashed(generation: Generation, exit: Exit): void {
    const { restart, clock } = this.#options;
    generation.killGroup();
    if (clock.now() - generation.startedAt >= STABLE_MS) this.#crashes = 0;
    if (exit.code === 0 && restart === "on-failure") {
      this.#tellExit(generation, exit, undefined);
      return;
    }
    const restartInMs = this.#restartLater(generation.release, describeExit(exit));
    this.#tellExit(generation, exit, restartInMs);
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
      restartInMs,
    });
  }

  /** @returns the pause, in milliseconds. */
  #restartLater(release: AppRelease, reason: string): number {
    const { clock, onCrashLoop } = this.#options;
    this.#crashes += 1;
    const pauseMs = Math.min(LONGEST_RESTART_MS, FIRST_RESTART_MS * 2 ** (this.#crashes - 1));
    if (this.#crashes === CRASHES_OF_A_LOOP) {
      onCrashLoop(release, `it crashed ${this.#crashes} times in a row, last with ${reason}`);
    }
    const pending = new AbortController();
    this.#pendingRestart = pending;
    const signal = AbortSignal.any([pending.signal, this.#stop.signal]);
    clock.sleep(pauseMs, signal).then(
      () => this.#exclusively(() => this.#restartCrashed(release, signal)),
      () => {},
    );
    return pauseMs;
  }

  async #restartCrashed(release: AppRelease, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    try {
      await this.#replace(release, signal);
    } catch (error) {
      if (!signal.aborted) this.#tellFailedStart(release, error);
    }
  }

  #tellFailedStart(release: AppRelease, error: unknown): void {
    const restartInMs = this.#restartLater(release, messageOf(error));
    this.#options.emit({
      type: "warning",
      message: "Cannot start the app",
      important: true,
      fields: { tag: release.tag, error: messageOf(error), restart_in_ms: restartInMs },
    });
  }

  async #keepChecking(generation: Generation, signal: AbortSignal): Promise<void> {
    const { handoff, clock } = this.#options;
    let failed = 0;
    while (!signal.aborted) {
      await clock.sleep(CHECK_MS, signal).catch(() => {});
      if (signal.aborted || handoff.check === undefined) break;
      const reason = await handoff.check(generation.place, signal).then(() => undefined, messageOf);
      failed = reason === undefined ? 0 : failed + 1;
      if (failed === FAILED_CHECKS && !signal.aborted) {
        throw brokeDown(generation, `it became unhealthy: ${reason}`);
      }
    }
    await new Promise<never>(() => {}); // the race is decided by the others
  }

  #retireLater(generation: Generation): void {
    const { clock, handoff } = this.#options;
    const settled = clock.sleep(handoff.settleMs, this.#stop.signal).catch(() => {});
    this.#inBackground(settled.then(() => this.#retireGeneration(generation)));
  }

  async #retireGeneration(generation: Generation): Promise<void> {
    const { handoff, drainMs } = this.#options;
    await Promise.all([this.#end(generation), handoff.drain(generation.place, drainMs)]);
  }

  async #end(target: Endable & { number?: number }): Promise<void> {
    const { signalOnTerm, drainMs, clock, emit } = this.#options;
    const startedAt = clock.now();
    const { pid, number: generation = 0 } = target;
    if (!target.isAlive()) return;
    emit({ type: "draining", generation, pid });
    const { killed } = await retire(target, signalOnTerm, drainMs, clock);
    emit({ type: "drained", generation, pid, durationMs: clock.now() - startedAt, killed });
  }

  #inBackground(work: Promise<void>): void {
    const tracked = work.catch(() => {}).finally(() => this.#retiring.delete(tracked));
    this.#retiring.add(tracked);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
