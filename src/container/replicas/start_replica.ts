import { DeployError } from "../../core/error.ts";
import { withLastLines } from "../../deployers/with_last_lines.ts";
import type { ContainerRelease } from "./container_release.ts";
import type { Crew } from "./crew.ts";
import { becomeHealthy, type HealthOptions } from "./health.ts";
import type { NameReplica } from "./name_replica.ts";
import { EndedError, endOf, isRunning, Replica } from "./replica.ts";

/** What {@link startReplica} works with. */
export interface StartOptions {
  crew: Crew;
  health: HealthOptions;
  /** Names and labels of a new container. */
  name: NameReplica;
}

/**
 * Starts a replica and waits until it is healthy. No client is sent there yet.
 *
 * @param release what to start.
 * @param index its number among the replicas of the release.
 * @param options what it works with.
 * @param signal ends the waiting.
 * @returns the replica.
 * @throws DeployError with the reason and its last lines; nothing of it is left. Whatever the signal was ended with.
 */
export async function startReplica(
  release: ContainerRelease,
  index: number,
  { crew, health, name }: StartOptions,
  signal: AbortSignal,
): Promise<Replica> {
  const { engine, clock } = health;
  const named = name(release, index);
  const replica = await crew.await(named.name, async () => {
    const id = await engine.start({ ...release.spec, ...named }, signal);
    const container = await engine.inspect(id, new AbortController().signal);
    if (container === undefined) throw endOf(container);
    const started = new Replica(container, clock.now());
    if (!isRunning(container)) started.end(endOf(container));
    return started;
  });
  try {
    await becomeHealthy(replica, release, health, signal);
    return replica;
  } catch (error) {
    throw await giveUp(replica, error, crew);
  }
}

/**
 * Ends a replica that does not get to serve.
 *
 * @param replica the replica.
 * @param error why.
 * @param crew the others.
 * @returns what to throw: the reason, with its last lines where the replica is to blame.
 */
export async function giveUp(replica: Replica, error: unknown, crew: Crew): Promise<unknown> {
  const lines = await crew.bury(replica, "it was given up");
  if (!(error instanceof DeployError)) return error;
  const text = withLastLines(`${replica.name}: ${error.message}`, lines);
  return error instanceof EndedError
    ? new EndedError(text, error.fault)
    : new DeployError("verify", text, { fault: error.fault });
}
