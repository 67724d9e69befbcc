import { DeployError } from "../../core/error.ts";
import { withLastLines } from "../../deployers/with_last_lines.ts";
import { type HealthOptions, waitUntilHealthy } from "./health.ts";
import type { ContainerRelease } from "./prepare_release.ts";
import { exitError, isRunning, type NameReplica, Replica, ReplicaExitedError } from "./replica.ts";
import type { ReplicaSet } from "./replica_set.ts";

interface RolloutGoal {
  release: ContainerRelease;
  /** Replicas to replace although they are of that release. */
  stale: ReadonlySet<Replica>;
  /** The directory of a failed release, which stops serving once another replica does. */
  distrusted: string | undefined;
}

interface RolloutOptions {
  replicas: ReplicaSet;
  health: HealthOptions;
  name: NameReplica;
  count: number;
  /** How many more may run meanwhile. */
  surge: number;
  onReady(replica: Replica): void;
}

const NEVER = new AbortController().signal;

/**
 * Replaces replicas until exactly `count` of the release serve: starts new ones, adds them to the
 * proxy when they are healthy, and drains as many others. It looks at the actual replicas in every
 * step, so it also continues an interrupted rollout. If a new replica does not become healthy, it
 * throws a DeployError, and the serving replicas keep serving.
 */
export async function rollOut(
  goal: RolloutGoal,
  options: RolloutOptions,
  signal: AbortSignal,
): Promise<void> {
  const { replicas, count, surge } = options;
  for (;;) {
    signal.throwIfAborted();
    reuseDraining(goal, options);
    const { wanted, others } = serving(goal, replicas);
    if (wanted.length > 0) {
      drainAll(
        others.filter(({ release }) => release === goal.distrusted),
        replicas,
      );
    }
    const missing = count - wanted.length;
    if (missing <= 0) {
      drainAll([...others, ...wanted.slice(count)], replicas);
      return;
    }
    const room = count + surge - replicas.list().length;
    if (room <= 0) await makeRoom(others, replicas, signal);
    else await scaleUp(goal, Math.min(room, missing), options, signal);
  }
}

function isWanted(replica: Replica, { release, stale }: RolloutGoal): boolean {
  const { directory, config } = release;
  return (
    replica.release === directory &&
    replica.config === config &&
    replica.isHealthy &&
    !stale.has(replica)
  );
}

function serving(
  goal: RolloutGoal,
  replicas: ReplicaSet,
): { wanted: Replica[]; others: Replica[] } {
  const all = replicas.list("serving");
  return {
    wanted: all.filter((replica) => isWanted(replica, goal)),
    others: all.filter((replica) => !isWanted(replica, goal)),
  };
}

/** A rollback need not start replicas that are still draining. */
function reuseDraining(goal: RolloutGoal, { replicas, count }: RolloutOptions): void {
  const missing = count - serving(goal, replicas).wanted.length;
  const draining = replicas.list("draining").filter((replica) => isWanted(replica, goal));
  for (const replica of draining.slice(0, Math.max(0, missing))) replicas.add(replica);
}

function drainAll(drained: readonly Replica[], replicas: ReplicaSet): void {
  for (const replica of drained) replicas.drain(replica);
}

/** Waits for a replica that is already leaving, or else drains the least healthy one. */
async function makeRoom(
  others: readonly Replica[],
  replicas: ReplicaSet,
  signal: AbortSignal,
): Promise<void> {
  const isLeaving = replicas.list("draining", "stopping").length > 0;
  if (!isLeaving) drainAll(scaleDownCandidates(others).slice(0, 1), replicas);
  await replicas.untilOneHasLeft(signal);
}

/** Unhealthy replicas come first. */
function scaleDownCandidates(replicas: readonly Replica[]): Replica[] {
  return [...replicas].sort((a, b) => Number(a.isHealthy) - Number(b.isHealthy));
}

async function scaleUp(
  goal: RolloutGoal,
  added: number,
  options: RolloutOptions,
  signal: AbortSignal,
): Promise<void> {
  const { replicas, count, onReady } = options;
  for (const replica of await startBatch(goal.release, added, options, signal)) {
    replicas.add(replica);
    onReady(replica);
  }
  const { others } = serving(goal, replicas);
  const surplus = replicas.list("serving").length - count;
  drainAll(scaleDownCandidates(others).slice(0, Math.max(0, surplus)), replicas);
}

/** Starts all replicas or none. */
async function startBatch(
  release: ContainerRelease,
  count: number,
  options: RolloutOptions,
  signal: AbortSignal,
): Promise<readonly Replica[]> {
  const { replicas } = options;
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const starts = freeIndexes(release, count, replicas).map((index) =>
    startReplica(release, index, options, either).catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  const results = await Promise.allSettled(starts);
  const started = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  // A healthy replica may have exited while the others of its batch were starting.
  const exited = started.find(({ isAlive }) => !isAlive);
  if (exited !== undefined) failed.abort(await discard(exited, exited.exited.reason, replicas));
  if (!either.aborted) return started;
  for (const replica of started) replicas.remove(replica);
  throw either.reason;
}

function freeIndexes(
  { directory }: ContainerRelease,
  count: number,
  replicas: ReplicaSet,
): number[] {
  const taken = new Set(
    replicas
      .list("starting", "serving")
      .filter(({ release }) => release === directory)
      .map(({ index }) => index),
  );
  const free: number[] = [];
  for (let index = 0; free.length < count; index += 1) if (!taken.has(index)) free.push(index);
  return free;
}

/** Starts a replica and waits until it is healthy. Discards it on failure. */
async function startReplica(
  release: ContainerRelease,
  index: number,
  { replicas, health, name }: RolloutOptions,
  signal: AbortSignal,
): Promise<Replica> {
  const { engine, clock } = health;
  const named = name(release, index);
  const replica = await replicas.start(named.name, async () => {
    const id = await engine.start({ ...release.spec, ...named }, signal);
    const container = await engine.inspect(id, NEVER);
    if (container === undefined) throw exitError(container);
    const started = new Replica(container, clock.now());
    if (!isRunning(container)) started.markExited(exitError(container));
    return started;
  });
  try {
    await waitUntilHealthy(replica, release, health, signal);
    return replica;
  } catch (error) {
    throw await discard(replica, error, replicas);
  }
}

/** Removes a replica that failed to start. Returns the error, with its last lines if possible. */
async function discard(replica: Replica, error: unknown, replicas: ReplicaSet): Promise<unknown> {
  const lines = await replicas.reap(replica, "it failed to start");
  if (!(error instanceof DeployError)) return error;
  const text = withLastLines(`${replica.name}: ${error.message}`, lines);
  return error instanceof ReplicaExitedError
    ? new ReplicaExitedError(text, error.fault)
    : new DeployError("verify", text, { fault: error.fault });
}
