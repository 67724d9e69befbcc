import type { ContainerRelease } from "./container_release.ts";
import type { Crew } from "./crew.ts";
import type { Replica } from "./replica.ts";
import { giveUp, type StartOptions, startReplica } from "./start_replica.ts";

/** What {@link rollOut} works with. */
export interface RollOutOptions extends StartOptions {
  /** How many are to serve. */
  replicas: number;
  /** How many may run beyond that. */
  surge: number;
  /** Tells of each replica that serves. */
  onReady(replica: Replica): void;
}

/** What a rollout is to lead to. */
export interface Goal {
  release: ContainerRelease;
  /** Replicas to replace although they are of that release. */
  stale: ReadonlySet<Replica>;
  /** A release that must not serve as soon as there is one other replica; its directory. */
  distrusted: string | undefined;
}

/**
 * Replaces replicas until those of a release serve, and no others: some new ones are started; when they are healthy,
 * they go behind the proxy, and as many others leave. It goes by what is there, so that it also continues what another
 * rollout has left half done. The last ones that leave may still be on their way out when it resolves.
 *
 * @param goal what is to serve.
 * @param options what it works with.
 * @param signal ends it; what serves then goes on serving.
 * @throws DeployError when a new one does not become healthy; whatever the signal was ended with.
 */
export async function rollOut(
  goal: Goal,
  options: RollOutOptions,
  signal: AbortSignal,
): Promise<void> {
  const { crew, replicas } = options;
  for (;;) {
    signal.throwIfAborted();
    comeBack(goal, options);
    const { wanted, others } = sides(goal, crew);
    if (wanted.length > 0)
      leave(
        others.filter(({ release }) => release === goal.distrusted),
        crew,
      );
    const missing = replicas - wanted.length;
    if (missing <= 0) {
      leave([...others, ...wanted.slice(replicas)], crew);
      return;
    }
    const room = replicas + options.surge - crew.list().length;
    if (room <= 0) await makeRoom(others, crew, signal);
    else await grow(goal, Math.min(room, missing), options, signal);
  }
}

function isWanted(replica: Replica, { release, stale }: Goal): boolean {
  const { directory, config } = release;
  return (
    replica.release === directory &&
    replica.config === config &&
    replica.isHealthy &&
    !stale.has(replica)
  );
}

/** Those that serve, by whether they are to go on. */
function sides(goal: Goal, crew: Crew): { wanted: Replica[]; others: Replica[] } {
  const serving = crew.list("serving");
  return {
    wanted: serving.filter((replica) => isWanted(replica, goal)),
    others: serving.filter((replica) => !isWanted(replica, goal)),
  };
}

/** A rollback need not start what is still there. */
function comeBack(goal: Goal, { crew, replicas }: RollOutOptions): void {
  const missing = replicas - sides(goal, crew).wanted.length;
  const waiting = crew.list("draining").filter((replica) => isWanted(replica, goal));
  for (const replica of waiting.slice(0, Math.max(0, missing))) crew.admit(replica);
}

function leave(replicas: readonly Replica[], crew: Crew): void {
  for (const replica of replicas) crew.retire(replica);
}

/** Somebody who leaves already, or, where nobody does, the one who is missed least. */
async function makeRoom(
  others: readonly Replica[],
  crew: Crew,
  signal: AbortSignal,
): Promise<void> {
  if (crew.list("draining", "stopping").length === 0) leave(leastMissed(others).slice(0, 1), crew);
  await crew.oneHasLeft(signal);
}

function leastMissed(replicas: readonly Replica[]): Replica[] {
  return [...replicas].sort((a, b) => Number(a.isHealthy) - Number(b.isHealthy));
}

async function grow(
  goal: Goal,
  count: number,
  options: RollOutOptions,
  signal: AbortSignal,
): Promise<void> {
  const { crew, replicas, onReady } = options;
  for (const replica of await startMany(goal.release, count, options, signal)) {
    crew.admit(replica);
    onReady(replica);
  }
  const { others } = sides(goal, crew);
  const surplus = crew.list("serving").length - replicas;
  leave(leastMissed(others).slice(0, Math.max(0, surplus)), crew);
}

/** All of them, or none. */
async function startMany(
  release: ContainerRelease,
  count: number,
  options: RollOutOptions,
  signal: AbortSignal,
): Promise<readonly Replica[]> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const starts = freeNumbers(release, count, options.crew).map((index) =>
    startReplica(release, index, options, either).catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  const results = await Promise.allSettled(starts);
  const started = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  // It may have ended while the others of its batch became healthy.
  const ended = started.find(({ isAlive }) => !isAlive);
  if (ended !== undefined) failed.abort(await giveUp(ended, ended.ended.reason, options.crew));
  if (!either.aborted) return started;
  for (const replica of started) options.crew.dismiss(replica);
  throw either.reason;
}

function freeNumbers({ directory }: ContainerRelease, count: number, crew: Crew): number[] {
  const taken = new Set(
    crew
      .list("starting", "serving")
      .filter(({ release }) => release === directory)
      .map(({ index }) => index),
  );
  const free: number[] = [];
  for (let index = 0; free.length < count; index += 1) if (!taken.has(index)) free.push(index);
  return free;
}
