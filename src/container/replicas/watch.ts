import type { Clock } from "../../core/clock.ts";
import { faultOf } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { messageOf } from "../../core/message_of.ts";
import type { ContainerEngine, EngineContainer } from "../engine/engine.ts";
import { LABELS, managedLabels } from "../options/names.ts";
import type { Crew } from "./crew.ts";
import { type HealthOptions, probeReplica } from "./health.ts";
import { type EndedError, endOf, FAILED_PROBES, isRunning, Replica } from "./replica.ts";

/** What {@link watchReplicas} works with. */
export interface WatchOptions {
  engine: ContainerEngine;
  app: string;
  crew: Crew;
  health: HealthOptions;
  /** Is told of a container that has ended although nobody asked it to. */
  onEnded(replica: Replica, end: EndedError): Promise<void>;
  /** Is told of a replica that has become unhealthy. */
  onUnhealthy(replica: Replica, reason: string): Promise<void>;
  /** All containers have been looked at. */
  onLook(): void;
  clock: Clock;
  emit: EventSink;
}

const PROBE_MS = 2_000;
/** Events can be lost. */
const LOOK_MS = 10_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Watches over the replicas: by the engine's events, by looking from time to time, and by asking each of them. An engine
 * that cannot be reached changes nothing; it is told once.
 *
 * @param options what it works with.
 * @param signal ends it.
 */
export function watchReplicas(options: WatchOptions, signal: AbortSignal): void {
  const watcher = new Watcher(options, signal);
  void watcher.keepListening();
  void watcher.keepLooking();
  void watcher.keepProbing();
}

/**
 * Ends what a dewy that was killed had begun to start, and what came up after the next one had looked around.
 *
 * @param containers all that the engine has of the app.
 * @param crew those that are known.
 * @param now the time.
 */
export function dismissStrays(
  containers: readonly EngineContainer[],
  crew: Crew,
  now: number,
): void {
  for (const container of containers) {
    if (isRunning(container) && crew.isStray(container)) crew.dismiss(new Replica(container, now));
  }
}

class Watcher {
  readonly #options: WatchOptions;
  readonly #signal: AbortSignal;
  #isLost = false;
  #hasToldOfForeign = false;

  constructor(options: WatchOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  async keepListening(): Promise<void> {
    const { engine, app, clock } = this.#options;
    const signal = this.#signal;
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      const startedAt = clock.now();
      try {
        await engine.watch(managedLabels(app), (id) => void this.#lookAt(id), signal);
      } catch (error) {
        this.#tellLost(error);
      }
      if (clock.now() - startedAt > LONGEST_PAUSE_MS) pauseMs = FIRST_PAUSE_MS;
      await clock.sleep(pauseMs * (0.5 + Math.random()), signal).catch(() => {});
      pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
      await this.#look();
    }
  }

  async keepLooking(): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#look();
      await this.#options.clock.sleep(LOOK_MS, this.#signal).catch(() => {});
    }
  }

  async keepProbing(): Promise<void> {
    const { crew, clock } = this.#options;
    while (!this.#signal.aborted) {
      await clock.sleep(PROBE_MS, this.#signal).catch(() => {});
      if (this.#signal.aborted) return;
      await Promise.all(crew.list("serving").map((replica) => this.#probe(replica)));
    }
  }

  async #look(): Promise<void> {
    const { engine, app, crew, onLook, clock } = this.#options;
    if (this.#signal.aborted) return;
    // One that is started meanwhile is not missing from the list.
    const known = crew.list();
    try {
      const containers = await engine.list(managedLabels(app), this.#signal);
      const byId = new Map(containers.map((container) => [container.id, container]));
      for (const replica of known) this.#judge(replica, byId.get(replica.id));
      this.#isLost = false;
      dismissStrays(containers, crew, clock.now());
      this.#tellOfForeign(containers);
      onLook();
    } catch (error) {
      this.#tellLost(error);
    }
  }

  /** @returns whether the engine has answered. */
  async #lookAt(id: string): Promise<boolean> {
    const { engine, crew } = this.#options;
    const replica = crew.find(id);
    if (replica === undefined) return true;
    try {
      this.#judge(replica, await engine.inspect(id, this.#signal));
      return true;
    } catch (error) {
      this.#tellLost(error);
      return false;
    }
  }

  #judge(replica: Replica, container: EngineContainer | undefined): void {
    const { crew, health, onEnded, onUnhealthy } = this.#options;
    if (!replica.isAlive || replica.state === "stopping") return;
    if (!isRunning(container)) {
      void onEnded(replica, endOf(container, replica.wasOutOfSight));
      return;
    }
    replica.wasOutOfSight = false;
    replica.isPaused = container.status === "paused";
    if (health.path !== undefined) return;
    const wasHealthy = replica.isHealthy;
    replica.engineDoubts = container.health === "unhealthy";
    if (replica.isHealthy !== wasHealthy) crew.refresh();
    if (!wasHealthy || replica.isHealthy || replica.state !== "serving") return;
    void onUnhealthy(replica, "its HEALTHCHECK says that it is unhealthy");
  }

  async #probe(replica: Replica): Promise<void> {
    const { crew, health, onUnhealthy } = this.#options;
    const wasHealthy = replica.isHealthy;
    const error = await probeReplica(replica, health, this.#signal).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    if (this.#signal.aborted || replica.state !== "serving") return;
    // A probe that fails on this machine says nothing about the app.
    if (error !== undefined && faultOf(error) !== "release") return;
    replica.failedProbes = error === undefined ? 0 : replica.failedProbes + 1;
    if (replica.isHealthy !== wasHealthy) crew.refresh();
    if (error === undefined) replica.isReported = false;
    if (replica.failedProbes < FAILED_PROBES || replica.isReported) return;
    // The container may have ended; if the engine does not answer either, the engine may have ended it.
    if (!(await this.#lookAt(replica.id)) || !replica.isAlive) return;
    replica.isReported = true;
    const reason = replica.isPaused ? "it was paused" : `it became unhealthy: ${messageOf(error)}`;
    void onUnhealthy(replica, reason);
  }

  #tellOfForeign(containers: readonly EngineContainer[]): void {
    const { app, crew, emit } = this.#options;
    const found = containers.find((one) => isRunning(one) && crew.isForeign(one));
    if (found === undefined || this.#hasToldOfForeign) return;
    this.#hasToldOfForeign = true;
    emit({
      type: "warning",
      message: "Another dewy runs an app of the same name; give one of them another --name",
      important: true,
      fields: { app, container: found.name, directory: found.labels[LABELS.directory] ?? "" },
    });
  }

  #tellLost(error: unknown): void {
    for (const replica of this.#options.crew.list()) replica.wasOutOfSight = true;
    if (this.#isLost || this.#signal.aborted) return;
    this.#isLost = true;
    this.#options.emit({
      type: "warning",
      message: "Cannot reach the container engine; the containers are left as they are",
      important: true,
      fields: { error: messageOf(error) },
    });
  }
}
