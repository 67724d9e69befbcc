import type { Clock } from "../../core/clock.ts";
import type { ContainerSpec } from "../engine/engine.ts";
import { LABELS, managedLabels } from "../options/names.ts";
import type { ContainerRelease } from "./container_release.ts";

/** Says how a new container is called and labelled. */
export type NameReplica = (
  release: ContainerRelease,
  index: number,
) => Pick<ContainerSpec, "name" | "labels">;

/**
 * Makes the function that names containers of an app. No name is given twice.
 *
 * @param app the app: its containers are found by it.
 * @param root the working directory, which says whose containers these are.
 * @param clock the time.
 * @returns the function.
 */
export function replicaNames(app: string, root: string, clock: Clock): NameReplica {
  const last = new Map<number, number>();
  return ({ tag, directory, config, exposedPorts }, index) => {
    const second = Math.max(Math.floor(clock.now() / 1_000), (last.get(index) ?? 0) + 1);
    last.set(index, second);
    return {
      name: `${app}-${second}-${index}`,
      labels: {
        ...managedLabels(app),
        [LABELS.version]: tag,
        [LABELS.replica]: String(index),
        [LABELS.deployedAt]: new Date(clock.now()).toISOString(),
        [LABELS.release]: directory,
        [LABELS.directory]: root,
        [LABELS.config]: config,
        ...(exposedPorts.length === 1 ? { [LABELS.exposed]: String(exposedPorts[0]) } : {}),
      },
    };
  };
}
