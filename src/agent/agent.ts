/**
 * What every deploying command does around its deployer: take the directory, recover, poll, stop.
 *
 * @module
 */
import { hostname } from "node:os";
import { join } from "node:path";
import type { DeployConfig } from "../cli/flags/deploy.ts";
import { dedupe } from "../core/event.ts";
import { exclusive } from "../core/exclusive.ts";
import type { Registry } from "../core/types.ts";
import { redactUrl } from "../core/url.ts";
import type { Deployer, DeployIo } from "../deploy/deployer.ts";
import { FailedCandidates } from "../deploy/failed_candidates.ts";
import { asDewyError, failedEvent, pollLoop } from "../deploy/loop.ts";
import { recover } from "../deploy/recover.ts";
import { prove, type Trial } from "../deploy/sequence.ts";
import { type DeployState, forgetAcceptances } from "../deploy/state.ts";
import { Switches } from "../deploy/switches.ts";
import { type Later, roundOutcome, type TickResult, tick } from "../deploy/tick.ts";
import { removeTemporaries } from "../host/files/atomic_file.ts";
import { writableByOthers } from "../host/files/own_directory.ts";
import { stateFile } from "../host/files/state_file.ts";
import { createHooks } from "../host/process/hook.ts";
import { SIGNAL_EXIT_CODES, type Signals } from "../host/process/io.ts";
import { acquireLock } from "../host/process/lock.ts";
import type { LocatorBase } from "../registries/driver.ts";
import { withPollDeadline } from "../registries/timeout.ts";
import type { CommandContext } from "./context.ts";
import { exitCodeOf } from "./exit_code.ts";
import { surviveUncaught } from "./survive_uncaught.ts";

/** The flags that all deploying commands share. */
export type AgentConfig = DeployConfig & { command: string };

/** What a command brings to {@link runAgent}. */
export interface Agent {
  config: AgentConfig;
  /** The working directory. */
  root: string;
  registry: Registry;
  /** How the registry's URL was read: the version policy. */
  locator: LocatorBase;
  deployer: Deployer;
  /** What `server` adds: a program that runs beside the polling. */
  supervision?: Supervision;
}

/** A program that is kept running. */
export interface Supervision {
  /** The directory is ours: takes over what an earlier dewy has left running, before anything else. */
  adopt?(): Promise<void>;
  /** The directory is ours, and what a crash left is settled: runs what is live. Never waits for the network. */
  begin(io: DeployIo): Promise<void>;
  /** Restarts the program; the signal gives that up. */
  restart(signal: AbortSignal): Promise<void>;
  /** Ends it. */
  end(): Promise<void>;
}

/** The file that only one dewy at a time holds. */
export function lockPath(root: string): string {
  return join(root, ".dewy", "lock");
}

/** The file that a working directory remembers by. */
export function statePath(root: string): string {
  return join(root, ".dewy", "state.json");
}

/**
 * Keeps a deployer up to date until the operator stops it, or once.
 *
 * @param agent the command's parts.
 * @returns the exit code.
 * @throws DewyError when the directory is taken or cannot be used.
 */
export async function runAgent(agent: Agent, context: CommandContext): Promise<number> {
  const { config, root } = agent;
  const { emit, signals } = context;
  const lock = await acquireLock(lockPath(root), config.command, { emit, signal: signals.stop });
  try {
    return await run(agent, deployIo(agent, context), context);
  } finally {
    await lock.release();
  }
}

function deployIo({ config, root, registry, deployer }: Agent, context: CommandContext): DeployIo {
  const { clock } = context;
  const emit = dedupe(context.emit);
  const runHook = createHooks({
    before: config.beforeDeployHook ?? "",
    after: config.afterDeployHook ?? "",
    timeoutMs: config.hookTimeoutMs,
    cwd: root,
    env: context.env,
    redact: context.redactor(context.env),
  });
  const oneAfterTheOther = exclusive();
  return {
    registry: withPollDeadline(registry, clock),
    deployer,
    store: stateFile(statePath(root), emit),
    runHook: (...call) => oneAfterTheOther(() => runHook(...call)),
    switches: new Switches(),
    clock,
    emit,
    command: config.command,
    host: hostname(),
  };
}

async function run(agent: Agent, io: DeployIo, context: CommandContext): Promise<number> {
  const { config, root, locator } = agent;
  const end = new AbortController();
  const stop = AbortSignal.any([context.signals.stop, end.signal]);
  io.emit({
    type: "started",
    version: context.version,
    command: config.command,
    registry: redactUrl(config.registry),
    directory: root,
  });
  await removeTemporaries(statePath(root));
  await warnOfWriters(root, io);
  await applyFlags(config, io);
  const failed = new FailedCandidates({ intervalMs: config.intervalMs, clock: io.clock });
  const policy = { ...locator, acceptChanged: config.acceptChanged };
  const look: Look = (later) => tick(policy, io, stop, failed, later);
  const watched = new Watched();
  const listeners = [restartOnSignal(agent, io, context), tellStop(io, context)];
  try {
    await agent.supervision?.adopt?.();
    const trial = await recover(io, stop);
    if (trial !== undefined) watched.add(resume(trial, io, stop));
    await io.switches.exclusively(async () => agent.supervision?.begin(io));
    if (!config.once || agent.supervision !== undefined) surviveUncaught(context);
    if (config.once) return await once(look, agent, io, context.signals);
    await poll({ look, failed, watched, stop }, agent, io, context);
    return 0;
  } finally {
    for (const unsubscribe of listeners) unsubscribe();
    end.abort();
    await watched.settled();
    await agent.supervision?.end();
  }
}

