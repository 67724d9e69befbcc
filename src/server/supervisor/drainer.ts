import type { Context } from "../../core/context.ts";
import { type Generation, type GenerationProcesses, terminate } from "./generation.ts";
import type { Handoff } from "./handoff.ts";
import type { Orphan } from "./orphans.ts";

/** The time between the signal and the kill, however much of the drain time the connections have used up. */
const SHORTEST_GRACE_MS = 10_000;
/** How long the last bytes may take to reach clients after the exit. */
const FLUSH_MS = 5_000;

export interface DrainerOptions extends Pick<Context, "clock" | "emit"> {
  handoff: Handoff;
  signalOnTerm: string;
  drainMs: number;
}

/** Drains and stops generations that were replaced, and orphans. */
export class Drainer {
  readonly #options: DrainerOptions;
  readonly #running = new Set<Promise<void>>();
  #orphans: readonly Orphan[] = [];
  #unreported: Orphan[] = [];

  constructor(options: DrainerOptions) {
    this.#options = options;
  }

  async drain(generation: Generation): Promise<void> {
    const { handoff, drainMs } = this.#options;
    const { endpoint } = generation;
    await this.#stop(generation, () => handoff.drain(endpoint, drainMs));
    await handoff.closeConnections(endpoint, Math.min(drainMs, FLUSH_MS));
  }

  /** Drains a generation in the background, unless it serves again when `servesAgain` resolves. */
  drainLater(generation: Generation, servesAgain: Promise<boolean>): void {
    this.#inBackground(servesAgain.then((serves) => (serves ? undefined : this.drain(generation))));
  }

  adopt(orphans: readonly Orphan[]): void {
    this.#orphans = orphans;
    this.#unreported = [...orphans];
  }

  /** Reports each adopted orphan that still runs, once. */
  async reportOrphans(): Promise<void> {
    for (const orphan of this.#unreported.splice(0)) {
      const { pid, tag } = orphan;
      if ((await orphan.members()).length === 0) continue;
      this.#options.emit({ type: "adopted", pid, tag });
    }
  }

  stopOrphans(): void {
    for (const orphan of this.#orphans) this.#inBackground(this.#stop(orphan));
    this.#orphans = [];
  }

  /** Kills what is left of a generation; its main process may have exited already. */
  async kill(generation: Generation): Promise<void> {
    const killed = generation.kill();
    this.#inBackground(killed);
    await killed;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** @param finish is awaited before the signal is sent. */
  async #stop(
    target: GenerationProcesses & { number: number | undefined },
    finish: () => Promise<void> = async () => {},
  ): Promise<void> {
    const { signalOnTerm: signalName, drainMs, clock, emit } = this.#options;
    const startedAt = clock.monotonic();
    const { pid, number: generation } = target;
    if (!target.isRunning() && (await target.members()).length === 0) return finish();
    emit({ type: "draining", generation, pid, drainMs });
    await finish();
    const elapsedMs = (): number => Math.round(clock.monotonic() - startedAt);
    const graceMs = Math.max(drainMs - elapsedMs(), Math.min(drainMs, SHORTEST_GRACE_MS));
    const { killed, background } = await terminate(target, { signalName, graceMs, clock });
    if (background.length > 0) {
      const pids = background.map((member) => member.pid);
      const programs = [...new Set(background.map(({ name }) => name))];
      emit({ type: "background-ended", generation, pids, programs });
    }
    emit({ type: "drained", generation, pid, durationMs: elapsedMs(), killed });
  }

  #inBackground(work: Promise<void>): void {
    const tracked = work.catch(() => {}).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }
}
