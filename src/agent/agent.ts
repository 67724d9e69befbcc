import { hostname } from "node:os";
import { join } from "node:path";
import type { DeployConfig } from "../cli/flags/deploy.ts";
import type { AppStatus } from "../control/protocol.ts";
import { dedupe } from "../core/event.ts";
import { exclusive } from "../core/exclusive.ts";
import type { Registry } from "../core/types.ts";
import { redactUrl } from "../core/url.ts";
import type { DeployContext, Deployer } from "../deploy/deployer.ts";
import { FailedCandidates } from "../deploy/failed_candidates.ts";
import { asDewyError, failedEvent, pollLoop } from "../deploy/loop.ts";
import { recover } from "../deploy/recover.ts";
import { ReportSchedule } from "../deploy/report_schedule.ts";
import { bakeAndCommit, type Trial } from "../deploy/sequence.ts";
import { type DeployState, forgetAcceptances } from "../deploy/state.ts";
import { Switches } from "../deploy/switches.ts";
import { type Later, pollOutcome, type TickResult, tick } from "../deploy/tick.ts";
import { removeTemporaries } from "../host/files/atomic_file.ts";
import { writableByOthers } from "../host/files/own_directory.ts";
import { lockPath, statePath } from "../host/files/own_paths.ts";
import { stateFile } from "../host/files/state_file.ts";
import { createHooks } from "../host/process/hook.ts";
import { SIGNAL_EXIT_CODES, type Signals } from "../host/process/io.ts";
import { acquireLock } from "../host/process/lock.ts";
import type { LocatorBase } from "../registries/driver.ts";
import { withPollDeadline } from "../registries/timeout.ts";
import type { CommandContext } from "./context.ts";
import { exitCodeOf } from "./exit_code.ts";
import { surviveUncaught } from "./uncaught.ts";

export { lockPath, statePath };

export type AgentConfig = DeployConfig & { command: string };

export interface Agent {
  config: AgentConfig;
  /** Names the instance for other commands. Defaults to the directory's name. */
  name?: string | undefined;
  root: string;
  registry: Registry;
  /** The registry's URL as parsed: the version policy. */
  locator: LocatorBase;
  deployer: Deployer;
  /** Absent for `dewy assets`, which runs no app. */
  supervision?: Supervision;
}

/** An app that is kept running while dewy polls. */
export interface Supervision {
  /** Called once dewy holds the directory's lock: adopts what an earlier dewy process has left running. */
  adopt?(): Promise<void>;
  /** Called after recovery: runs the live release. Never waits for the network. */
  begin(context: DeployContext): Promise<void>;
  restart(signal: AbortSignal): Promise<void>;
  /** For `dewy status`. */
  appStatus?(): AppStatus;
  end(): Promise<void>;
}

/**
 * Takes the directory's lock, recovers, and keeps the deployer up to date: once, or until the operator stops dewy. Returns
 * the exit code.
 */
export async function runAgent(agent: Agent, command: CommandContext): Promise<number> {
  const { config, root } = agent;
  const { emit, signals } = command;
  const lock = await acquireLock(lockPath(root), config.command, { emit, signal: signals.stop });
  try {
    return await run(agent, deployContext(agent, command), command);
  } finally {
    await lock.release();
  }
}

function deployContext(
  { config, root, registry, deployer }: Agent,
  command: CommandContext,
): DeployContext {
  const { clock } = command;
  const emit = dedupe(command.emit);
  const runHook = createHooks({
    before: config.beforeDeployHook ?? "",
    after: config.afterDeployHook ?? "",
    timeoutMs: config.hookTimeoutMs,
    cwd: root,
    env: command.env,
    redact: command.redactor(command.env),
  });
  const serially = exclusive();
  return {
    registry: withPollDeadline(registry, clock),
    deployer,
    store: stateFile(statePath(root), emit),
    runHook: (...call) => serially(() => runHook(...call)),
    switches: new Switches(),
    reports: new ReportSchedule(),
    clock,
    emit,
    command: config.command,
    host: hostname(),
  };
}

async function run(agent: Agent, context: DeployContext, command: CommandContext): Promise<number> {
  const { config, root, locator, supervision } = agent;
  const { signals } = command;
  const end = new AbortController();
  const stop = AbortSignal.any([signals.stop, end.signal]);
  context.emit({
    type: "started",
    version: command.version,
    command: config.command,
    registry: redactUrl(config.registry),
    directory: root,
  });
  await removeTemporaries(statePath(root));
  await warnAboutWriters(root, context);
  await applyFlags(config, context);
  const failed = new FailedCandidates({ intervalMs: config.intervalMs, clock: context.clock });
  const policy = { ...locator, acceptChanged: config.acceptChanged };
  const poll: Poll = (later) => tick({ policy, failed, later }, context, stop);
  const baking = new BakingDeploys();
  const listeners = [restartOnSignal(agent, context, signals), reportStop(context, signals)];
  try {
    await supervision?.adopt?.();
    const trial = await recover(context, stop);
    if (trial !== undefined) baking.add(resume(trial, context, stop));
    await context.switches.exclusively(async () => supervision?.begin(context));
    if (!config.once || supervision !== undefined) surviveUncaught(command);
    if (config.once) return await pollOnce(poll, agent, context, signals);
    await keepPolling({ poll, failed, baking, stop }, agent, context, signals);
    return 0;
  } finally {
    for (const unsubscribe of listeners) unsubscribe();
    end.abort();
    await baking.settled();
    await supervision?.end();
  }
}

