/**
 * What every deploying command does around its deployer: take the directory, recover, poll, stop.
 *
 * @module
 */
import { hostname } from "node:os";
import { join } from "node:path";
import type { DewyError } from "../core/error.ts";
import { onlyNews } from "../core/event.ts";
import { type Exclusively, exclusive } from "../core/exclusive.ts";
import type { Registry } from "../core/types.ts";
import { redactUrl } from "../core/url.ts";
import type { Deployer, DeployIo } from "../deploy/deployer.ts";
import { asDewyError, failedEvent, pollLoop } from "../deploy/loop.ts";
import { recover } from "../deploy/recover.ts";
import { type TickResult, tick } from "../deploy/tick.ts";
import { createHooks } from "../host/hook.ts";
import { acquireLock } from "../host/lock.ts";
import { stateFile } from "../host/state_file.ts";
import type { LocatorBase } from "../registry/driver.ts";
import type { DeployConfig } from "./deploy_config.ts";
import { exitCodeOf } from "./exit_code.ts";
import type { World } from "./world.ts";

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
  begin(io: DeployIo, exclusively: Exclusively): Promise<void>;
  /** The operator wants it started anew. */
  restart(signal: string): Promise<void>;
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
 * @param world the world.
 * @returns the exit code.
 * @throws DewyError when the directory is taken or cannot be used.
 */
export async function runAgent(agent: Agent, world: World): Promise<number> {
  const { config, root } = agent;
  const lock = await acquireLock(lockPath(root), config.command);
  try {
    return await run(agent, deployIo(agent, world), world);
  } finally {
    await lock.release();
  }
}

function deployIo({ config, root, registry, deployer }: Agent, world: World): DeployIo {
  const { clock } = world;
  const emit = onlyNews(world.emit);
  return {
    registry,
    deployer,
    store: stateFile(statePath(root), emit),
    runHook: createHooks({
      before: config.beforeDeployHook ?? "",
      after: config.afterDeployHook ?? "",
      timeoutMs: config.hookTimeoutMs,
      cwd: root,
      env: world.env,
    }),
    clock,
    emit,
    command: config.command,
    host: hostname(),
  };
}

async function run(agent: Agent, io: DeployIo, world: World): Promise<number> {
  const { config, root, locator } = agent;
  const { stop } = world.signals;
  io.emit({
    type: "started",
    version: world.version,
    command: config.command,
    registry: redactUrl(config.registry),
    directory: root,
  });
  if (config.retryBad) await io.store.save({ ...(await io.store.load()), bad: [] });
  const exclusively = exclusive();
  const look = (signal: AbortSignal): Promise<TickResult> =>
    exclusively(() => tick(locator, io, signal));
  const unsubscribe = restartOnSignal(agent, world);
  try {
    await agent.supervision?.adopt?.();
    await exclusively(() => recover(io, stop));
    await agent.supervision?.begin(io, exclusively);
    return config.once ? await once(look, agent, io, stop) : await poll(look, agent, io, world);
  } finally {
    unsubscribe();
    const stoppedBy = world.signals.stoppedBy();
    if (stoppedBy !== undefined) io.emit({ type: "stopping", signal: stoppedBy });
    await agent.supervision?.end();
  }
}

function restartOnSignal({ supervision }: Agent, world: World): () => void {
  if (supervision === undefined) return () => {};
  return world.signals.onWake((signal) => {
    supervision.restart(signal).catch((error: unknown) => {
      const fields = { error: asDewyError(error).message };
      world.emit({ type: "warning", important: true, message: "Cannot restart the app", fields });
    });
  });
}

async function poll(
  look: (signal: AbortSignal) => Promise<TickResult>,
  { config, supervision }: Agent,
  io: DeployIo,
  world: World,
): Promise<number> {
  await pollLoop({
    round: async (signal) => (await look(signal)).problem,
    intervalMs: config.intervalMs,
    // With a program to look after, these signals mean that one.
    wake: (signal) => (supervision === undefined ? woken(world, signal) : new Promise(() => {})),
    clock: io.clock,
    emit: io.emit,
    signal: world.signals.stop,
  });
  return 0;
}

/** A cron job or a pipeline must be able to tell by the exit code whether a version is live. */
async function once(
  look: (signal: AbortSignal) => Promise<TickResult>,
  { supervision }: Agent,
  io: DeployIo,
  stop: AbortSignal,
): Promise<number> {
  const result = await look(stop).catch((error: unknown) => ({ problem: asDewyError(error) }));
  if (stop.aborted) return 0;
  const isLive = (await io.deployer.live()) !== undefined;
  const code = result.problem === undefined ? (isLive ? 0 : 2) : failed(result.problem, io);
  if (supervision !== undefined && isLive) {
    await new Promise((resolve) => stop.addEventListener("abort", resolve, { once: true }));
    return 0;
  }
  if (code !== 0 || !("live" in result) || result.live === undefined) return code;
  if (!result.deployed) io.emit({ type: "up-to-date", tag: result.live });
  return 0;
}

function failed(error: DewyError, io: DeployIo): number {
  io.emit(failedEvent(error, 1, undefined));
  return exitCodeOf(error);
}

function woken(world: World, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const unsubscribe = world.signals.onWake(done);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      unsubscribe();
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
