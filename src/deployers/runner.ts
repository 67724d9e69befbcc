import type { BakeOutcome } from "../deploy/deployer.ts";

export interface AppRelease {
  /** Empty if dewy did not deploy the release itself. */
  tag: string;
  directory: string;
}

export interface CrashLoop {
  release: AppRelease;
  crashes: number;
  reason: string;
}

/** Keeps one release of an app running: a process on this machine, or containers. */
export interface Runner {
  /** The release that serves or is about to be restarted. */
  readonly release: AppRelease | undefined;
  /**
   * Starts a new release and lets it take over without a gap. The signal aborts this until the new
   * release is ready. Throws a DeployError if it does not become ready.
   */
  deploy(release: AppRelease, signal: AbortSignal): Promise<void>;
  /**
   * Watches a release that has taken over, without restarting it. If the signal is aborted, it counts
   * as proven. Throws a DeployError if it exits or becomes unhealthy.
   */
  bake(release: AppRelease, durationMs: number, signal: AbortSignal): Promise<BakeOutcome>;
  /** Starts a release without a bake. A failed start is retried indefinitely with backoff. */
  ensureRunning(release: AppRelease): Promise<void>;
  /** Lets an earlier release serve again. Nothing is started if all of it still runs. */
  rollback(release: AppRelease): Promise<void>;
  /**
   * Lets an earlier release take over from the current one, without a gap and without a bake. It uses only what is on
   * this machine. Throws a DeployError if the release does not become ready.
   */
  takeBack(release: AppRelease, signal: AbortSignal): Promise<void>;
  /** Stops the current release without starting another one. */
  end(): Promise<void>;
  /** The release directories of everything that still runs, whether it serves or drains. */
  inUse(): Promise<ReadonlySet<string>>;
}
