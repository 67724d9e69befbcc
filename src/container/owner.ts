import { lockPath } from "../agent/agent.ts";
import { ConfigError, DewyError } from "../core/error.ts";
import { lockHolder } from "../host/process/lock.ts";
import type { ContainerEngine } from "./engine/engine.ts";
import { LABELS, managedLabels } from "./options/names.ts";

/**
 * Throws a ConfigError if another running dewy manages the app's containers: the two would remove
 * each other's. Containers of a dewy that has exited are taken over, even if its directory was moved.
 */
export async function checkOwner(
  app: string,
  root: string,
  engine: ContainerEngine,
  signal: AbortSignal,
): Promise<void> {
  const containers = await engine.list(managedLabels(app), signal);
  const roots = new Set(containers.map(({ labels }) => labels[LABELS.directory]));
  for (const other of roots) {
    if (other === undefined || other === root) continue;
    const holder = await holderOf(other);
    if (holder === undefined) continue;
    throw new ConfigError(
      `Cannot run the app "${app}": ${holder} already runs its containers, from ${other}; choose another --name, or stop that one first`,
      { code: "locked" },
    );
  }
}

/** A lock that cannot be read may be held. */
async function holderOf(root: string): Promise<string | undefined> {
  try {
    return await lockHolder(lockPath(root));
  } catch (error) {
    if (error instanceof DewyError) return "another user's dewy";
    throw error;
  }
}
