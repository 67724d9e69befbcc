import { type Exclusively, exclusive } from "../../core/concurrency.ts";
import { DeployError, faultOf } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { BakeOutcome } from "../../deploy/deployer.ts";
import type { AppRelease, CrashLoop, Runner } from "../../deployers/runner.ts";
import { withLastLines } from "../../deployers/with_last_lines.ts";
import type { HealthChecks } from "../../host/proxy/probe.ts";
import { managedLabels } from "../options/names.ts";
import { adopt } from "./adopt.ts";
import { Backends, type ServiceProxy } from "./backends.ts";
import type { HealthOptions } from "./health.ts";
import type { PrepareRelease } from "./prepare_release.ts";
import { Recovery } from "./recovery.ts";
import { type NameReplica, type Replica, ReplicaExitedError, replicaNames } from "./replica.ts";
import { ReplicaSet, type ReplicaSetOptions } from "./replica_set.ts";
import { rollOut } from "./rollout.ts";
import {
  bakingTrial,
  configOf,
  goalOf,
  IDLE,
  type ServiceEvent,
  type ServiceState,
  Trial,
  transition,
  trialOf,
} from "./service_state.ts";
import { watchReplicas } from "./watch.ts";

export interface ContainerServiceOptions extends Omit<ReplicaSetOptions, "backends"> {
  proxy: ServiceProxy;
  prepare: PrepareRelease;
  replicas: number;
  /** How many more may run during a rollout. */
  surge: number;
  health: Pick<HealthOptions, "path" | "proxyProtocol" | "timeoutMs">;
  onCrashLoop(loop: CrashLoop): void;
  /** Aborted when dewy is about to exit: no more containers are started. */
  stopping: AbortSignal;
}

interface RolloutRequest {
  goal: AppRelease;
  signal: AbortSignal;
  /** Set for a deploy, which a lost replica fails. */
  trial?: Trial;
  /** Replicas to replace although they are of that release. */
  stale?: ReadonlySet<Replica>;
  /** Whether a missing image is an error instead of being pulled. */
  isLocal?: boolean;
}

const NONE: ReadonlySet<Replica> = new Set();
const NEVER = new AbortController().signal;
/** How much longer than the drain time and the stop timeout the exit may wait for the engine. */
const STOP_GRACE_MS = 20_000;

/**
 * Keeps the replicas of one release running behind the proxy, and replaces them without downtime.
 * The container engine is the source of truth. Operations run one after the other;
 * `service_state.ts` has the states and their transitions.
 */
export class ContainerService implements Runner {
  readonly #options: ContainerServiceOptions;
  readonly #replicas: ReplicaSet;
  readonly #backends: Backends;
  readonly #recovery: Recovery;
  readonly #exclusively: Exclusively = exclusive();
  readonly #exit = new AbortController();
  /** Aborted when no more containers may be started. */
  readonly #stop: AbortSignal;
  readonly #name: NameReplica;
  readonly #checks: HealthChecks = { total: 0, failures: 0 };
  #state: ServiceState = IDLE;

