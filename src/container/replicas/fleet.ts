import type { Clock } from "../../core/clock.ts";
import { DeployError, faultOf } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { type Exclusively, exclusive } from "../../core/exclusive.ts";
import { messageOf } from "../../core/message_of.ts";
import type { BakeOutcome } from "../../deploy/deployer.ts";
import type { AppRelease, CrashLoop, Runner } from "../../deployers/runner.ts";
import { withLastLines } from "../../deployers/with_last_lines.ts";
import type { ContainerEngine } from "../engine/engine.ts";
import { adopt } from "./adopt.ts";
import type { PrepareRelease } from "./container_release.ts";
import { Crew } from "./crew.ts";
import type { HealthOptions } from "./health.ts";
import { managedLabels, type NameReplica, replicaNames } from "./name_replica.ts";
import { reap } from "./reap.ts";
import { Recovery } from "./recovery.ts";
import { EndedError, type Replica } from "./replica.ts";
import { rollOut } from "./roll_out.ts";
import { type Front, Rotation } from "./rotation.ts";
import { dismissStrays, watchReplicas } from "./watch.ts";

/** What a fleet works with. */
export interface FleetOptions {
  engine: ContainerEngine;
  /** The app, by which its containers are found and named. */
  app: string;
  /** The working directory, which its containers bear as a label. */
  root: string;
  front: Front;
  prepare: PrepareRelease;
  /** How many are to serve. */
  replicas: number;
  /** How many may run beyond that during a change. */
  surge: number;
  /** When a replica counts as healthy. */
  health: Pick<HealthOptions, "path" | "proxyProtocol" | "timeoutMs">;
  /** How long the connections of a replica that leaves may take to end, in milliseconds. */
  drainMs: number;
  /** Is told when a release keeps ending; once per release. */
  onCrashLoop(loop: CrashLoop): void;
  /** Dewy is to end: nothing is started any more. */
  stopping: AbortSignal;
  /** What a container has between the signal to end and its end, in milliseconds. */
  stopTimeoutMs: number;
  /** Takes secrets out of what containers wrote. */
  redact(line: string): string;
  clock: Clock;
  emit: EventSink;
}

/** Watches a release during its rollout or bake: a replica that exits or turns unhealthy means that the release has failed. */
interface Probation {
  directory: string;
  /** Aborted with the failure. */
  over: AbortController;
  /** Aborted when another release has taken over. */
  superseded: AbortController;
  /** Losses that are being looked into. */
  inquiries: Promise<unknown>[];
}

const NONE: ReadonlySet<Replica> = new Set();
const NEVER = new AbortController().signal;
/** Beyond the drain and the grace of a container, an end waits no longer for an engine. */
const END_MS = 20_000;

/**
 * Keeps the replicas of one release running behind the proxies, and replaces them without a gap. What there is, is told
 * by the engine; the fleet's operations run one after the other.
 */
export class Fleet implements Runner {
  readonly #options: FleetOptions;
  readonly #crew: Crew;
  readonly #rotation: Rotation;
  readonly #recovery: Recovery;
  readonly #exclusively: Exclusively = exclusive();
  readonly #end = new AbortController();
  /** Nothing is started any more. */
  readonly #stop: AbortSignal;
  readonly #name: NameReplica;
  #goal: AppRelease | undefined;
  /** What the containers of that release are to be started with; see `container_release.ts`. */
  #config: string | undefined;
  #isRolling = false;
  #distrusted: string | undefined;
  /** Watches the release that is being rolled out. */
  #attempt: Probation | undefined;
  /** Watches the release that has taken over and is still baking. */
  #probation: Probation | undefined;

