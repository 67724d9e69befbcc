import type { BakeOutcome } from "../deploy/deployer.ts";

/** A release as what keeps it running knows it. */
export interface AppRelease {
  /** Its tag; empty when dewy did not deploy it itself. */
  tag: string;
  /** The name of its directory below `releases/`. */
  directory: string;
}

/** A release that crashes again and again. */
export interface CrashLoop {
  release: AppRelease;
  /** How often in a row. */
  crashes: number;
  /** What happened last. */
  reason: string;
}

/** Keeps one release of an app running: a process of this machine, or containers. */
export interface Runner {
  /** The release that serves, or is to be started again; `undefined` when there is none. */
  readonly release: AppRelease | undefined;
  /**
   * Starts a new release and lets it take over without a gap; then {@link Runner.bake} watches it.
   *
   * @param release what to run.
   * @param signal ends it as long as the new one is not ready.
   * @throws DeployError when the new one does not become ready.
   */
  deploy(release: AppRelease, signal: AbortSignal): Promise<void>;
  /**
   * Watches a release that has taken over; it is not restarted meanwhile.
   *
   * @param release which one.
   * @param durationMs how long.
   * @param signal ends it early: the release was ready, and nothing speaks against it.
   * @returns whether it has passed, or another release has taken over before that.
   * @throws DeployError when it ends or becomes unhealthy.
   */
  bake(release: AppRelease, durationMs: number, signal: AbortSignal): Promise<BakeOutcome>;
  /**
   * Starts a release and lets it take over, and never gives up: what cannot be started now is tried again with growing
   * pauses.
   *
   * @param release what to run.
   */
  ensureRunning(release: AppRelease): Promise<void>;
  /**
   * Lets a release serve that did so before; where all of it still runs, nothing is started.
   *
   * @param release what to run.
   */
  rollback(release: AppRelease): Promise<void>;
  /** Ends what serves, and starts nothing in its place. */
  end(): Promise<void>;
  /** The release directories that everything which still runs was started from, whether it serves or drains. */
  inUse(): Promise<ReadonlySet<string>>;
}
