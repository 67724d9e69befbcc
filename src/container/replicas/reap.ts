import type { ContainerEngine } from "../engine/engine.ts";
import { managedLabels } from "../options/names.ts";
import type { Crew } from "./crew.ts";
import { isRunning } from "./replica.ts";

/**
 * Removes containers of an app that have ended, or were never started, and that nobody looks after: a dewy that was
 * killed left them. Best effort: the next time is as good.
 *
 * @param options the engine, the app, and the replicas there are.
 * @param signal ends it.
 */
export async function reap(
  { engine, app, crew }: { engine: ContainerEngine; app: string; crew: Crew },
  signal: AbortSignal,
): Promise<void> {
  const containers = await engine.list(managedLabels(app), signal).catch(() => []);
  for (const container of containers) {
    const { id } = container;
    if (!crew.isStray(container) || isRunning(container)) continue;
    await engine.remove(id, signal).catch(() => {});
  }
}
