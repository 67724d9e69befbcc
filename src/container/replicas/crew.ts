import type { Clock } from "../../core/clock.ts";
import type { EventSink } from "../../core/event.ts";
import { messageOf } from "../../core/message_of.ts";
import { TOLD_CHARACTERS, TOLD_LINES } from "../../deployers/with_last_lines.ts";
import type { ContainerEngine, EngineContainer } from "../engine/engine.ts";
import { LABELS } from "../options/names.ts";
import { EndedError, type Replica, type ReplicaState } from "./replica.ts";
import type { Rotation } from "./rotation.ts";

/** What a crew works with. */
export interface CrewOptions {
  engine: ContainerEngine;
  /** The working directory, which its containers bear as a label. */
  root: string;
  rotation: Rotation;
  /** How long the connections of a replica may take to end, in milliseconds. */
  drainMs: number;
  /** What a container has between the signal to end and its end, in milliseconds. */
  stopTimeoutMs: number;
  /** Takes secrets out of what containers wrote. */
  redact(line: string): string;
  clock: Clock;
  emit: EventSink;
}

const LOOK_MS = 50;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
const NEVER = new AbortController().signal;

/** The replicas there are, and how they come and go. A replica never leaves before the proxy has let go of it. */
export class Crew {
  readonly #options: CrewOptions;
  readonly #replicas = new Set<Replica>();
  /** Names of containers that are being started. */
  readonly #awaited = new Set<string>();
  readonly #leaving = new Map<Replica, Promise<void>>();

  /** @param options what it works with. */
  constructor(options: CrewOptions) {
    this.#options = options;
  }

