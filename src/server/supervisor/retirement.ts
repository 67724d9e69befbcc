import type { Clock } from "../../core/clock.ts";
import type { EventSink } from "../../core/event.ts";
import type { Generation } from "./generation.ts";
import type { Handoff } from "./handoff.ts";
import type { Orphan } from "./orphans.ts";
import { type Endable, type Member, retire } from "./retire.ts";

/** What an app has between the signal and its end, however much of the drain time its connections have used up. */
const SHORTEST_MS = 10_000;
/** How long its last bytes may be on their way to clients after that. */
const FLUSH_MS = 5_000;

/** What {@link Retirement} works with. */
export interface RetirementOptions {
  handoff: Handoff;
  /** What asks a generation to end. */
  signalOnTerm: string;
  /** How long its connections, and then it itself, may take to end, in milliseconds. */
  drainMs: number;
  clock: Clock;
  emit: EventSink;
}

/** The end of generations: of those that were replaced, and of those that an earlier dewy has left behind. */
export class Retirement {
  readonly #options: RetirementOptions;
  readonly #running = new Set<Promise<void>>();
  #orphans: readonly Orphan[] = [];
  #untold: Orphan[] = [];

  /** @param options what it works with. */
  constructor(options: RetirementOptions) {
    this.#options = options;
  }

  /**
   * Lets a generation finish what it has begun, and ends it.
   *
   * @param generation the generation.
   */
  async end(generation: Generation): Promise<void> {
    const { handoff, drainMs } = this.#options;
    const { place } = generation;
    await this.#end(generation, () => handoff.drain(place, drainMs));
    await handoff.cut(place, Math.min(drainMs, FLUSH_MS));
  }

  /**
   * The same in the background, unless it serves again by then.
   *
   * @param generation the generation.
   * @param servesAgain resolves when its time has come.
   */
  endLater(generation: Generation, servesAgain: Promise<boolean>): void {
    this.#inBackground(servesAgain.then((serves) => (serves ? undefined : this.end(generation))));
  }

  /**
   * Takes charge of processes that an earlier dewy has left behind.
   *
   * @param orphans what is left.
   */
  adopt(orphans: readonly Orphan[]): void {
    this.#orphans = orphans;
    this.#untold = [...orphans];
  }

  /** Tells of what was adopted, once. */
  async tellOrphans(): Promise<void> {
    for (const orphan of this.#untold.splice(0)) {
      const { pid, tag } = orphan;
      if ((await orphan.members()).length === 0) continue;
      this.#options.emit({ type: "adopted", pid, tag });
    }
  }

  /** Ends what was adopted, in the background. */
  endOrphans(): void {
    for (const orphan of this.#orphans) this.#inBackground(this.#end(orphan));
    this.#orphans = [];
  }

  /**
   * Ends a generation at once.
   *
   * @param generation the generation; its main process may have ended already.
   */
  async kill(generation: Generation): Promise<void> {
    const killed = generation.kill();
    this.#inBackground(killed);
    await killed;
  }

  /** Resolves when nothing is being ended any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  /** @param finish what to wait for before the signal. */
  async #end(
    target: Endable & { number?: number },
    finish: () => Promise<void> = async () => {},
  ): Promise<void> {
    const { signalOnTerm, drainMs, clock, emit } = this.#options;
    const startedAt = clock.monotonic();
    const { pid, number: generation = 0 } = target;
    if (!target.isRunning() && (await target.members()).length === 0) return finish();
    emit({ type: "draining", generation, pid, drainMs });
    await finish();
    const elapsedMs = (): number => Math.round(clock.monotonic() - startedAt);
    const leftMs = Math.max(drainMs - elapsedMs(), Math.min(drainMs, SHORTEST_MS));
    const { killed, background } = await retire(target, signalOnTerm, leftMs, clock);
    if (background.length > 0) emit({ type: "background-ended", generation, ...told(background) });
    emit({ type: "drained", generation, pid, durationMs: elapsedMs(), killed });
  }

  #inBackground(work: Promise<void>): void {
    const tracked = work.catch(() => {}).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }
}

function told(members: readonly Member[]): {
  pids: readonly number[];
  programs: readonly string[];
} {
  return {
    pids: members.map(({ pid }) => pid),
    programs: [...new Set(members.map(({ name }) => name))],
  };
}
