import type { Clock } from "../core/clock.ts";
import { joinSignals } from "../core/timeout.ts";
import type { Registry, ResolveOptions } from "../core/types.ts";
import { exactPattern } from "../platform/artifact_pattern.ts";
import {
  GRACE_MS,
  type ListedTag,
  type Policy,
  type ReleaseFiles,
  type ReleaseSource,
  resolve,
  SAME_POLL_MS,
  type ResolveOptions as SourceOptions,
} from "../resolve/resolve.ts";
import type { LocatorBase, RegistryContext } from "./driver.ts";

/** What {@link listRegistry} is made of. */
export interface ListRegistryParts extends Pick<Registry, "open" | "exists" | "report"> {
  /** The version policy of the registry's URL. */
  locator: LocatorBase;
  /** The driver's context. */
  io: RegistryContext;
  /** Lists tags and files. */
  source: ReleaseSource;
  /** The repository's name. If a release holds several programs, the one of this name is chosen. */
  repository?: string;
}

/**
 * Makes a registry of a source that lists tags and files: the newest tag within the policy is chosen, and its artifact for
 * the platform.
 *
 * @param parts The locator, the context, the source, and the other methods of the registry.
 *
 * @example
 * ```ts
 * import { listRegistry, type LocatorBase, type RegistryContext } from "dewy/driver";
 *
 * const open = (locator: LocatorBase, io: RegistryContext) =>
 *   listRegistry({
 *     locator,
 *     io,
 *     source: {
 *       async *tags() {
 *         yield { tag: "v1.0.0" };
 *       },
 *       release: async (tag) => ({ id: tag, files: [{ name: "app.tar.gz", url: `shelf://a/${tag}` }] }),
 *     },
 *     open: async () => new Blob([]).stream(),
 *   });
 * if (typeof open !== "function") throw new Error("unexpected");
 * ```
 */
export function listRegistry(parts: ListRegistryParts): Registry {
  const { locator, io, source, repository, open, exists, report } = parts;
  const sourceFor = rememberListing(source, io.clock);
  const policyFor = (options: ResolveOptions): Policy => ({
    ...locator,
    repository,
    graceMs: GRACE_MS,
    platform: options.platform ?? io.platform,
    artifact: options.artifact === undefined ? locator.artifact : exactPattern(options.artifact),
  });
  return {
    anyPlatform: true,
    async resolve(options = {}) {
      const asked = question(options, io);
      const { tag, maxAgeMs } = options;
      if (tag === undefined) {
        const single = isSingle(options) ? source.single?.(options) : undefined;
        return resolve(single ?? sourceFor(maxAgeMs), policyFor(options), asked);
      }
      const { lookUp } = await import("../resolve/look_up.ts");
      return lookUp(source, tag, policyFor(options), asked);
    },
    async *versions(options = {}) {
      const { listVersions } = await import("../resolve/list_versions.ts");
      const signal = joinSignals(options.signal, io.signal);
      yield* listVersions(source.browse?.() ?? source, locator, { ...options, signal });
    },
    open,
    exists,
    report,
  };
}

/** Explaining and naming the tags takes the whole listing. */
function isSingle({ once, explain, onTag, maxAgeMs }: ResolveOptions): boolean {
  return once === true && explain !== true && onTag === undefined && maxAgeMs === undefined;
}

function question(options: ResolveOptions, io: RegistryContext): SourceOptions {
  return { ...options, now: io.clock.now(), signal: joinSignals(options.signal, io.signal) };
}

interface Listing {
  listedAt: number;
  tags: readonly ListedTag[];
  releases: Map<string, ReleaseFiles | undefined>;
}

/**
 * Keeps the last complete listing of a source, so that one listing can answer for several platforms. The source that it
 * returns lists again if the kept listing is older than `maxAgeMs`, or without `maxAgeMs`. Calls must not overlap.
 */
function rememberListing(
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

/**
 * Passes over version directories in which no release is left. In the layout `<prefix><tag>/<artifact>` dewy's own
 * records of deploys keep the directory of a deleted release alive, so that its tag is still listed. A registry of that
 * layout answers `pending` without `since` for such a tag, and is asked again without it.
 */
export function skipAbandoned(registry: Registry): Registry {
  return {
    ...registry,
    async resolve(options = {}) {
      if (options.tag !== undefined) return registry.resolve(options);
      const exclude = new Set(options.exclude);
      for (let asked = options; ; asked = { maxAgeMs: SAME_POLL_MS, ...options }) {
        const resolution = await registry.resolve({ ...asked, exclude });
        const isAbandoned = resolution.kind === "pending" && resolution.since === undefined;
        if (!isAbandoned || exclude.has(resolution.tag)) return resolution;
        exclude.add(resolution.tag);
      }
    },
  };
}
