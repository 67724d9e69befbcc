import { ARTIFACT_PREFIX, CLAIM_PREFIX, REGISTRY_PREFIX } from "./keys.ts";
import type { CacheItem, CacheStore } from "./types.ts";

export interface PruneOptions {
  /** Milliseconds since the epoch. */
  now: number;
  /** How long an artifact is kept after it was uploaded. Defaults to 30 days. */
  artifactsMs?: number | undefined;
  /** Whether expired objects are only listed. Defaults to false. */
  isDry?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface Pruned {
  removed: readonly CacheItem[];
  kept: { objects: number; bytes: number };
}

const DAY_MS = 24 * 60 * 60_000;
export const KEPT_ARTIFACTS_MS: number = 30 * DAY_MS;
/** An answer is written again every window as long as a machine asks. */
const KEPT_ANSWERS_MS = 7 * DAY_MS;
const KEPT_CLAIMS_MS = DAY_MS;

/**
 * Removes what has expired: answers that no machine asks for any more, artifacts, and claims of machines that died. An
 * artifact that is needed again is fetched from the registry again. Other objects, those of a fleet included, stay.
 */
export async function pruneCache(store: CacheStore, options: PruneOptions): Promise<Pruned> {
  const { now, artifactsMs = KEPT_ARTIFACTS_MS, isDry = false, signal } = options;
  const lives: readonly [string, number][] = [
    [REGISTRY_PREFIX, KEPT_ANSWERS_MS],
    [ARTIFACT_PREFIX, artifactsMs],
    [CLAIM_PREFIX, KEPT_CLAIMS_MS],
  ];
  const removed: CacheItem[] = [];
  const kept = { objects: 0, bytes: 0 };
  for (const [prefix, lifeMs] of lives) {
    for await (const item of store.list(prefix, signal)) {
      if (now - item.modifiedAt > lifeMs) {
        if (!isDry) await store.remove(item.key, signal);
        removed.push(item);
      } else {
        kept.objects += 1;
        kept.bytes += item.bytes;
      }
    }
  }
  return { removed, kept };
}
