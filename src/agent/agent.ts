import { hostname } from "node:os";
import { join } from "node:path";
import { compileWindows } from "../cli/flags/windows.ts";
import { exclusive } from "../core/concurrency.ts";
import { AbortedError, ConfigError } from "../core/error.ts";
import { dedupe, type EventSink, fanOut } from "../core/event.ts";
import { redactUrl } from "../core/url.ts";
import type { VersionPolicy } from "../deploy/choose.ts";
import type { DeployContext } from "../deploy/deployer.ts";
import { FailedCandidates } from "../deploy/failed_candidates.ts";
import {
  asDewyError,
  failedEvent,
  polledEvent,
  pollLoop,
  type WakeListener,
} from "../deploy/loop.ts";
import { recover } from "../deploy/recover.ts";
import { ReportSchedule } from "../deploy/report_schedule.ts";
import { bakeAndCommit, type Trial } from "../deploy/sequence.ts";
import { type DeployState, forgetAcceptances } from "../deploy/state.ts";
import { GivenUp, Switches } from "../deploy/switches.ts";
import { type Later, pollOutcome, type TickResult, tick } from "../deploy/tick.ts";
import { removeTemporaries } from "../host/files/atomic_file.ts";
import { writableByOthers } from "../host/files/own_directory.ts";
import { lockPath, statePath } from "../host/files/own_paths.ts";
import { stateFile } from "../host/files/state_file.ts";
import { createHooks } from "../host/process/hook.ts";
import { SIGNAL_EXIT_CODES, type Signals } from "../host/process/io.ts";
import { acquireLock } from "../host/process/lock.ts";
import { withPollDeadline } from "../registries/timeout.ts";
import { type CommandContext, isolated } from "./context.ts";
import { dryRun } from "./dry_run.ts";
import { exitCodeOf } from "./exit_code.ts";
import { type FleetHost, openFleet } from "./fleet.ts";
import { type EventHub, eventHub, type OpenInstance, openInstance } from "./instance.ts";
import { type AgentWebhooks, openAgentAdmin, openAgentWebhooks } from "./listeners.ts";
import { Polls } from "./polls.ts";
import { Steering } from "./steering.ts";
import { openAgentTelemetry } from "./telemetry.ts";
import type { Agent, AgentConfig } from "./types.ts";
import { surviveUncaught } from "./uncaught.ts";

export type { Agent, AgentConfig, Supervision } from "./types.ts";
export { lockPath, statePath };

/**
 * Takes the directory's lock, recovers, and keeps the deployer up to date: once, or until the operator stops dewy. Returns
 * the exit code.
 */
export async function runAgent(agent: Agent, command: CommandContext): Promise<number> {
  const policy = await policyOf(agent);
  const lock = await lockDirectory(agent, command);
  const hub = eventHub(command);
  try {
    if (agent.config.dryRun) return await runDry(agent, policy, hub, command);
    const instance = openInstance(agent, policy, hub, command);
    try {
      const telemetry = await openAgentTelemetry(agent, instance, hub, command);
      const emit = fanOut([dedupe(hub.emit, command.clock), instance.repeated]);
      const traced: EventSink = (event) => emit(telemetry?.traced(event) ?? event);
      const context = deployContext(agent, [traced], command);
      try {
        const metrics = telemetry?.prometheus;
        return await run(agent, context, { policy, instance, hub, metrics }, command);
      } finally {
        await telemetry?.close();
      }
    } finally {
      await instance.close();
    }
  } finally {
    await lock.release();
  }
}

async function lockDirectory({ config, root }: Agent, { emit, signals }: CommandContext) {
  try {
    return await acquireLock(lockPath(root), config.command, { emit, signal: signals.stop });
  } catch (error) {
    if (!config.dryRun || !(error instanceof ConfigError) || error.code !== "locked") throw error;
    const [problem = ""] = error.message.split(";");
    const hint = "to ask that one what it would do: dewy deploy TAG --dry-run";
    throw new ConfigError(`${problem}; ${hint}`, { code: "locked", cause: error });
  }
}

