import type { BakeOutcome } from "../deploy/deployer.ts";

export interface AppRelease {
  /** Empty if dewy did not deploy the release itself. */
  tag: string;
  directory: string;
}

/** A release that crashes again and again. */
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
   * Starts a new release and lets it take over without a gap; {@link Runner.bake} watches it afterwards. The signal aborts
   * this until the new release is ready.
   *
   * @throws DeployError if the new release does not become ready.
   */
  deploy(release: AppRelease, signal: AbortSignal): Promise<void>;
  /**
   * Watches a release that has taken over. It is not restarted in this time. If the signal is aborted, the release counts
   * as proven.
   *
   * @throws DeployError if it exits or becomes unhealthy.
   */
  bake(release: AppRelease, durationMs: number, signal: AbortSignal): Promise<BakeOutcome>;
  /** Starts a release and lets it take over without a bake. A failed start is retried indefinitely with backoff. */
  ensureRunning(release: AppRelease): Promise<void>;
  /** Lets an earlier release serve again. Nothing is started if all of it still runs. */
  rollback(release: AppRelease): Promise<void>;
  /** Stops the current release without starting another one. */
  end(): Promise<void>;
  /** The release directories of everything that still runs, whether it serves or drains. */
  inUse(): Promise<ReadonlySet<string>>;
}
