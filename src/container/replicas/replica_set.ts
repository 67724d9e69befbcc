import type { Context } from "../../core/context.ts";
import { messageOf } from "../../core/message_of.ts";
import { outputForPeople } from "../../core/text.ts";
import { TOLD_CHARACTERS, TOLD_LINES } from "../../deployers/with_last_lines.ts";
import type { ContainerEngine, EngineContainer } from "../engine/engine.ts";
import { LABELS, managedLabels } from "../options/names.ts";
import type { Backends } from "./backends.ts";
import { isRunning, Replica, ReplicaExitedError, type ReplicaState } from "./replica.ts";

export interface ReplicaSetOptions extends Pick<Context, "clock" | "emit"> {
  engine: ContainerEngine;
  /** Part of the names and labels of the containers. */
  app: string;
  /** The working directory, a label of the containers. */
  root: string;
  backends: Backends;
  /** How long the connections of a replica may drain. */
  drainMs: number;
  /** The time between the stop signal and the kill. */
  stopTimeoutMs: number;
  /** Removes secrets from the containers' output. */
  redact(line: string): string;
}

const SHOWN_LINES = 200;
/** Each takes a program of the engine. */
const MAX_SHOWN = 5;
const POLL_MS = 50;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
const NEVER = new AbortController().signal;

/** The replicas of the app. A replica leaves the proxy before it stops. */
export class ReplicaSet {
  readonly #options: ReplicaSetOptions;
  readonly #replicas = new Set<Replica>();
  readonly #starting = new Set<string>();
  readonly #leaving = new Map<Replica, Promise<void>>();

  constructor(options: ReplicaSetOptions) {
    this.#options = options;
  }