/** Finishes a deploy that an earlier dewy process has begun. */
async function resume(trial: Trial, context: DeployContext, signal: AbortSignal): Promise<void> {
  try {
    await bakeAndCommit(trial, context, signal);
  } catch (error) {
    if (signal.aborted) return;
    context.emit(failedEvent(asDewyError(error), 1, { tag: trial.release.tag }));
  }
}

/** Applies `--retry-bad`, and forgets acceptances of tags that `--accept-changed` does not name any more. */
async function applyFlags(
  { acceptChanged, retryBad }: AgentConfig,
  { store }: DeployContext,
): Promise<void> {
  const apply = (before: DeployState): DeployState => {
    const state = forgetAcceptances(before, acceptChanged);
    return retryBad ? { ...state, bad: [] } : state;
  };
  const before = await store.load();
  if (apply(before) !== before) await store.update(apply);
}

type Poll = (later?: Later) => Promise<TickResult>;

/** Deploys that bake while polling continues. */
class BakingDeploys {
  readonly #deploys = new Set<Promise<unknown>>();

  /** A rejection is ignored; it is reported elsewhere. */
  add(deploy: Promise<unknown>): void {
    const ended = deploy.catch(() => {}).finally(() => this.#deploys.delete(ended));
    this.#deploys.add(ended);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#deploys);
  }
}

/** A user who can write to these directories decides what root runs. */
async function warnAboutWriters(root: string, { emit }: DeployContext): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const paths = ["", ".dewy", "releases"].map((name) => join(root, name));
  const directories = (await writableByOthers(paths)).join(", ");
  if (directories === "") return;
  emit({
    type: "warning",
    important: true,
    message: "Other users can write to directories that dewy works in as root",
    fields: { directories, hint: "chown root and chmod go-w; docs/server.md explains why" },
  });
}

/** Reports the stop at once, because current work may take a while to end. */
function reportStop({ emit }: DeployContext, signals: Signals): () => void {
  const report = (): void => {
    const signal = signals.stoppedBy();
    if (signal !== undefined) emit({ type: "stopping", signal });
  };
  if (signals.stop.aborted) report();
  signals.stop.addEventListener("abort", report, { once: true });
  return () => signals.stop.removeEventListener("abort", report);
}

function restartOnSignal(
  { supervision }: Agent,
  { switches, emit }: DeployContext,
  signals: Signals,
): () => void {
  if (supervision === undefined) return () => {};
  return signals.onReload((name) => {
    emit({ type: "app-restart", signal: name });
    switches
      .attempt(signals.stop, (signal) => supervision.restart(signal))
      .catch((error) => {
        if (signals.stop.aborted) return;
        const fields = { error: asDewyError(error).message };
        emit({ type: "warning", important: true, message: "Cannot restart the app", fields });
      });
  });
}

interface Polling {
  poll: Poll;
  failed: FailedCandidates;
  baking: BakingDeploys;
  stop: AbortSignal;
}

async function keepPolling(
  { poll, failed, baking, stop }: Polling,
  { config, supervision }: Agent,
  { deployer, clock, emit }: DeployContext,
  signals: Signals,
): Promise<void> {
  let wake = (): void => {};
  await pollLoop({
    poll: async (_, report) => {
      const reportSettled = async (settled: Promise<TickResult | undefined>): Promise<void> => {
        const result = await settled;
        if (result === undefined || stop.aborted) return;
        report(pollOutcome(result));
        // Without a rollback target, nothing serves until another version is deployed.
        if ((await deployer.live()) === undefined) wake();
      };
      return pollOutcome(await poll((settled) => baking.add(reportSettled(settled))));
    },
    intervalMs: config.intervalMs,
    onWake: (listener) => {
      wake = listener;
      // With an app, a reload signal restarts the app.
      if (supervision !== undefined) return () => {};
      return signals.onReload(() => {
        failed.hurry();
        listener();
      });
    },
    clock,
    emit,
    signal: stop,
  });
}

/** The exit code shows a cron job or a pipeline whether a version is live. */
async function pollOnce(
  poll: Poll,
  { supervision }: Agent,
  { deployer, emit }: DeployContext,
  { stop, stoppedBy }: Signals,
): Promise<number> {
  const { deployed, live, problem, failure } = await resultOf(poll);
  const isLive = (await deployer.live()) !== undefined;
  const signal = stoppedBy();
  if (signal !== undefined) return isLive ? 0 : SIGNAL_EXIT_CODES[signal];
  const error = failure?.error ?? problem;
  if (error !== undefined) emit(failedEvent(error, 1, { tag: failure?.tag }));
  const code = error === undefined ? (isLive ? 0 : 2) : exitCodeOf(error);
  if (supervision !== undefined && isLive) {
    await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
    return 0;
  }
  if (code === 0 && live !== undefined && !deployed) emit({ type: "up-to-date", tag: live });
  return code;
}

async function resultOf(poll: Poll): Promise<TickResult> {
  try {
    return await poll();
  } catch (error) {
    return { deployed: false, live: undefined, problem: asDewyError(error) };
  }
}
