import { ARTIFACT_PREFIX, CLAIM_PREFIX, REGISTRY_PREFIX } from "./keys.ts";
import type { CacheItem, CacheLeftover, CacheStore } from "./types.ts";

export interface PruneOptions {
  /** Milliseconds since the epoch. Defaults to the time of the newest object, for machines whose clock may be wrong. */
  now?: number | undefined;
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
const KEPT_LEFTOVERS_MS = DAY_MS;

/**
 * Removes what has expired: answers that no machine asks for any more, artifacts, and the claims and unfinished uploads
 * of machines that died. An artifact that is needed again is fetched from the registry again. Other objects, those of a
 * fleet included, stay.
 */
export async function pruneCache(store: CacheStore, options: PruneOptions): Promise<Pruned> {
  const { artifactsMs = KEPT_ARTIFACTS_MS, isDry = false, signal } = options;
  const found = [
    ...(await collect(store, REGISTRY_PREFIX, KEPT_ANSWERS_MS, signal)),
    ...(await collect(store, ARTIFACT_PREFIX, artifactsMs, signal)),
    ...(await collect(store, CLAIM_PREFIX, KEPT_CLAIMS_MS, signal)),
  ];
  const newest = found.reduce((latest, { item }) => Math.max(latest, item.modifiedAt), 0);
  const { now = newest } = options;
  for await (const item of store.leftovers?.(ARTIFACT_PREFIX, signal) ?? []) {
    found.push({ item, lifeMs: KEPT_LEFTOVERS_MS });
  }
  const isExpired = ({ item, lifeMs }: Found): boolean => now - item.modifiedAt > lifeMs;
  const removed = found.filter(isExpired).map(({ item }) => item);
  const kept = found.filter((one) => !isExpired(one)).map(({ item }) => item);
  for (const item of isDry ? [] : removed) {
    await (isLeftover(item) ? item.remove(signal) : store.remove(item.key, signal));
  }
  const bytes = kept.reduce((sum, item) => sum + item.bytes, 0);
  return { removed, kept: { objects: kept.length, bytes } };
}

interface Found {
  item: CacheItem | CacheLeftover;
  lifeMs: number;
}

async function collect(
  store: CacheStore,
  prefix: string,
  lifeMs: number,
  signal: AbortSignal | undefined,
): Promise<Found[]> {
  const found: Found[] = [];
  for await (const item of store.list(prefix, signal)) found.push({ item, lifeMs });
  return found;
}

function isLeftover(item: CacheItem | CacheLeftover): item is CacheLeftover {
  return "remove" in item;
}
