import { lockPath } from "../agent/agent.ts";
import { ConfigError, DewyError } from "../core/error.ts";
import { lockHolder } from "../host/process/lock.ts";
import type { ContainerEngine } from "./engine/engine.ts";
import { LABELS, managedLabels } from "./options/names.ts";

/**
 * Makes sure that the containers of an app are not those of another dewy that runs: two would take them from each other
 * for ever. Directories can be moved, and a dewy that has ended does not come back: what it has left is taken over.
 *
 * @param app the app.
 * @param root our own working directory.
 * @param engine the engine.
 * @param signal ends it.
 * @throws ConfigError that names the other one.
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
      `Cannot run the app "${app}": ${holder} runs its containers already, from ${other}; choose another --name, or stop that one first`,
      { code: "locked" },
    );
  }
}

/** Of a directory that we may not look into, we do not know that nobody is there. */
async function holderOf(root: string): Promise<string | undefined> {
  try {
    return await lockHolder(lockPath(root));
  } catch (error) {
    if (error instanceof DewyError) return "another user's dewy";
    throw error;
  }
}