/** Finishes a deploy that an earlier dewy began. */
async function resume(trial: Trial, io: DeployIo, signal: AbortSignal): Promise<void> {
  try {
    await prove(trial, io, signal);
  } catch (error) {
    if (signal.aborted) return;
    io.emit(failedEvent(asDewyError(error), 1, { tag: trial.release.tag }));
  }
}

/** Applies `--retry-bad`. A tag that `--accept-changed` no longer names can be accepted again later. */
async function applyFlags({ acceptChanged, retryBad }: AgentConfig, io: DeployIo): Promise<void> {
  const apply = (before: DeployState): DeployState => {
    const state = forgetAcceptances(before, acceptChanged);
    return retryBad ? { ...state, bad: [] } : state;
  };
  const before = await io.store.load();
  if (apply(before) !== before) await io.store.update(apply);
}

/** A look at the registry. */
type Look = (later?: Later) => Promise<TickResult>;

/** Deploys that continue beside the polling. */
class Watched {
  readonly #deploys = new Set<Promise<unknown>>();

  /** Tracks a deploy until it has ended; its failure is reported elsewhere. */
  add(deploy: Promise<unknown>): void {
    const ended = deploy.catch(() => {}).finally(() => this.#deploys.delete(ended));
    this.#deploys.add(ended);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#deploys);
  }
}

/** A user who can write to these directories decides what root runs. */
async function warnOfWriters(root: string, io: DeployIo): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const paths = ["", ".dewy", "releases"].map((name) => join(root, name));
  const directories = (await writableByOthers(paths)).join(", ");
  if (directories === "") return;
  io.emit({
    type: "warning",
    important: true,
    message: "Other users can write to directories that dewy works in as root",
    fields: { directories, hint: "chown root and chmod go-w; docs/server.md explains why" },
  });
}

/** At once: what is under way may take a while to end. */
function tellStop(io: DeployIo, { signals }: CommandContext): () => void {
  const tell = (): void => {
    const signal = signals.stoppedBy();
    if (signal !== undefined) io.emit({ type: "stopping", signal });
  };
  if (signals.stop.aborted) tell();
  signals.stop.addEventListener("abort", tell, { once: true });
  return () => signals.stop.removeEventListener("abort", tell);
}

function restartOnSignal(
  { supervision }: Agent,
  io: DeployIo,
  { signals }: CommandContext,
): () => void {
  if (supervision === undefined) return () => {};
  const { switches, emit } = io;
  return signals.onWake((name) => {
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
  look: Look;
  failed: FailedCandidates;
  watched: Watched;
  stop: AbortSignal;
}

async function poll(
  { look, failed, watched, stop }: Polling,
  { config, supervision }: Agent,
  io: DeployIo,
  context: CommandContext,
): Promise<void> {
  let wake = (): void => {};
  await pollLoop({
    round: async (_, report) => {
      const tell = async (settled: Promise<TickResult | undefined>): Promise<void> => {
        const result = await settled;
        if (result === undefined || stop.aborted) return;
        report(roundOutcome(result));
        // Without a way back nothing serves until another version is deployed.
        if ((await io.deployer.live()) === undefined) wake();
      };
      return roundOutcome(await look((settled) => watched.add(tell(settled))));
    },
    intervalMs: config.intervalMs,
    onWake: (listener) => {
      wake = listener;
      // With a program to look after, these signals mean that one.
      if (supervision !== undefined) return () => {};
      return context.signals.onWake(() => {
        failed.hurry();
        listener();
      });
    },
    clock: io.clock,
    emit: io.emit,
    signal: stop,
  });
}

/** A cron job or a pipeline must be able to tell by the exit code whether a version is live. */
async function once(
  look: Look,
  { supervision }: Agent,
  io: DeployIo,
  { stop, stoppedBy }: Signals,
): Promise<number> {
  const { deployed, live, problem, failure } = await lookOnce(look);
  const isLive = (await io.deployer.live()) !== undefined;
  const signal = stoppedBy();
  if (signal !== undefined) return isLive ? 0 : SIGNAL_EXIT_CODES[signal];
  const error = failure?.error ?? problem;
  if (error !== undefined) io.emit(failedEvent(error, 1, { tag: failure?.tag }));
  const code = error === undefined ? (isLive ? 0 : 2) : exitCodeOf(error);
  if (supervision !== undefined && isLive) {
    await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
    return 0;
  }
  if (code === 0 && live !== undefined && !deployed) io.emit({ type: "up-to-date", tag: live });
  return code;
}

async function lookOnce(look: Look): Promise<TickResult> {
  try {
    return await look();
  } catch (error) {
    return { deployed: false, live: undefined, problem: asDewyError(error) };
  }
}
