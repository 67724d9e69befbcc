// What the registry lists, and since when: a registry that lists the same for very long may be frozen.
import type { Registry, Resolution } from "../core/types.ts";
import type { Candidate } from "./deployer.ts";
import type { DeployState } from "./state.ts";

/** The answer of a registry to one poll. */
export interface Listing {
  /** Empty if the registry does not list its tags. */
  tags: ReadonlySet<string>;
  newest: Resolution;
}

/** Notes what a registry lists when it is first asked for the newest version. */
export function watchListing(watched: Registry): { registry: Registry; listing?: Listing } {
  const watch: { registry: Registry; listing?: Listing } = {
    registry: {
      ...watched,
      async resolve(options = {}) {
        if (watch.listing !== undefined || options.tag !== undefined) {
          return watched.resolve(options);
        }
        const tags = new Set<string>();
        const newest = await watched.resolve({ ...options, onTag: (tag) => tags.add(tag) });
        watch.listing = { tags, newest };
        return newest;
      },
    },
  };
  return watch;
}

/** What a version that dewy has chosen by itself carries, so that hidden versions are found. */
export function listedBy(
  tags: ReadonlySet<string> | undefined,
  calver: string,
): Pick<Candidate, "listing"> {
  return tags === undefined || tags.size === 0 ? {} : { listing: { tags, calver } };
}

/** Adds the listing to each version that the registry chooses. */
export function attachListing(registry: Registry, calver: string): Registry {
  return {
    ...registry,
    async resolve(options = {}) {
      if (options.tag !== undefined) return registry.resolve(options);
      const tags = new Set<string>();
      const resolution = await registry.resolve({ ...options, onTag: (tag) => tags.add(tag) });
      return resolution.kind === "ready"
        ? { ...resolution, ...listedBy(tags, calver) }
        : resolution;
    },
  };
}

/** Independent of the order in which the registry lists: a sum. */
export function hashOf({ tags, newest }: Listing): string {
  let sum = fnv1a(identityOf(newest).join("\n"));
  for (const tag of tags) sum = (sum + fnv1a(tag)) >>> 0;
  return sum.toString(16).padStart(8, "0");
}

/** A change is noticed, and nobody gains from a collision: http://www.isthe.com/chongo/tech/comp/fnv/ */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash >>> 0;
}

function identityOf(newest: Resolution): readonly string[] {
  if (newest.kind !== "ready") return [newest.tag ?? ""];
  const { release, artifact } = newest;
  return [release.tag, artifact.name, artifact.digest ?? artifact.revision ?? ""];
}

/** Returns the same object if the listing has not changed. */
export function withListing(state: DeployState, hash: string, now: number): DeployState {
  const { listing } = state;
  // A later time was written before the clock was put back.
  if (listing?.hash === hash && Date.parse(listing.changedAt) <= now) return state;
  return { ...state, listing: { hash, changedAt: new Date(now).toISOString() } };
}

/** Since when the listing has not changed, if that is longer than `maxMs`. */
export function staleSince(
  { listing }: Pick<DeployState, "listing">,
  maxMs: number | undefined,
  now: number,
): Date | undefined {
  if (listing === undefined || maxMs === undefined) return undefined;
  const since = new Date(listing.changedAt);
  return now - since.getTime() > maxMs ? since : undefined;
}
