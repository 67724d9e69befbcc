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

/** What makes a registry out of a source. */
export interface ListRegistryParts extends Pick<Registry, "open" | "exists" | "report"> {
  /** What is wanted of the registry. */
  locator: LocatorBase;
  /** The world around it. */
  io: RegistryContext;
  /** What it lists. */
  source: ReleaseSource;
  /** The repository's name, as a hint at which of several programs is its own. The default is none. */
  repository?: string;
}

/**
 * Makes a registry out of something that lists tags and files.
 *
 * @param parts the locator, the world, the source, and the calls that are passed on as they are; they
 * join `io.signal` themselves.
 * @returns the registry; `exists` and `report` are there only when they were given.
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
