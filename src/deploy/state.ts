/**
 * What dewy remembers of a working directory between two starts, and how it changes. What is live is
 * not remembered: the symlink `current` says so, and nothing else does.
 *
 * @module
 */
import { parseDigest } from "../core/digest.ts";
import type { Artifact, Release } from "../core/types.ts";

/** A release whose directory is complete. */
export interface DeployedRelease {
  /** The registry's identifier of the release. */
  id: string;
  /** Its tag. */
  tag: string;
  /** The name of the artifact it was made from. */
  artifact: string;
  /** The digest of the artifact, as the registry stated it, or as it was computed from the download. */
  digest?: string;
  /** The registry's opaque identity of the artifact's bytes. */
  revision?: string;
  /** The name of its directory below `releases/`. */
  directory: string;
  /** When it was staged, as an ISO 8601 time. */
  stagedAt: string;
}

/** A version that was activated and did not prove itself. */
export interface BadVersion {
  /** Its tag. */
  tag: string;
  /** The digest of the bytes that failed. */
  digest?: string;
  /** The registry's identity of the bytes that failed. */
  revision?: string;
  /** What happened, in one line. */
  reason: string;
  /** When, as an ISO 8601 time. */
  at: string;
}

/** The bytes of a tag when it was last staged here. This record outlives the release. */
export interface KnownBytes {
  /** The tag. */
  tag: string;
  /** The name of the artifact. */
  artifact: string;
  /** Its digest. */
  digest?: string;
  /** The registry's identity of its bytes. */
  revision?: string;
  /** `--accept-changed` has accepted exactly these bytes, and accepts no others of this tag. */
  accepted?: true;
}

/** The memory of a working directory. */
export interface DeployState {
  /** The format of the file. */
  format: 1;
  /** The releases whose directories are complete, in the order in which they were staged. */
  releases: readonly DeployedRelease[];
  /** The directory to go back to: that of the last good release before the live one. */
  previous?: string;
  /** A switch of `current` that has begun and is not committed; `from` is the directory to go back to. */
  switching?: { to: string; from?: string };
  /** The release whose after-deploy hook has still to run, and the tag that it replaced. */
  afterHook?: { directory: string; previousTag?: string };
  /** Versions that must not be tried again. */
  bad: readonly BadVersion[];
  /** The bytes of every tag that was staged here, the latest last. */
  known: readonly KnownBytes[];
}

/** A working directory that dewy has not seen before. */
export const EMPTY_STATE: DeployState = { format: 1, releases: [], bad: [], known: [] };

/** Where the state is kept. */
export interface StateStore {
  /** The state as it was last saved; {@link EMPTY_STATE} at first. */
  load(): Promise<DeployState>;
  /**
   * Replaces it, whole or not at all. Changes that are made at the same time happen one after the other.
   *
   * @param change makes the next state of the present one.
   * @returns the next state.
   */
  update(change: (state: DeployState) => DeployState): Promise<DeployState>;
}

const MAX_BAD_VERSIONS = 100;
const MAX_KNOWN = 500;
/** How many releases are kept beside the live one and the one to go back to. */
const KEPT_RELEASES = 7;

/**
 * The record of a release in a directory of its own.
 *
 * @param release what was resolved.
 * @param artifact the artifact it was made from.
 * @param directory the directory's name.
 * @param now milliseconds since the epoch.
 * @returns the record.
 */
export function deployedRelease(
  release: Release,
  artifact: Artifact,
  directory: string,
  now: number,
): DeployedRelease {
  return {
    id: release.id,
    tag: release.tag,
    artifact: artifact.name,
    ...identityOf(artifact),
    directory,
    stagedAt: new Date(now).toISOString(),
  };
}

function identityOf(artifact: { digest?: string; revision?: string }): {
  digest?: string;
  revision?: string;
} {
  return {
    ...(artifact.digest === undefined ? {} : { digest: artifact.digest }),
    ...(artifact.revision === undefined ? {} : { revision: artifact.revision }),
  };
}

/** Whether two records name the same bytes, as far as the registry tells; a digest tells more than a revision. */
export function sameBytes(
  a: { digest?: string; revision?: string },
  b: { digest?: string; revision?: string },
): boolean {
  const [digestA, digestB] = [a.digest, b.digest];
  const haveDigests = digestA !== undefined && digestB !== undefined;
  if (haveDigests && algorithmOf(digestA) === algorithmOf(digestB)) return digestA === digestB;
  if (a.revision !== undefined && b.revision !== undefined) return a.revision === b.revision;
  return !haveDigests;
}

function algorithmOf(digest: string): string | undefined {
  return parseDigest(digest)?.algorithm;
}

/** The record of a directory, if dewy made it. */
export function findRelease(
  state: DeployState,
  directory: string | undefined,
): DeployedRelease | undefined {
  return state.releases.find((release) => release.directory === directory);
}

/** The state with one more complete release. */
export function withRelease(state: DeployState, release: DeployedRelease): DeployState {
  const others = state.releases.filter((other) => other.directory !== release.directory);
  return { ...withKnown(state, release), releases: [...others, release] };
}

