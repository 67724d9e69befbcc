import type { ContainerEngine, EngineContainer } from "../engine/engine.ts";
import { managedLabels } from "../options/names.ts";
import { isRunning, Replica } from "./replica.ts";
import type { ReplicaSet } from "./replica_set.ts";

/** Stops the running orphans, such as containers that a killed dewy was starting. */
export function stopOrphans(
  containers: readonly EngineContainer[],
  replicas: ReplicaSet,
  now: number,
): void {
  for (const container of containers) {
    if (isRunning(container) && replicas.isOrphan(container)) {
      replicas.remove(new Replica(container, now));
    }
  }
}

/** Removes the orphans that do not run. Ignores errors: the next rollout tries again. */
export async function removeStoppedOrphans(
  { engine, app, replicas }: { engine: ContainerEngine; app: string; replicas: ReplicaSet },
  signal: AbortSignal,
): Promise<void> {
  const containers = await engine.list(managedLabels(app), signal).catch(() => []);
  for (const container of containers) {
    const { id } = container;
    if (!replicas.isOrphan(container) || isRunning(container)) continue;
    await engine.remove(id, signal).catch(() => {});
  }
}