function runDry(
  agent: Agent,
  policy: VersionPolicy,
  hub: EventHub,
  command: CommandContext,
): Promise<number> {
  const { config, root } = agent;
  const { registry, command: mode } = config;
  const { version, signals } = command;
  const context = deployContext(agent, [dedupe(hub.emit, command.clock)], command);
  hub.emit({
    type: "started",
    version,
    command: mode,
    registry: redactUrl(registry),
    directory: root,
  });
  const asFlagsSay = (state: DeployState): DeployState => withFlags(state, config);
  return dryRun(context, policy, { asFlagsSay, signal: signals.stop });
}

async function policyOf({ config, locator, verify }: Agent): Promise<VersionPolicy> {
  const { acceptChanged, minAgeMs, confirmMajor, maxStalenessMs } = config;
  // A signature of an older version is as valid as ever.
  const noDowngrade = config.noDowngrade || verify.mode === "rules";
  const opensAt = (await compileWindows(config.windows))?.opensAt;
  const gates = { acceptChanged, minAgeMs, noDowngrade, confirmMajor, opensAt };
  return { ...locator, ...gates, maxStalenessMs };
}

function deployContext(
  { config, root, registry, deployer, locator, verify }: Agent,
  sinks: readonly EventSink[],
  command: CommandContext,
): DeployContext {
  const { clock } = command;
  const emit = fanOut(sinks);
  const runHook = createHooks({
    before: config.beforeDeployHook ?? "",
    after: config.afterDeployHook ?? "",
    timeoutMs: config.hookTimeoutMs,
    cwd: root,
    env: config.isolateEnv === true ? isolated(command.env, command) : command.env,
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
    calver: locator.calver,
    acceptChanged: config.acceptChanged,
    verify,
    host: hostname(),
  };
}

function withFleet(context: DeployContext, { gate, sink }: FleetHost): DeployContext {
  return { ...context, fleet: gate, emit: fanOut([context.emit, sink]) };
}

interface RunParts {
  policy: VersionPolicy;
  instance: OpenInstance;
  hub: EventHub;
  metrics: (() => Promise<string>) | undefined;
}

async function run(
  agent: Agent,
  opened: DeployContext,
  { policy, instance, hub, metrics }: RunParts,
  command: CommandContext,
): Promise<number> {
  const { config, root, supervision } = agent;
  const fleet = await openFleet(agent, opened, command);
  const context = fleet === undefined ? opened : withFleet(opened, fleet);
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
  if (agent.verify.mode === "none") warnAboutVerifyNone(context);
  const failed = new FailedCandidates({ intervalMs: config.intervalMs, clock: context.clock });
  const poll: Poll = (later) => tick({ policy, failed, later }, context, stop);
  const baking = new BakingDeploys();
  const polls = new Polls();
  polls.isClosed = config.once;
  const background = (work: Promise<unknown>): void => baking.add(work);
  const { subscribe } = hub;
  const parts = { context, supervision, polls, stop, background, subscribe };
  const steering = new Steering(parts);
  const listeners = [restartOnSignal(agent, context, signals), reportStop(context, signals)];
  if (fleet !== undefined) listeners.push(subscribe(fleet.sink));
  let webhooks: AgentWebhooks | undefined;
  let admin: { close(): Promise<void> } | undefined;
  try {
    // First, because a port that is taken must change nothing in the state.
    if (!config.once) webhooks = await openAgentWebhooks(config, context);
    admin = await openAgentAdmin(agent, { instance, hub, metrics }, command);
    await applyFlags(config, context);
    // Also with --once: a broken download must not end it before it has tried again.
    surviveUncaught(command);
    if (!config.once || supervision !== undefined) {
      await instance.listen((...asked) => steering.steer(...asked));
    }
    await supervision?.adopt?.();
    const recovered = await recover(context, stop);
    await context.switches.exclusively(async () => supervision?.begin(context));
    const trial = await steering.begin(recovered);
    if (trial !== undefined) baking.add(resume(trial, context, stop));
    if (fleet !== undefined) baking.add(fleet.run(steering, stop));
    if (config.once) return await pollOnce(poll, agent, context, signals);
    await keepPolling({ poll, polls, failed, baking, webhooks, stop }, agent, context, signals);
    return 0;
  } finally {
    for (const unsubscribe of listeners) unsubscribe();
    end.abort(new AbortedError("dewy is stopping"));
    await webhooks?.close();
    try {
      await baking.settled();
      await supervision?.end();
    } finally {
      // Until then, `dewy status` and the status page show what is still draining.
      await Promise.all([instance.hangUp(), admin?.close()]);
    }
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
async function applyFlags(config: AgentConfig, { store }: DeployContext): Promise<void> {
  const apply = (before: DeployState): DeployState => withFlags(before, config);
  const before = await store.load();
  if (apply(before) !== before) await store.update(apply);
}

function withFlags(before: DeployState, { acceptChanged, retryBad }: AgentConfig): DeployState {
  const state = forgetAcceptances(before, acceptChanged);
  return retryBad ? { ...state, bad: [] } : state;
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

function warnAboutVerifyNone({ emit }: DeployContext): void {
  emit({
    type: "warning",
    message: "Signatures are not verified: --verify none",
    fields: { hint: "leave the flag out, or name what releases must have; docs/verification.md" },
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
      .overtakable(undefined, signals.stop, (either) =>
        switches.attempt(either, (signal) => supervision.restart("signal", signal)),
      )
      .catch((error) => {
        if (signals.stop.aborted || error instanceof GivenUp) return;
        const fields = { error: asDewyError(error).message };
        emit({ type: "warning", important: true, message: "Cannot restart the app", fields });
      });
  });
}

interface Polling {
  poll: Poll;
  polls: Polls;
  failed: FailedCandidates;
  baking: BakingDeploys;
  webhooks: AgentWebhooks | undefined;
  stop: AbortSignal;
}

async function keepPolling(
  { poll, polls, failed, baking, webhooks, stop }: Polling,
  { config, supervision }: Agent,
  { deployer, registry, clock, emit }: DeployContext,
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
      const { result } = await polls.run(async () => {
        let settled: Promise<TickResult | undefined> | undefined;
        const result = await poll((later) => {
          settled = later;
          baking.add(reportSettled(later));
        });
        return { result, settled };
      });
      return pollOutcome(result);
    },
    intervalMs: config.intervalMs,
    onWake: (listener) => {
      wake = listener;
      // Answers that other machines got before the wake-up do not count.
      const refreshed: WakeListener = (given) => {
        registry.refresh?.();
        listener(given);
      };
      polls.trigger = () => {
        failed.hurry();
        refreshed();
      };
      // With an app, a reload signal restarts the app.
      const onReload = supervision === undefined ? signals.onReload(polls.trigger) : () => {};
      const onWebhook = webhooks?.onWake(refreshed);
      registry
        .watch?.({ onChange: () => refreshed({ isPatient: true }), signal: stop })
        .catch(() => {});
      return () => {
        onReload();
        onWebhook?.();
      };
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
  const result = await resultOf(poll);
  const { deployed, live, problem, failure, waiting } = result;
  const isLive = (await deployer.live()) !== undefined;
  const signal = stoppedBy();
  if (signal !== undefined) return isLive ? 0 : SIGNAL_EXIT_CODES[signal];
  const error = failure?.error ?? problem;
  if (error !== undefined) emit(failedEvent(error, 1, { tag: failure?.tag }));
  const code = error === undefined ? (isLive ? 0 : 2) : exitCodeOf(error);
  if (supervision !== undefined && isLive) {
    emit(polledEvent(pollOutcome(result)));
    await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
    return 0;
  }
  const isNewest = !deployed && waiting === undefined;
  if (code === 0 && live !== undefined && isNewest) emit({ type: "up-to-date", tag: live });
  return code;
}

async function resultOf(poll: Poll): Promise<TickResult> {
  try {
    return await poll();
  } catch (error) {
    return { deployed: false, live: undefined, problem: asDewyError(error) };
  }
}
