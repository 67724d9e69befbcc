import { faultOf } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { EngineContainer } from "../engine/engine.ts";
import { LABELS, managedLabels } from "../options/names.ts";
import type { AdoptOptions } from "./adopt.ts";
import { probeReplica } from "./health.ts";
import {
  exitError,
  isRunning,
  MAX_FAILED_PROBES,
  type Replica,
  type ReplicaExitedError,
} from "./replica.ts";

interface WatchOptions extends AdoptOptions {
  /** Called when a container exits without a request from dewy. */
  onExited(replica: Replica, exit: ReplicaExitedError): Promise<void>;
  onUnhealthy(replica: Replica, reason: string): Promise<void>;
  /** Called after all containers have been checked. */
  onChecked(): void;
}

const PROBE_INTERVAL_MS = 2_000;
/** Checks find what lost events did not report. */
const CHECK_INTERVAL_MS = 10_000;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Watches the replicas by the engine's events, by regular checks and by probes, until the signal is
 * aborted. While the engine is unreachable, it changes nothing and warns once.
 */
export function watchReplicas(options: WatchOptions, signal: AbortSignal): void {
  const watcher = new Watcher(options, signal);
  void watcher.followEvents();
  void watcher.checkRegularly();
  void watcher.probeRegularly();
}

class Watcher {
  readonly #options: WatchOptions;
  readonly #signal: AbortSignal;
  #isUnreachable = false;
  #hasWarnedOfForeign = false;

  constructor(options: WatchOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  async followEvents(): Promise<void> {
    const { engine, app, clock } = this.#options;
    const signal = this.#signal;
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      const startedAt = clock.now();
      try {
        await engine.watch(managedLabels(app), (id) => void this.#checkOne(id), signal);
      } catch (error) {
        this.#reportUnreachable(error);
      }
      if (clock.now() - startedAt > LONGEST_PAUSE_MS) pauseMs = FIRST_PAUSE_MS;
      await clock.sleep(pauseMs * (0.5 + Math.random()), signal).catch(() => {});
      pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
      await this.#checkAll();
    }
  }

  async checkRegularly(): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#checkAll();
      await this.#options.clock.sleep(CHECK_INTERVAL_MS, this.#signal).catch(() => {});
    }
  }

  async probeRegularly(): Promise<void> {
    const { replicas, clock } = this.#options;
    while (!this.#signal.aborted) {
      await clock.sleep(PROBE_INTERVAL_MS, this.#signal).catch(() => {});
      if (this.#signal.aborted) return;
      await Promise.all(replicas.list("serving").map((replica) => this.#probe(replica)));
    }
  }

  async #checkAll(): Promise<void> {
    const { engine, app, replicas, onChecked } = this.#options;
    if (this.#signal.aborted) return;
    // A container that starts during the call may be missing from the list.
    const known = replicas.list();
    try {
      const containers = await engine.list(managedLabels(app), this.#signal);
      const byId = new Map(containers.map((container) => [container.id, container]));
      for (const replica of known) this.#update(replica, byId.get(replica.id));
      this.#isUnreachable = false;
      replicas.stopOrphans(containers);
      this.#reportForeign(containers);
      onChecked();
    } catch (error) {
      this.#reportUnreachable(error);
    }
  }

  /** Returns whether the engine has answered. */
  async #checkOne(id: string): Promise<boolean> {
    const { engine, replicas } = this.#options;
    const replica = replicas.find(id);
    if (replica === undefined) return true;
    try {
      this.#update(replica, await engine.inspect(id, this.#signal));
      return true;
    } catch (error) {
      this.#reportUnreachable(error);
      return false;
    }
  }

  #update(replica: Replica, container: EngineContainer | undefined): void {
    const { replicas, health, onExited, onUnhealthy } = this.#options;
    if (!replica.isAlive || replica.state === "stopping") return;
    if (!isRunning(container)) {
      void onExited(replica, exitError(container, replica));
      return;
    }
    replica.wasOutOfSight = false;
    replica.isPaused = container.status === "paused";
    if (health.path !== undefined) return;
    const wasHealthy = replica.isHealthy;
    replica.failsHealthcheck = container.health === "unhealthy";
    if (replica.isHealthy !== wasHealthy) replicas.refresh();
    if (!wasHealthy || replica.isHealthy || replica.state !== "serving") return;
    void onUnhealthy(replica, "its HEALTHCHECK says that it is unhealthy");
  }

  async #probe(replica: Replica): Promise<void> {
    const { replicas, health, onUnhealthy } = this.#options;
    const wasHealthy = replica.isHealthy;
    const error = await probeReplica(replica, health, this.#signal).then(
      () => undefined,
      (failure: unknown) => failure,
    );
    if (this.#signal.aborted || replica.state !== "serving") return;
    // A probe that fails because of this machine says nothing about the app.
    if (error !== undefined && faultOf(error) !== "release") return;
    replica.failedProbes = error === undefined ? 0 : replica.failedProbes + 1;
    if (replica.isHealthy !== wasHealthy) replicas.refresh();
    if (error === undefined) replica.isReported = false;
    if (replica.failedProbes < MAX_FAILED_PROBES || replica.isReported) return;
    // The container may have exited. If the engine does not answer, the engine may have ended it.
    if (!(await this.#checkOne(replica.id)) || !replica.isAlive) return;
    replica.isReported = true;
    const reason = replica.isPaused ? "it was paused" : `it became unhealthy: ${messageOf(error)}`;
    void onUnhealthy(replica, reason);
  }

  #reportForeign(containers: readonly EngineContainer[]): void {
    const { app, replicas, emit } = this.#options;
    const found = containers.find((one) => isRunning(one) && replicas.isForeign(one));
    if (found === undefined || this.#hasWarnedOfForeign) return;
    this.#hasWarnedOfForeign = true;
    emit({
      type: "warning",
      message: "Another dewy runs an app of the same name; give one of them another --name",
      important: true,
      fields: { app, container: found.name, directory: found.labels[LABELS.directory] ?? "" },
    });
  }

  #reportUnreachable(error: unknown): void {
    for (const replica of this.#options.replicas.list()) replica.wasOutOfSight = true;
    if (this.#isUnreachable || this.#signal.aborted) return;
    this.#isUnreachable = true;
    this.#options.emit({
      type: "warning",
      message: "Cannot reach the container engine; the containers are left as they are",
      important: true,
      fields: { error: messageOf(error) },
    });
  }
}