  /**
   * Lists replicas.
   *
   * @param states those of these states; all that are not gone unless told.
   * @returns the replicas, oldest first.
   */
  list(...states: ReplicaState[]): Replica[] {
    return [...this.#replicas]
      .filter((one) => one.isAlive && (states.length === 0 || states.includes(one.state)))
      .sort((a, b) => a.startedAt - b.startedAt || a.index - b.index);
  }

  /**
   * Finds a replica.
   *
   * @param id the engine's identifier.
   * @returns the replica; `undefined` when it is unknown or gone.
   */
  find(id: string): Replica | undefined {
    return this.list().find((replica) => replica.id === id);
  }

  /**
   * Whether a container was left by a dewy that is gone: it is of this app, and neither one of ours nor about to be. Those
   * of another directory may be another dewy's, which had none yet when this one looked around.
   *
   * @param container what the engine says of it.
   */
  isStray(container: EngineContainer): boolean {
    return !this.#knows(container) && this.#isOfThisDirectory(container);
  }

  /**
   * Whether a container is another dewy's, which runs an app of the same name.
   *
   * @param container what the engine says of it.
   */
  isForeign(container: EngineContainer): boolean {
    return !this.#knows(container) && !this.#isOfThisDirectory(container);
  }

  /**
   * Waits for a container that is being started.
   *
   * @param name its name.
   * @param start starts it.
   * @returns the replica, which does not serve yet.
   */
  async await(name: string, start: () => Promise<Replica>): Promise<Replica> {
    this.#awaited.add(name);
    try {
      const replica = await start();
      this.#replicas.add(replica);
      return replica;
    } finally {
      this.#awaited.delete(name);
    }
  }

  /** Takes a replica in that does not serve yet. */
  add(replica: Replica): void {
    this.#replicas.add(replica);
  }

  /** Lets a replica serve from now on: one that is new, or one that drains and was not told to end yet. */
  admit(replica: Replica): void {
    if (!replica.isAlive) return;
    this.#replicas.add(replica);
    replica.state = "serving";
    this.refresh();
  }

  /** Sends new connections to those that should have them. */
  refresh(): void {
    this.#options.rotation.show(this.#replicas);
  }

  /**
   * Takes a replica out of the proxy, and ends it once its connections have ended, or their time is up. What is left
   * of them then sees how the app ends.
   *
   * @param replica one that serves.
   */
  retire(replica: Replica): void {
    if (replica.state !== "serving") return;
    replica.state = "draining";
    this.refresh();
    this.#inBackground(replica, this.#retire(replica));
  }

  /**
   * Ends a replica now: it has not served, or all of dewy ends.
   *
   * @param replica the replica.
   */
  dismiss(replica: Replica): void {
    if (replica.state === "stopping" || !replica.isAlive) return;
    this.#replicas.add(replica);
    replica.state = "stopping";
    this.refresh();
    this.#inBackground(replica, this.#remove(replica));
  }

  /**
   * Hears that the container of a replica has ended: no client is sent there any more, and what is left is removed.
   *
   * @param replica the replica.
   * @param reason what happened.
   * @returns what it wrote last.
   */
  async bury(replica: Replica, reason: string): Promise<readonly string[]> {
    replica.end(new EndedError(reason));
    this.refresh();
    const lines = await this.lastLines(replica);
    this.#inBackground(replica, this.#remove(replica));
    return lines;
  }

  /** @returns what a replica wrote last, oldest first; nothing when the engine cannot tell. */
  async lastLines({ id }: Replica): Promise<readonly string[]> {
    const { engine, redact } = this.#options;
    const lines = await engine.lastLines(id, TOLD_LINES, NEVER).catch(() => []);
    return lines.map((line) => redact(line).slice(0, TOLD_CHARACTERS));
  }

  /**
   * Waits until one of those that leave has gone.
   *
   * @param signal ends the wait.
   */
  async oneHasLeft(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const over = new AbortController();
    const aborted = new Promise<never>((_, reject) => {
      const { signal: done } = over;
      signal.addEventListener("abort", () => reject(signal.reason), { once: true, signal: done });
    });
    try {
      await Promise.race([...this.#leaving.values(), aborted]);
    } finally {
      over.abort();
    }
  }

  /** Waits until all that leave have gone. */
  async allHaveLeft(): Promise<void> {
    while (this.#leaving.size > 0) await Promise.all(this.#leaving.values());
  }

  async #retire(replica: Replica): Promise<void> {
    const { rotation, clock, emit } = this.#options;
    const startedAt = clock.now();
    await this.#drained(replica);
    if (replica.state !== "draining") return; // it serves again, has ended, or was dismissed
    replica.state = "stopping";
    const cut = rotation.connections(replica);
    await this.#remove(replica);
    const { tag, name: container } = replica;
    const durationMs = clock.now() - startedAt;
    emit({ type: "replica-retired", tag, container, cut, durationMs });
  }

  async #drained(replica: Replica): Promise<void> {
    const { rotation, drainMs, clock } = this.#options;
    const done = new AbortController();
    let isOver = drainMs === 0;
    // Slept rather than read off a clock, which may be put forward or back meanwhile.
    const over = clock.sleep(drainMs, done.signal).then(
      () => {
        isOver = true;
      },
      () => {},
    );
    while (!isOver && replica.state === "draining" && rotation.connections(replica) > 0) {
      await Promise.race([over, clock.sleep(LOOK_MS)]);
    }
    done.abort();
  }

  /** Never gives up: a container that is left behind would hold memory, and serve nobody. */
  async #remove(replica: Replica): Promise<void> {
    const { engine, rotation, stopTimeoutMs, clock, emit } = this.#options;
    for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(LONGEST_RETRY_MS, pauseMs * 2)) {
      try {
        await engine.stop(replica.id, stopTimeoutMs, NEVER);
        await engine.remove(replica.id, NEVER);
        break;
      } catch (error) {
        const fields = { container: replica.name, error: messageOf(error), retry_in_ms: pauseMs };
        emit({ type: "warning", message: "Cannot end a container", important: true, fields });
      }
      await clock.sleep(pauseMs * (0.5 + Math.random()));
    }
    replica.state = "gone";
    await rotation.cut(replica);
    this.#replicas.delete(replica);
  }

  #knows({ id, name }: EngineContainer): boolean {
    return this.#awaited.has(name) || [...this.#replicas].some((replica) => replica.id === id);
  }

  #isOfThisDirectory({ labels }: EngineContainer): boolean {
    const { root } = this.#options;
    return (labels[LABELS.directory] ?? root) === root;
  }

  #inBackground(replica: Replica, work: Promise<void>): void {
    const before = this.#leaving.get(replica);
    const both = before === undefined ? work : Promise.all([before, work]).then(() => {});
    const tracked = both.finally(() => {
      if (this.#leaving.get(replica) === tracked) this.#leaving.delete(replica);
    });
    this.#leaving.set(replica, tracked);
  }
}