function withKnown(state: DeployState, bytes: Omit<KnownBytes, "accepted">): DeployState {
  const { tag, artifact } = bytes;
  const isEarlier = (one: KnownBytes): boolean => one.tag === tag && one.artifact === artifact;
  const wasAccepted = state.known.some((one) => isEarlier(one) && one.accepted);
  const accepted = wasAccepted ? { accepted: true as const } : {};
  const entry: KnownBytes = { tag, artifact, ...identityOf(bytes), ...accepted };
  const others = state.known.filter((one) => !isEarlier(one));
  return { ...state, known: [...others, entry].slice(-MAX_KNOWN) };
}

/** The bytes that a tag had, the latest last. */
export function knownBytes({ releases, known }: DeployState, tag: string): readonly KnownBytes[] {
  // An older dewy recorded them in `releases` only.
  return [...releases, ...known].filter((one) => one.tag === tag);
}

/** The state in which the operator has accepted the bytes that a tag has now. */
export function acceptBytes(state: DeployState, tag: string, artifact: Artifact): DeployState {
  const next = withKnown(state, { tag, artifact: artifact.name, ...identityOf(artifact) });
  const known = next.known.map((one): KnownBytes => {
    return one.tag === tag && one.artifact === artifact.name ? { ...one, accepted: true } : one;
  });
  return { ...next, known };
}

/** The state without acceptances of tags other than `except`; the same object if nothing changes. */
export function forgetAcceptances(state: DeployState, except: readonly string[]): DeployState {
  const isStale = (one: KnownBytes): boolean => one.accepted === true && !except.includes(one.tag);
  if (!state.known.some(isStale)) return state;
  const known = state.known.map((one): KnownBytes => {
    const { accepted: _, ...rest } = one;
    return isStale(one) ? rest : one;
  });
  return { ...state, known };
}

/** The state without the releases whose directories are gone. */
export function withoutReleases(state: DeployState, directories: readonly string[]): DeployState {
  const gone = new Set(directories);
  return {
    ...state,
    releases: state.releases.filter((release) => !gone.has(release.directory)),
  };
}

/** Whether the release in a directory is marked as bad. */
export function isBad(state: DeployState, directory: string | undefined): boolean {
  const release = findRelease(state, directory);
  return release !== undefined && findBad(state, release.tag, release) !== undefined;
}

/** The directory to go back to from the live one: that of the last good release, unless it is marked as bad by now. */
export function wayBack(state: DeployState, live: string | undefined): string | undefined {
  const { switching, previous } = state;
  const last = switching?.to === live ? switching?.from : live;
  if (!isBad(state, last) || findRelease(state, previous) === undefined) return last;
  return isBad(state, previous) ? last : previous;
}

/** The state before `current` moves from the live directory to another one. */
export function beginSwitch(state: DeployState, to: string, live: string | undefined): DeployState {
  return { ...state, switching: switchOf(to, wayBack(state, live)) };
}

/**
 * The state after the release in a directory has passed its bake, even while a newer one is getting ready. Its
 * after-deploy hook has still to run.
 */
export function commitSwitch(state: DeployState, directory: string): DeployState {
  const { switching, ...rest } = state;
  if (switching === undefined) return state;
  const { to, from = directory } = switching;
  const previousTag = from === directory ? undefined : findRelease(state, from)?.tag;
  const committed = {
    ...rest,
    ...(from === directory || isBad(state, from) ? {} : { previous: from }),
    afterHook: { directory, ...(previousTag === undefined ? {} : { previousTag }) },
  };
  return to === directory ? committed : { ...committed, switching: switchOf(to, directory) };
}

/** The state once the after-deploy hook of a directory has run. */
export function withoutAfterHook(state: DeployState, directory: string): DeployState {
  const { afterHook, ...rest } = state;
  return afterHook?.directory === directory ? rest : state;
}

/** The directories that must not be pruned, and how many that no record names may stay beside them. */
export function retention(
  state: DeployState,
  live: string | undefined,
): { keep: ReadonlySet<string>; others: number } {
  const { releases, previous, switching, afterHook } = state;
  const newest = releases.slice(-KEPT_RELEASES).map(({ directory }) => directory);
  const used = [live, previous, switching?.to, switching?.from, afterHook?.directory];
  const keep = [...newest, ...used].filter((directory) => directory !== undefined);
  return { keep: new Set(keep), others: KEPT_RELEASES - newest.length };
}

/** The state after a switch was undone or never happened. The release that is live again may still be baking. */
export function cancelSwitch(state: DeployState, live: string | undefined): DeployState {
  const { switching, ...rest } = state;
  if (live === undefined || switching === undefined || live === switching.from) return rest;
  return { ...rest, switching: switchOf(live, switching.from) };
}

function switchOf(to: string, from: string | undefined): NonNullable<DeployState["switching"]> {
  return from === undefined ? { to } : { to, from };
}

/** The state that remembers a version as bad. */
export function markBad(
  state: DeployState,
  release: DeployedRelease,
  reason: string,
  now: number,
): DeployState {
  const entry: BadVersion = {
    tag: release.tag,
    ...identityOf(release),
    reason,
    at: new Date(now).toISOString(),
  };
  const others = state.bad.filter((bad) => bad.tag !== release.tag);
  return { ...state, bad: [...others, entry].slice(-MAX_BAD_VERSIONS) };
}

/** Why these bytes of this version must not be tried, if they must not. */
export function findBad(
  state: DeployState,
  tag: string,
  artifact: { digest?: string; revision?: string },
): BadVersion | undefined {
  return state.bad.find((bad) => bad.tag === tag && sameBytes(bad, artifact));
}
