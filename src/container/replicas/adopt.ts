import type { Clock } from "../../core/clock.ts";
import type { EventSink } from "../../core/event.ts";
import type { ContainerEngine } from "../engine/engine.ts";
import { managedLabels } from "../options/names.ts";
import type { Crew } from "./crew.ts";
import { type HealthOptions, probeReplica } from "./health.ts";
import { FAILED_PROBES, isRunning, Replica } from "./replica.ts";

/** What {@link adopt} works with. */
export interface AdoptOptions {
  engine: ContainerEngine;
  app: string;
  crew: Crew;
  health: HealthOptions;
  clock: Clock;
  emit: EventSink;
}

/** Clients wait meanwhile; one that hangs must not keep them from the others. */
const ASKED_FOR_MS = 2_000;

/**
 * Finds the containers that an earlier dewy has left, and puts each of them behind the proxies as soon as it answers:
 * one that was just being started may not listen yet. Where none answers, all that run are taken.
 *
 * @param options what it works with.
 * @param signal ends it.
 * @throws HostError when the engine cannot be asked.
 */
export async function adopt(options: AdoptOptions, signal: AbortSignal): Promise<void> {
  const { engine, app, crew, clock, emit } = options;
  const containers = await engine.list(managedLabels(app), signal);
  const replicas = containers.filter(isRunning).map((found) => {
    const replica = new Replica(found, clock.now());
    replica.engineDoubts = options.health.path === undefined && found.health === "unhealthy";
    return replica;
  });
  for (const replica of replicas) crew.add(replica);
  await admitWhatAnswers(replicas, options, signal);
  const names = replicas.map(({ name }) => name);
  const tags = [...new Set(replicas.map(({ tag }) => tag))];
  if (names.length > 0) emit({ type: "containers-adopted", containers: names, tags });
}

async function admitWhatAnswers(
  replicas: readonly Replica[],
  { crew, health, clock }: AdoptOptions,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const probes = replicas.map(async (replica) => {
    await probeReplica(replica, health, either);
    crew.admit(replica);
  });
  const enough = clock.sleep(ASKED_FOR_MS, either);
  await Promise.race([Promise.allSettled(probes), enough]).catch(() => {});
  over.abort();
  enough.catch(() => {});
  await Promise.allSettled(probes);
  // What does not answer serves only where nothing else does; it is watched, and replaced.
  for (const replica of replicas.filter(({ state }) => state === "starting")) {
    replica.failedProbes = FAILED_PROBES;
    crew.admit(replica);
  }
}