  /** @param options what it works with. */
  constructor(options: FleetOptions) {
    const { engine, root, front, drainMs, stopTimeoutMs, redact, clock, emit } = options;
    this.#options = options;
    this.#stop = AbortSignal.any([options.stopping, this.#end.signal]);
    this.#name = replicaNames(options.app, root, clock);
    this.#rotation = new Rotation(front);
    const timing = { drainMs, stopTimeoutMs, clock };
    this.#crew = new Crew({ engine, root, rotation: this.#rotation, ...timing, redact, emit });
    this.#recovery = new Recovery({
      recover: () => this.#recover(),
      onCrashLoop: (loop) => this.#crashLoop(loop),
      clock,
      signal: this.#stop,
    });
  }

  /** The release that is meant to serve, or the one that was found serving. */
  get release(): AppRelease | undefined {
    const [found] = this.#crew.list("serving");
    const adopted = found === undefined ? undefined : { tag: found.tag, directory: found.release };
    return this.#goal ?? adopted;
  }

  /** The names of all containers there are, oldest first. */
  get containers(): readonly string[] {
    return this.#crew.list().map(({ name }) => name);
  }

  /** What is being done with a container; `undefined` for one that is unknown. */
  stateOf(id: string): string | undefined {
    const replica = this.#crew.find(id);
    return replica?.state === "serving" && !replica.isHealthy ? "unhealthy" : replica?.state;
  }

  /** How many replicas serve and are healthy. */
  get ready(): number {
    return this.#crew.list("serving").filter(({ isHealthy }) => isHealthy).length;
  }

  /** Puts the containers that an earlier dewy has left behind the proxies, and watches over them from now on. */
  async adopt(): Promise<void> {
    const { engine, app, clock, emit } = this.#options;
    const adopting = { engine, app, crew: this.#crew, health: this.#health(), clock, emit };
    await this.#exclusively(() => adopt(adopting, this.#stop));
    watchReplicas(
      {
        ...adopting,
        onEnded: (replica, end) => this.#lost(replica, end.message, end),
        onUnhealthy: (replica, reason) => this.#lost(replica, reason, undefined),
        onLook: () => this.#recoverIfShort(),
      },
      this.#end.signal,
    );
  }

  /** {@inheritDoc Runner.deploy} */
  deploy(release: AppRelease, signal: AbortSignal): Promise<void> {
    this.#recovery.cancel();
    return this.#exclusively(async () => {
      const { directory } = release;
      const [over, superseded] = [new AbortController(), new AbortController()];
      const attempt: Probation = { directory, over, superseded, inquiries: [] };
      this.#attempt = attempt;
      try {
        await this.#rollTo(release, NONE, AbortSignal.any([signal, over.signal]));
      } catch (error) {
        if (!signal.aborted) this.#distrusted = directory;
        throw error;
      } finally {
        this.#attempt = undefined;
      }
      this.#probation?.superseded.abort();
      this.#probation = attempt;
    });
  }

  /** {@inheritDoc Runner.bake} */
  async bake(
    { directory }: AppRelease,
    durationMs: number,
    signal: AbortSignal,
  ): Promise<BakeOutcome> {
    const probation = this.#probation;
    if (probation?.directory !== directory) return "superseded";
    const [failed, superseded] = [probation.over.signal, probation.superseded.signal];
    try {
      await this.#options.clock.sleep(durationMs, AbortSignal.any([failed, superseded, signal]));
    } catch {
      // Stopped by the operator: it was healthy, and nothing speaks against it.
    }
    await Promise.allSettled(probation.inquiries);
    if (this.#probation === probation) this.#probation = undefined;
    if (failed.aborted) this.#distrusted = directory;
    failed.throwIfAborted();
    return superseded.aborted ? "superseded" : "proven";
  }

  /** {@inheritDoc Runner.ensureRunning} */
  async ensureRunning(release: AppRelease): Promise<void> {
    this.#recovery.cancel();
    if (this.#probation?.directory !== release.directory) this.#probation = undefined;
    if (this.#stop.aborted) return;
    try {
      await this.#exclusively(() => this.#rollTo(release, NONE, this.#stop));
    } catch (error) {
      if (faultOf(error) === "release") this.#probation?.over.abort(error);
      if (!this.#probation?.over.signal.aborted) this.#tellFailedStart(release, error);
    }
  }

  /** {@inheritDoc Runner.rollback} */
  async rollback(release: AppRelease): Promise<void> {
    const serves = this.#goal?.directory === release.directory && !this.#isShort();
    if (!serves) await this.ensureRunning(release);
  }

  /** {@inheritDoc Runner.inUse} */
  async inUse(): Promise<ReadonlySet<string>> {
    return new Set(this.#crew.list().map(({ release }) => release));
  }

  /**
   * Starts the replicas again, one after the other, without a gap.
   *
   * @param signal ends it; what serves then goes on serving.
   */
  async restart(signal: AbortSignal): Promise<void> {
    await this.#exclusively(async () => {
      const release = this.#goal;
      // What has just failed is about to be taken back.
      if (release === undefined || release.directory === this.#distrusted) return;
      await this.#rollTo(release, new Set(this.#crew.list("serving")), signal);
    });
  }

  /** Ends what serves of the release that is meant to serve. Containers of another one go on: nothing could bring them back. */
  async end(): Promise<void> {
    this.#recovery.cancel();
    await this.#exclusively(async () => {
      const goal = this.#goal;
      this.#goal = undefined;
      this.#probation = undefined;
      for (const replica of this.#crew.list("draining", "serving")) {
        if (replica.release === goal?.directory) this.#crew.retire(replica);
        else this.#crew.admit(replica);
      }
    });
  }

  /**
   * The end of dewy: stops to accept, and gives connections their time.
   *
   * @param options `keep`: the containers go on running, for the next dewy to adopt.
   */
  async stop({ keep }: { keep: boolean }): Promise<void> {
    const { engine, app, front, drainMs, stopTimeoutMs, clock, emit } = this.#options;
    this.#end.abort(new Error("dewy ends"));
    const over = new AbortController();
    const closed = front.close(drainMs);
    const ended = this.#exclusively(async () => {
      await closed;
      if (keep) return;
      for (const replica of this.#crew.list()) this.#crew.dismiss(replica);
      const left = await engine.list(managedLabels(app), NEVER).catch(() => []);
      dismissStrays(left, this.#crew, clock.now());
      await this.#crew.allHaveLeft();
      await reap({ engine, app, crew: this.#crew }, NEVER);
    }).finally(() => over.abort());
    const tooLong = clock.sleep(drainMs + stopTimeoutMs + END_MS, over.signal).then(
      () => {
        const fields = { containers: this.containers.join(",") };
        const message = "Cannot end all containers in time; the next dewy takes them over";
        emit({ type: "warning", message, important: true, fields });
      },
      () => {},
    );
    await Promise.race([ended, tooLong]);
  }

  #health(): HealthOptions {
    const { engine, health, clock } = this.#options;
    return { ...health, engine, clock, rotation: this.#rotation };
  }

  async #rollTo(
    appRelease: AppRelease,
    stale: ReadonlySet<Replica>,
    signal: AbortSignal,
  ): Promise<void> {
    const { engine, app, prepare, front, replicas, surge } = this.#options;
    const either = AbortSignal.any([signal, this.#stop]);
    this.#goal = appRelease;
    this.#config = undefined;
    this.#isRolling = true;
    try {
      const release = await prepare(appRelease, either);
      this.#config = release.config;
      await front.open(release.containerPorts);
      this.#crew.refresh();
      const onReady = (replica: Replica): void => this.#tellReady(replica);
      const parts = { crew: this.#crew, health: this.#health(), name: this.#name };
      const goal = { release, stale, distrusted: this.#distrusted };
      await rollOut(goal, { ...parts, replicas, surge, onReady }, either);
    } finally {
      this.#isRolling = false;
    }
    if (this.#distrusted === appRelease.directory) this.#distrusted = undefined;
    void reap({ engine, app, crew: this.#crew }, this.#stop);
  }

  #tellReady(replica: Replica): void {
    const { clock, emit } = this.#options;
    const { tag, name: container, startedAt } = replica;
    const [first] = this.#rotation.addresses(replica);
    const address = first === undefined ? "" : `${first.host}:${first.port}`;
    const durationMs = clock.now() - startedAt;
    emit({ type: "replica-ready", tag, container, address, durationMs });
  }

  /** One that serves has ended or turned unhealthy: clients are sent elsewhere at once, all else comes after. */
  async #lost(replica: Replica, reason: string, end: EndedError | undefined): Promise<void> {
    const { emit } = this.#options;
    const { name: container, tag, state } = replica;
    if (state === "starting") {
      if (end !== undefined) replica.end(end);
      return;
    }
    const fault = end?.fault ?? (replica.isPaused ? "host" : "release");
    const served = state === "serving";
    const burial =
      end === undefined ? this.#crew.lastLines(replica) : this.#crew.bury(replica, reason);
    this.#crew.refresh();
    const judge = [this.#attempt, this.#probation].find(
      (one) => one?.directory === replica.release,
    );
    judge?.inquiries.push(burial);
    const lastLines = await burial;
    if (!served || this.#stop.aborted) return;
    const release = judge === undefined ? this.#goal : undefined;
    const isOurs = release?.directory === replica.release;
    const isCrash = end !== undefined && fault === "release" && isOurs;
    const replaceInMs =
      release === undefined ? undefined : this.#recovery.later({ release, reason, isCrash });
    emit({ type: "replica-lost", tag, container, reason, lastLines, replaceInMs });
    const text = withLastLines(`${container}: ${reason} after it had taken over`, lastLines);
    judge?.over.abort(new DeployError("verify", text, { fault }));
  }

  #isShort(): boolean {
    const { replicas } = this.#options;
    const serving = this.#crew.list("serving");
    const wanted = this.#healthy(this.#goal).filter((replica) => !this.#isOutdated(replica));
    return wanted.length !== replicas || serving.length !== replicas;
  }

  #healthy(goal: AppRelease | undefined): readonly Replica[] {
    const serving = this.#crew.list("serving");
    return serving.filter(({ release, isHealthy }) => release === goal?.directory && isHealthy);
  }

  /** Whether a replica of the release that is meant to serve was started with other options. */
  #isOutdated({ config }: Replica): boolean {
    return this.#config !== undefined && this.#config !== config;
  }

  #recoverIfShort(): void {
    const release = this.#goal;
    if (release === undefined || this.#isRolling || this.#probation !== undefined) return;
    if (!this.#isShort()) return;
    this.#recovery.later({ release, reason: "replicas are missing", isCrash: false });
  }

  async #recover(): Promise<void> {
    const goal = this.#goal;
    if (goal === undefined || this.#attempt !== undefined) return;
    try {
      await this.#exclusively(async () => {
        // Somebody else may have done it, or decided otherwise, meanwhile.
        if (this.#goal === goal && this.#isShort()) await this.#rollTo(goal, NONE, this.#stop);
      });
    } catch (error) {
      this.#tellFailedStart(goal, error);
    }
  }

  /**
   * Going back to another release would help only where the app has ended: an engine that refuses has been given other
   * options, or is not well, and an app that runs and is not healthy most likely waits for what it depends on.
   */
  #tellFailedStart(release: AppRelease, error: unknown): void {
    if (this.#stop.aborted) return;
    const reason = messageOf(error);
    // Where it still serves with the options of before, those of now are to blame.
    const isProven = this.#healthy(release).some((replica) => this.#isOutdated(replica));
    const isCrash = error instanceof EndedError && error.fault === "release" && !isProven;
    const retryInMs = this.#recovery.later({ release, reason, isCrash });
    this.#options.emit({ type: "start-failed", tag: release.tag, reason, retryInMs });
  }

  #crashLoop(loop: CrashLoop): void {
    this.#distrusted = loop.release.directory;
    this.#options.onCrashLoop(loop);
  }
}