  /** Oldest first. Defaults to all states but `gone`. */
  list(...states: ReplicaState[]): Replica[] {
    return [...this.#replicas]
      .filter((one) => one.isAlive && (states.length === 0 || states.includes(one.state)))
      .sort((a, b) => a.startedAt - b.startedAt || a.index - b.index);
  }

  find(id: string): Replica | undefined {
    return this.list().find((replica) => replica.id === id);
  }

  /** Stops the running orphans, such as containers that a killed dewy was starting. */
  stopOrphans(containers: readonly EngineContainer[]): void {
    const now = this.#options.clock.now();
    for (const container of containers) {
      if (!isRunning(container) || !this.#isOrphan(container)) continue;
      this.remove(new Replica(container, now));
    }
  }

  /** Ignores errors: the next rollout tries again. */
  async removeStoppedOrphans(signal: AbortSignal): Promise<void> {
    const { engine, app } = this.#options;
    const containers = await engine.list(managedLabels(app), signal).catch(() => []);
    for (const container of containers) {
      const { id } = container;
      if (!this.#isOrphan(container) || isRunning(container)) continue;
      await engine.remove(id, signal).catch(() => {});
    }
  }

  /** Whether the container belongs to another dewy, which runs an app with the same name. */
  isForeign(container: EngineContainer): boolean {
    return !this.#isKnown(container) && !this.#isFromThisDirectory(container);
  }

  /** Tracks the replica that `start` returns. Meanwhile its container is not an orphan. */
  async start(name: string, start: () => Promise<Replica>): Promise<Replica> {
    this.#starting.add(name);
    try {
      const replica = await start();
      this.#replicas.add(replica);
      return replica;
    } finally {
      this.#starting.delete(name);
    }
  }

  /** Tracks a replica without sending connections to it. */
  track(replica: Replica): void {
    this.#replicas.add(replica);
  }

  /** Adds a new or a draining replica to the proxy. */
  add(replica: Replica): void {
    if (!replica.isAlive) return;
    this.#replicas.add(replica);
    replica.state = "serving";
    this.refresh();
  }

  /** Updates the proxy after a change of a replica's health or of the open ports. */
  refresh(): void {
    this.#options.backends.update(this.#replicas);
  }

  /** Removes a serving replica from the proxy, drains its connections, and stops it. */
  drain(replica: Replica): void {
    if (replica.state !== "serving") return;
    replica.state = "draining";
    this.refresh();
    this.#inBackground(replica, this.#drainAndRemove(replica));
  }

  /** Does not drain the replica. */
  remove(replica: Replica): void {
    if (replica.state === "stopping" || !replica.isAlive) return;
    this.#replicas.add(replica);
    replica.state = "stopping";
    this.refresh();
    this.#inBackground(replica, this.#remove(replica));
  }

  /** Removes the container of an exited or failed replica, and returns its last lines. */
  async reap(replica: Replica, reason: string): Promise<readonly string[]> {
    replica.markExited(new ReplicaExitedError(reason));
    this.refresh();
    const lines = await this.lastLines(replica);
    this.#inBackground(replica, this.#remove(replica));
    return lines;
  }

  async lastLines({ id }: Replica): Promise<readonly string[]> {
    const { engine, redact } = this.#options;
    const lines = await engine.lastLines(id, TOLD_LINES, NEVER).catch(() => []);
    return lines.map((line) => redact(line).slice(0, TOLD_CHARACTERS));
  }

  /** The end of the output of the newest replicas, for people; those that serve come last. */
  async output(signal: AbortSignal): Promise<readonly string[]> {
    const { engine, redact } = this.#options;
    const shown = [...this.list("starting", "draining"), ...this.list("serving")].slice(-MAX_SHOWN);
    const count = Math.ceil(SHOWN_LINES / Math.max(1, shown.length));
    const outputs = await Promise.all(
      shown.map(async ({ id, name }) => {
        const lines = await engine.lastLines(id, count, signal);
        return shown.length === 1 ? lines : lines.map((line) => `${name}: ${line}`);
      }),
    );
    return outputForPeople(outputs.flat(), redact);
  }

  async untilOneHasLeft(signal: AbortSignal): Promise<void> {
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

  async untilAllHaveLeft(): Promise<void> {
    while (this.#leaving.size > 0) await Promise.all(this.#leaving.values());
  }

  async #drainAndRemove(replica: Replica): Promise<void> {
    const { backends, clock, emit } = this.#options;
    const startedAt = clock.now();
    await this.#untilDrained(replica);
    // Meanwhile it may have been added again, removed, or have exited.
    if (replica.state !== "draining") return;
    replica.state = "stopping";
    const cut = backends.connections(replica);
    await this.#remove(replica);
    const { tag, name: container } = replica;
    const durationMs = clock.now() - startedAt;
    emit({ type: "replica-retired", tag, container, cut, durationMs });
  }

  async #untilDrained(replica: Replica): Promise<void> {
    const { backends, drainMs, clock } = this.#options;
    const done = new AbortController();
    let isOver = drainMs === 0;
    // Sleeping does not depend on the wall clock, which may be changed meanwhile.
    const over = clock.sleep(drainMs, done.signal).then(
      () => {
        isOver = true;
      },
      () => {},
    );
    while (!isOver && replica.state === "draining" && backends.connections(replica) > 0) {
      await Promise.race([over, clock.sleep(POLL_MS)]);
    }
    done.abort();
  }

  /** Retries indefinitely: a forgotten container would use memory without serving. */
  async #remove(replica: Replica): Promise<void> {
    const { engine, backends, stopTimeoutMs, clock, emit } = this.#options;
    for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(LONGEST_RETRY_MS, pauseMs * 2)) {
      try {
        await engine.stop(replica.id, stopTimeoutMs, NEVER);
        await engine.remove(replica.id, NEVER);
        break;
      } catch (error) {
        const fields = { container: replica.name, error: messageOf(error), retry_in_ms: pauseMs };
        emit({ type: "warning", message: "Cannot stop a container", important: true, fields });
      }
      await clock.sleep(pauseMs * (0.5 + Math.random()));
    }
    replica.state = "gone";
    await backends.closeConnections(replica);
    this.#replicas.delete(replica);
  }

  /** Whether the container belongs to this app but was started by a previous dewy process. */
  #isOrphan(container: EngineContainer): boolean {
    return !this.#isKnown(container) && this.#isFromThisDirectory(container);
  }

  #isKnown({ id, name }: EngineContainer): boolean {
    return this.#starting.has(name) || [...this.#replicas].some((replica) => replica.id === id);
  }

  #isFromThisDirectory({ labels }: EngineContainer): boolean {
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
