import type { Clock } from "../../core/clock.ts";
import { DeployError, type Fault } from "../../core/error.ts";
import type { ContainerSpec, EngineContainer, PublishedPort } from "../engine/engine.ts";
import { LABELS, managedLabels } from "../options/names.ts";
import type { ContainerRelease } from "./prepare_release.ts";

/**
 * `starting` until it is healthy, `serving` behind the proxy, `draining` while its connections end,
 * `stopping` after the stop signal, `gone` after its exit.
 */
export type ReplicaState = "starting" | "serving" | "draining" | "stopping" | "gone";

/** A replica is unhealthy after this many consecutive failed probes. */
export const MAX_FAILED_PROBES = 3;

export class Replica {
  readonly id: string;
  readonly name: string;
  readonly tag: string;
  readonly release: string;
  /** The hash of its options; see {@link ContainerRelease}. */
  readonly config: string | undefined;
  readonly index: number;
  readonly startedAt: number;
  readonly hasHealthcheck: boolean;
  /** The interval of its HEALTHCHECK, which is also the delay of the first check. */
  readonly checkEveryMs: number;
  /** The only port that its image exposes. */
  readonly exposedPort: number | undefined;
  readonly ports: readonly PublishedPort[];
  state: ReplicaState = "starting";
  failedProbes = 0;
  /** Whether it was reported as unhealthy since its last successful probe. */
  isReported = false;
  failsHealthcheck = false;
  /** Whether the engine has been unreachable since: it may have ended the container. */
  wasOutOfSight = false;
  isPaused = false;
  readonly #exited = new AbortController();
  /** Aborted with the reason when the container exits. */
  readonly exited: AbortSignal = this.#exited.signal;

  /** @param now The start time if the engine does not report one. */
  constructor(container: EngineContainer, now: number) {
    const { id, name, labels, ports } = container;
    this.id = id;
    this.name = name;
    this.tag = labels[LABELS.version] ?? "";
    this.release = labels[LABELS.release] ?? "";
    this.config = labels[LABELS.config];
    this.index = Number(labels[LABELS.replica] ?? 0);
    this.startedAt = Date.parse(container.startedAt) || now;
    this.hasHealthcheck = container.health !== undefined;
    this.checkEveryMs = container.checkEveryMs;
    this.exposedPort = Number(labels[LABELS.exposed]) || undefined;
    this.ports = ports;
  }

  get isAlive(): boolean {
    return this.state !== "gone";
  }

  get isHealthy(): boolean {
    return !this.failsHealthcheck && this.failedProbes < MAX_FAILED_PROBES;
  }

  markExited(reason: Error): void {
    this.state = "gone";
    this.#exited.abort(reason);
  }
}

export type NameReplica = (
  release: ContainerRelease,
  index: number,
) => Pick<ContainerSpec, "name" | "labels">;

/** Never returns the same name twice. */
export function replicaNames(app: string, root: string, clock: Clock): NameReplica {
  const last = new Map<number, number>();
  return ({ tag, directory, config, exposedPorts }, index) => {
    const second = Math.max(Math.floor(clock.now() / 1_000), (last.get(index) ?? 0) + 1);
    last.set(index, second);
    return {
      name: `${app}-${second}-${index}`,
      labels: {
        ...managedLabels(app),
        [LABELS.version]: tag,
        [LABELS.replica]: String(index),
        [LABELS.deployedAt]: new Date(clock.now()).toISOString(),
        [LABELS.release]: directory,
        [LABELS.directory]: root,
        [LABELS.config]: config,
        ...(exposedPorts.length === 1 ? { [LABELS.exposed]: String(exposedPorts[0]) } : {}),
      },
    };
  };
}

const RUNNING: ReadonlySet<string> = new Set(["running", "paused", "restarting", "stopping"]);

export function isRunning(container: EngineContainer | undefined): container is EngineContainer {
  return container !== undefined && RUNNING.has(container.status);
}

/** A container exited by itself, which unlike a failed health check is not due to a dependency. */
export class ReplicaExitedError extends DeployError {
  constructor(message: string, fault: Fault = "release") {
    super("verify", message, { fault });
  }
}

const EXITED: ReadonlySet<string> = new Set(["exited", "stopped", "dead"]);

/**
 * Describes how a container exited. The fault is the release's only if the app exited by itself. If
 * the engine was unreachable, nothing proves that: a restart of the engine ends its containers.
 */
export function exitError(
  container: EngineContainer | undefined,
  { wasOutOfSight = false } = {},
): ReplicaExitedError {
  if (container === undefined) return new ReplicaExitedError("it was removed", "host");
  const { exitCode, status } = container;
  const how = exitCode === undefined ? "it exited" : `it exited with exit code ${exitCode}`;
  if (container.wasOutOfMemory) return new ReplicaExitedError(`${how}, out of memory`);
  if (container.wasSignalled)
    return new ReplicaExitedError(`${how} after a stop or kill that was not dewy's`, "host");
  if (wasOutOfSight) return new ReplicaExitedError(`${how} while the engine was away`, "host");
  return new ReplicaExitedError(how, EXITED.has(status) ? "release" : "host");
}
