import type { Clock } from "../core/clock.ts";
import type { ListedTag, ReleaseFiles, ReleaseSource } from "../resolve/resolve.ts";

interface Listing {
  listedAt: number;
  tags: readonly ListedTag[];
  releases: Map<string, ReleaseFiles | undefined>;
}

/**
 * Keeps the last complete listing of a source, so that one listing can answer for several kinds of machines.
 *
 * @param source what is listed.
 * @param clock time.
 * @returns a function that takes how old the listing may be, in milliseconds, and gives the source to ask: it lists
 * again when the kept listing is older, or when no age is given. Questions come one after the other, not at once.
 */
export function rememberListing(
  source: ReleaseSource,
  clock: Clock,
): (maxAgeMs: number | undefined) => ReleaseSource {
  let last: Listing | undefined;
  return (maxAgeMs = -1) => ({
    async *tags(signal) {
      const now = clock.monotonic();
      if (last !== undefined && now - last.listedAt <= maxAgeMs) {
        yield* last.tags;
        return;
      }
      const tags: ListedTag[] = [];
      for await (const tag of source.tags(signal)) {
        tags.push(tag);
        yield tag;
      }
      last = { listedAt: now, tags, releases: new Map() };
    },
    async release(tag, signal) {
      if (last?.releases.has(tag)) return last.releases.get(tag);
      const release = await source.release(tag, signal);
      last?.releases.set(tag, release);
      return release;
    },
  });
}
