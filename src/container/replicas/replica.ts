import { DeployError, type Fault } from "../../core/error.ts";
import type { EngineContainer, PublishedPort } from "../engine/engine.ts";
import { LABELS } from "../options/names.ts";

/**
 * Where a replica is in its life: `starting` until it is healthy, `serving` behind the proxy, `draining` while its
 * connections end, `stopping` once it was told to end, `gone` when it has ended.
 */
export type ReplicaState = "starting" | "serving" | "draining" | "stopping" | "gone";

/** One container of the app, and what is known of it. */
export class Replica {
  /** The engine's identifier. */
  readonly id: string;
  readonly name: string;
  /** The tag it was made from; empty when nobody said. */
  readonly tag: string;
  /** The release directory it was made for; empty when another dewy made it. */
  readonly release: string;
  /** What tells containers of other options apart; see `container_release.ts`. */
  readonly config: string;
  /** Counts the replicas of a release from 0 on. */
  readonly index: number;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Whether the engine checks its health. */
  readonly hasHealthcheck: boolean;
  /** The pause before each of these checks, the first as well, in milliseconds. */
  readonly checkEveryMs: number;
  /** The only port that its image exposes; `undefined` when nobody said. */
  readonly exposedPort: number | undefined;
  /** Where it is reached. */
  readonly ports: readonly PublishedPort[];
  state: ReplicaState = "starting";
  /** How often in a row it did not answer. */
  failedProbes = 0;
  /** Whether it was reported as unhealthy since it last answered. */
  isReported = false;
  /** Whether its own HEALTHCHECK says that it is unhealthy. */
  engineDoubts = false;
  /** Whether the engine has been away since the container was last seen running: its end may be the engine's doing. */
  wasOutOfSight = false;
  /** Whether the engine holds it paused, so that it cannot answer. */
  isPaused = false;
  readonly #ended = new AbortController();

  /**
   * Makes a replica of what the engine says of a container.
   *
   * @param container the container.
   * @param now the time, where the engine's is none.
   */
  constructor(container: EngineContainer, now: number) {
    const { id, name, labels, ports } = container;
    this.id = id;
    this.name = name;
    this.tag = labels[LABELS.version] ?? "";
    this.release = labels[LABELS.release] ?? "";
    this.config = labels[LABELS.config] ?? "";
    this.index = Number(labels[LABELS.replica] ?? 0);
    this.startedAt = Date.parse(container.startedAt) || now;
    this.hasHealthcheck = container.health !== undefined;
    this.checkEveryMs = container.checkEveryMs;
    this.exposedPort = Number(labels[LABELS.exposed]) || undefined;
    this.ports = ports;
  }

  /** Whether it still runs, as far as is known. */
  get isAlive(): boolean {
    return this.state !== "gone";
  }

  /** Whether nothing speaks against sending clients to it. */
  get isHealthy(): boolean {
    return !this.engineDoubts && this.failedProbes < FAILED_PROBES;
  }

  /** Ends with a reason as soon as the container has ended. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /**
   * Hears that the container has ended.
   *
   * @param error what happened.
   */
  end(error: Error): void {
    this.state = "gone";
    this.#ended.abort(error);
  }
}

/** So many times in a row it may fail to answer. */
export const FAILED_PROBES = 3;

const RUNNING: ReadonlySet<string> = new Set(["running", "paused", "restarting", "stopping"]);

/**
 * Whether a container runs.
 *
 * @param container what the engine says; `undefined`: it knows none.
 * @returns false for one that has ended, or was never started.
 */
export function isRunning(container: EngineContainer | undefined): container is EngineContainer {
  return container !== undefined && RUNNING.has(container.status);
}

/** A container that ended although nobody asked it to: the app is to blame, rather than what it depends on. */
export class EndedError extends DeployError {
  /**
   * @param message how it ended.
   * @param fault whose fault that is.
   */
  constructor(message: string, fault: Fault = "release") {
    super("verify", message, { fault });
  }
}

const EXITED: ReadonlySet<string> = new Set(["exited", "stopped", "dead"]);

/**
 * Describes how a container ended, such as `it ended with exit code 137, out of memory`, and where the fault lies: in the
 * release only if the app exited by itself, which nothing proves of an engine that `wasAway`: a restart ends its containers.
 */
export function endOf(container: EngineContainer | undefined, wasAway = false): EndedError {
  if (container === undefined) return new EndedError("it was removed", "host");
  const code = container.exitCode === undefined ? "" : ` with exit code ${container.exitCode}`;
  if (container.wasOutOfMemory) return new EndedError(`it ended${code}, out of memory`);
  if (container.wasSignalled)
    return new EndedError(`it ended${code} after a stop or kill that was not dewy's`, "host");
  if (wasAway) return new EndedError(`it ended${code} while the engine was away`, "host");
  return new EndedError(`it ended${code}`, EXITED.has(container.status) ? "release" : "host");
}
