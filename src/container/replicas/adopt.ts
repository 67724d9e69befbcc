import type { Context } from "../../core/context.ts";
import type { ContainerEngine } from "../engine/engine.ts";
import { managedLabels } from "../options/names.ts";
import { type HealthOptions, probeReplica } from "./health.ts";
import { isRunning, MAX_FAILED_PROBES, Replica } from "./replica.ts";
import type { ReplicaSet } from "./replica_set.ts";

export interface AdoptOptions extends Pick<Context, "clock" | "emit"> {
  engine: ContainerEngine;
  app: string;
  replicas: ReplicaSet;
  health: HealthOptions;
}

/** Clients are waiting: a replica that does not answer must not hold up the others. */
const PROBE_MS = 2_000;

/**
 * Adopts the containers of an earlier dewy. Each is added to the proxy once it answers, because it
 * may have been starting. If none answers, all running containers are added.
 */
export async function adopt(options: AdoptOptions, signal: AbortSignal): Promise<void> {
  const { engine, app, replicas, clock, emit } = options;
  const containers = await engine.list(managedLabels(app), signal);
  const found = containers.filter(isRunning).map((container) => {
    const replica = new Replica(container, clock.now());
    replica.failsHealthcheck =
      options.health.path === undefined && container.health === "unhealthy";
    return replica;
  });
  for (const replica of found) replicas.track(replica);
  await addAnswering(found, options, signal);
  const names = found.map(({ name }) => name);
  const tags = [...new Set(found.map(({ tag }) => tag))];
  if (names.length > 0) emit({ type: "containers-adopted", containers: names, tags });
}

async function addAnswering(
  found: readonly Replica[],
  { replicas, health, clock }: AdoptOptions,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const probes = found.map(async (replica) => {
    await probeReplica(replica, health, either);
    replicas.add(replica);
  });
  const timeout = clock.sleep(PROBE_MS, either);
  await Promise.race([Promise.allSettled(probes), timeout]).catch(() => {});
  over.abort();
  timeout.catch(() => {});
  await Promise.allSettled(probes);
  // As unhealthy replicas, the others serve only if no healthy one does, until they are replaced.
  for (const replica of found.filter(({ state }) => state === "starting")) {
    replica.failedProbes = MAX_FAILED_PROBES;
    replicas.add(replica);
  }
}
