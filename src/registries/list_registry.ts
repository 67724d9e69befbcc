import type { Registry, ResolveOptions } from "../core/types.ts";
import { exactPattern } from "../platform/artifact_pattern.ts";
import {
  GRACE_MS,
  type Policy,
  type ReleaseSource,
  resolve,
  type ResolveOptions as SourceOptions,
} from "../resolve/resolve.ts";
import type { LocatorBase, RegistryContext } from "./driver.ts";
import { rememberListing } from "./remember_listing.ts";

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
 * @returns The registry.
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
  const { url, preRelease, calver, constraint, slot, artifact, emulation } = locator;
  const policy: Omit<Policy, "platform" | "artifact"> = {
    url,
    preRelease,
    calver,
    constraint,
    slot,
    ...(emulation === undefined ? {} : { emulation }),
    ...(repository === undefined ? {} : { repository }),
    graceMs: GRACE_MS,
  };
  const remembered = rememberListing(source, io.clock);
  const sourceFor = ({ maxAgeMs }: ResolveOptions): ReleaseSource => remembered(maxAgeMs);
  const policyFor = (options: ResolveOptions): Policy => ({
    ...policy,
    platform: options.platform ?? io.platform,
    artifact: options.artifact === undefined ? artifact : exactPattern(options.artifact),
  });
  return {
    anyPlatform: true,
    resolve: async (options = {}) =>
      resolve(sourceFor(options), policyFor(options), question(options, io)),
    open,
    ...(exists === undefined ? {} : { exists }),
    ...(report === undefined ? {} : { report }),
  };
}

function question(
  { exclude, explain, signal }: ResolveOptions,
  io: RegistryContext,
): SourceOptions {
  return { now: io.clock.now(), exclude, explain, signal: joinSignals(signal, io.signal) };
}

/**
 * One signal for two.
 *
 * @param a a signal, if there is one.
 * @param b another, if there is one.
 * @returns a signal that is aborted with the first of them; `undefined` when there is none.
 */
export function joinSignals(
  a: AbortSignal | undefined,
  b: AbortSignal | undefined,
): AbortSignal | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return AbortSignal.any([a, b]);
}