  constructor(options: ContainerServiceOptions) {
    const { app, root, proxy, clock } = options;
    this.#options = options;
    this.#stop = AbortSignal.any([options.stopping, this.#exit.signal]);
    this.#name = replicaNames(app, root, clock);
    this.#backends = new Backends(proxy);
    this.#replicas = new ReplicaSet({ ...options, backends: this.#backends });
    this.#recovery = new Recovery({
      recover: () => this.#recover(),
      onCrashLoop: (loop) => this.#handleCrashLoop(loop),
      clock,
      signal: this.#stop,
    });
  }

  /** The release that must serve, or that of the adopted containers. */
  get release(): AppRelease | undefined {
    const [found] = this.#replicas.list("serving");
    const adopted = found === undefined ? undefined : { tag: found.tag, directory: found.release };
    return goalOf(this.#state) ?? adopted;
  }

  get containers(): readonly string[] {
    return this.#replicas.list().map(({ name }) => name);
  }

  /** The state of a container for the admin API; `undefined` for an unknown one. */
  stateOf(id: string): string | undefined {
    const replica = this.#replicas.find(id);
    return replica?.state === "serving" && !replica.isHealthy ? "unhealthy" : replica?.state;
  }

  get ready(): number {
    return this.#replicas.list("serving").filter(({ isHealthy }) => isHealthy).length;
  }

  /** For telemetry. */
  measure() {
    const replicas = { wanted: this.#options.replicas, ready: this.ready };
    return { healthChecks: { ...this.#checks }, replicas };
  }

  /** The last output of the replicas that serve, or else of the others, for people. */
  lastLines(signal: AbortSignal): Promise<readonly string[]> {
    return this.#replicas.output(signal);
  }

  /** Describes the app for `dewy status`. */
  report() {
    const replicas = this.#replicas.list();
    return {
      health: this.#reportHealth(),
      replicas: replicas.map((replica) => ({
        container: replica.name,
        tag: replica.tag,
        state: this.stateOf(replica.id) ?? replica.state,
        ...this.#reportAddress(replica),
        since: new Date(replica.startedAt).toISOString(),
      })),
      wanted: this.#options.replicas,
      restarts: this.#recovery.count,
    };
  }

  /** Adopts the containers of an earlier dewy, and watches the replicas from now on. */
  async adopt(): Promise<void> {
    const { engine, app, clock, emit } = this.#options;
    const replicas = this.#replicas;
    const adopting = { engine, app, replicas, health: this.#health(), clock, emit };
    await this.#exclusively(() => adopt(adopting, this.#stop));
    watchReplicas(
      {
        ...adopting,
        onExited: (replica, exit) => this.#handleLoss(replica, exit.message, exit),
        onUnhealthy: (replica, reason) => this.#handleLoss(replica, reason, undefined),
        onChecked: () => this.#recoverIfShort(),
      },
      this.#exit.signal,
    );
  }

  deploy(release: AppRelease, signal: AbortSignal): Promise<void> {
    this.#recovery.cancel();
    return this.#exclusively(async () => {
      const { directory } = release;
      const trial = new Trial(directory);
      try {
        const either = AbortSignal.any([signal, trial.failed]);
        await this.#rollOut({ goal: release, trial, signal: either });
      } catch (error) {
        if (!signal.aborted) this.#apply({ type: "release-failed", directory });
        throw error;
      }
    });
  }

  async bake(
    { directory }: AppRelease,
    durationMs: number,
    signal: AbortSignal,
  ): Promise<BakeOutcome> {
    const trial = bakingTrial(this.#state);
    if (trial?.directory !== directory) return "superseded";
    const over = AbortSignal.any([trial.failed, trial.superseded, signal]);
    // If the operator stops dewy, the release counts as good: it was healthy until then.
    await this.#options.clock.sleep(durationMs, over).catch(() => {});
    await trial.untilLossesExamined();
    this.#apply({ type: "bake-ended", trial });
    if (trial.failed.aborted) this.#apply({ type: "release-failed", directory });
    trial.failed.throwIfAborted();
    return trial.superseded.aborted ? "superseded" : "proven";
  }

  async ensureRunning(release: AppRelease): Promise<void> {
    this.#recovery.cancel();
    const baking = bakingTrial(this.#state);
    if (baking !== undefined && baking.directory !== release.directory) {
      this.#apply({ type: "bake-ended", trial: baking });
    }
    if (this.#stop.aborted) return;
    try {
      await this.#exclusively(() => this.#rollOut({ goal: release, signal: this.#stop }));
    } catch (error) {
      const trial = bakingTrial(this.#state);
      if (faultOf(error) === "release") trial?.fail(error);
      if (!trial?.failed.aborted) this.#reportFailedStart(release, error);
    }
  }

  async rollback(release: AppRelease): Promise<void> {
    const serves = goalOf(this.#state)?.directory === release.directory && !this.#isShort();
    if (!serves) await this.ensureRunning(release);
  }

  takeBack(release: AppRelease, signal: AbortSignal): Promise<void> {
    this.#recovery.cancel();
    return this.#exclusively(async () => {
      await this.#rollOut({ goal: release, signal, isLocal: true });
      const left = bakingTrial(this.#state);
      if (left === undefined || left.directory === release.directory) return;
      left.supersede();
      this.#apply({ type: "bake-ended", trial: left });
    });
  }

  async inUse(): Promise<ReadonlySet<string>> {
    return new Set(this.#replicas.list().map(({ release }) => release));
  }

  async restart(signal: AbortSignal): Promise<void> {
    await this.#exclusively(async () => {
      const goal = goalOf(this.#state);
      const serving = this.#replicas.list("serving");
      if (goal === undefined || this.#isRejected(goal, serving)) return;
      await this.#rollOut({ goal, stale: new Set(serving), signal });
    });
  }

  /** Drains the current release. Other replicas keep serving: nothing could replace them. */
  async end(): Promise<void> {
    this.#recovery.cancel();
    await this.#exclusively(async () => {
      const goal = goalOf(this.#state);
      this.#apply({ type: "ended" });
      for (const replica of this.#replicas.list("draining", "serving")) {
        if (replica.release === goal?.directory) this.#replicas.drain(replica);
        else this.#replicas.add(replica);
      }
    });
  }

  /**
   * Closes the proxy, drains its connections and stops all containers. With `keep` the containers
   * keep running, and the next dewy adopts them.
   */
  async stop({ keep }: { keep: boolean }): Promise<void> {
    const { engine, app, proxy, drainMs, stopTimeoutMs, clock, emit } = this.#options;
    const replicas = this.#replicas;
    this.#exit.abort(new Error("dewy is exiting"));
    const over = new AbortController();
    const closed = proxy.close(drainMs);
    const stopped = this.#exclusively(async () => {
      await closed;
      if (keep) return;
      for (const replica of replicas.list()) replicas.remove(replica);
      const containers = await engine.list(managedLabels(app), NEVER).catch(() => []);
      replicas.stopOrphans(containers);
      await replicas.untilAllHaveLeft();
      await replicas.removeStoppedOrphans(NEVER);
    }).finally(() => over.abort());
    const timeout = clock.sleep(drainMs + stopTimeoutMs + STOP_GRACE_MS, over.signal).then(
      () => {
        const fields = { containers: this.containers.join(",") };
        const message = "Cannot stop all containers in time; the next dewy takes them over";
        emit({ type: "warning", message, important: true, fields });
      },
      () => {},
    );
    await Promise.race([stopped, timeout]);
  }

  #reportHealth(): "serving" | "starting" | "restarting" | "degraded" | "down" {
    const { replicas: wanted } = this.#options;
    if (this.ready >= wanted) return "serving";
    if (this.ready > 0) return "degraded";
    if (this.#recovery.isPending) return "restarting";
    return this.#state.phase === "rolling" ? "starting" : "down";
  }

  #reportAddress(replica: Replica): { address?: string } {
    const [first] = this.#backends.addresses(replica);
    return first === undefined ? {} : { address: `${first.host}:${first.port}` };
  }

  #apply(event: ServiceEvent): void {
    this.#state = transition(this.#state, event);
  }

  #health(): HealthOptions {
    const { engine, health, clock } = this.#options;
    return { ...health, engine, clock, backends: this.#backends, checks: this.#checks };
  }

  async #rollOut(request: RolloutRequest): Promise<void> {
    const { goal, signal, trial, stale = NONE, isLocal = false } = request;
    const { prepare, proxy, replicas: count, surge } = this.#options;
    const replicas = this.#replicas;
    const either = AbortSignal.any([signal, this.#stop]);
    this.#apply({ type: "rollout-started", goal, trial });
    try {
      const release = await prepare(goal, either, isLocal);
      this.#apply({ type: "rollout-prepared", config: release.config });
      await proxy.open(release.containerPorts);
      replicas.refresh();
      const onReady = (replica: Replica): void => this.#reportReady(replica);
      const parts = { replicas, health: this.#health(), name: this.#name };
      const { distrusted } = this.#state;
      await rollOut({ release, stale, distrusted }, { ...parts, count, surge, onReady }, either);
    } catch (error) {
      this.#apply({ type: "rollout-failed" });
      throw error;
    }
    if (trial !== undefined) bakingTrial(this.#state)?.supersede();
    this.#apply({ type: "rollout-finished" });
    void replicas.removeStoppedOrphans(this.#stop);
  }

  #reportReady(replica: Replica): void {
    const { clock, emit } = this.#options;
    const { tag, name: container, startedAt } = replica;
    const { address = "" } = this.#reportAddress(replica);
    const durationMs = clock.now() - startedAt;
    emit({ type: "replica-ready", tag, container, address, durationMs });
  }

  /** Handles an exited or unhealthy replica: reroutes its clients first, cleans up later. */
  async #handleLoss(
    replica: Replica,
    reason: string,
    exit: ReplicaExitedError | undefined,
  ): Promise<void> {
    const { emit } = this.#options;
    const { name: container, tag, state } = replica;
    if (state === "starting") {
      if (exit !== undefined) replica.markExited(exit);
      return;
    }
    const fault = exit?.fault ?? (replica.isPaused ? "host" : "release");
    const wasServing = state === "serving";
    const output =
      exit === undefined ? this.#replicas.lastLines(replica) : this.#replicas.reap(replica, reason);
    this.#replicas.refresh();
    const trial = trialOf(this.#state, replica.release);
    trial?.addLoss(output);
    const lastLines = await output;
    if (!wasServing || this.#stop.aborted) return;
    const release = trial === undefined ? goalOf(this.#state) : undefined;
    const isCurrent = release?.directory === replica.release;
    const isCrash = exit !== undefined && fault === "release" && isCurrent;
    const replaceInMs = release && this.#recovery.schedule({ release, reason, isCrash });
    emit({ type: "replica-lost", tag, container, reason, lastLines, replaceInMs });
    const text = withLastLines(`${container}: ${reason} after it had taken over`, lastLines);
    trial?.fail(new DeployError("verify", text, { fault }));
  }

  /** Whether a release has just failed and is about to be rolled back to the one that serves. */
  #isRejected({ directory }: AppRelease, serving: readonly Replica[]): boolean {
    const isOther = serving.some(({ release }) => release !== directory);
    return directory === this.#state.distrusted && isOther;
  }

  #isShort(): boolean {
    const { replicas } = this.#options;
    const serving = this.#replicas.list("serving");
    const wanted = this.#healthy(goalOf(this.#state)).filter((one) => !this.#isOutdated(one));
    return wanted.length !== replicas || serving.length !== replicas;
  }

  #healthy(goal: AppRelease | undefined): readonly Replica[] {
    const serving = this.#replicas.list("serving");
    return serving.filter(({ release, isHealthy }) => release === goal?.directory && isHealthy);
  }

  /** Whether a replica of the current release was started with other options. */
  #isOutdated({ config }: Replica): boolean {
    const wanted = configOf(this.#state);
    return wanted !== undefined && wanted !== config;
  }

  #recoverIfShort(): void {
    if (this.#state.phase !== "steady" || !this.#isShort()) return;
    const release = this.#state.goal;
    this.#recovery.schedule({ release, reason: "replicas are missing", isCrash: false });
  }

  async #recover(): Promise<void> {
    const state = this.#state;
    const goal = goalOf(state);
    if (goal === undefined || (state.phase === "rolling" && state.trial !== undefined)) return;
    try {
      await this.#exclusively(async () => {
        // Another operation may have changed the goal or started the replicas meanwhile.
        if (goalOf(this.#state) !== goal || !this.#isShort()) return;
        await this.#rollOut({ goal, signal: this.#stop });
      });
    } catch (error) {
      this.#reportFailedStart(goal, error);
    }
  }

  /**
   * Only an exit of the app counts as a crash, for which a rollback helps. An engine that refuses
   * has other options or a different problem, and an app that runs but is not healthy probably
   * waits for a dependency.
   */
  #reportFailedStart(release: AppRelease, error: unknown): void {
    if (this.#stop.aborted) return;
    const reason = messageOf(error);
    // If replicas with the previous options still serve, the new options are at fault.
    const isProven = this.#healthy(release).some((replica) => this.#isOutdated(replica));
    const isCrash = error instanceof ReplicaExitedError && error.fault === "release" && !isProven;
    const retryInMs = this.#recovery.schedule({ release, reason, isCrash });
    this.#options.emit({ type: "start-failed", tag: release.tag, reason, retryInMs });
  }

  #handleCrashLoop(loop: CrashLoop): void {
    this.#apply({ type: "release-failed", directory: loop.release.directory });
    this.#options.onCrashLoop(loop);
  }
}
