/**
 * The persistent state of a working directory, and its transitions. Which release is live is not part of it: only the
 * symlink `current` says so.
 *
 * @module
 */
import { parseDigest } from "../core/digest.ts";
import type { Artifact, Release } from "../core/types.ts";

export interface DeployedRelease {
  id: string;
  tag: string;
  artifact: string;
  /** The registry's, or computed from the download. */
  digest?: string;
  /** The registry's opaque identity of the bytes. */
  revision?: string;
  /** The name of its directory below `releases/`. */
  directory: string;
  stagedAt: string;
}

/** A version that failed after its activation. */
export interface BadVersion {
  tag: string;
  digest?: string;
  revision?: string;
  reason: string;
  at: string;
}

/** The bytes of a tag when it was last staged. This record outlives the release. */
export interface KnownBytes {
  tag: string;
  artifact: string;
  digest?: string;
  revision?: string;
  /** `--accept-changed` has accepted these bytes, and accepts no others of this tag. */
  accepted?: true;
}

export interface DeployState {
  format: 1;
  /** The complete releases, in the order in which they were staged. */
  releases: readonly DeployedRelease[];
  /** The last good release before the live one, to roll back to. */
  previous?: string;
  /** A switch of `current` that is not committed yet; `from` is the directory to roll back to. */
  switching?: { to: string; from?: string };
  /** The release whose after-deploy hook has not run yet, and the tag that it has replaced. */
  afterHook?: { directory: string; previousTag?: string };
  bad: readonly BadVersion[];
  /** The bytes of every staged tag, the latest last. */
  known: readonly KnownBytes[];
}

export const EMPTY_STATE: DeployState = { format: 1, releases: [], bad: [], known: [] };

export interface StateStore {
  /** {@link EMPTY_STATE} at first. */
  load(): Promise<DeployState>;
  /** Replaces the state atomically and returns the new one. Concurrent updates are serialized. */
  update(change: (state: DeployState) => DeployState): Promise<DeployState>;
}

const MAX_BAD_VERSIONS = 100;
const MAX_KNOWN = 500;
/** How many releases are kept in addition to those in use. */
const KEPT_RELEASES = 7;

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

/** Whether two records name the same bytes, as far as is known. Digests take precedence over revisions. */
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

/** The bytes that a tag has had, the latest last. */
export function knownBytes({ releases, known }: DeployState, tag: string): readonly KnownBytes[] {
  // Earlier versions of dewy recorded them only in `releases`.
  return [...releases, ...known].filter((one) => one.tag === tag);
}

export function acceptBytes(state: DeployState, tag: string, artifact: Artifact): DeployState {
  const next = withKnown(state, { tag, artifact: artifact.name, ...identityOf(artifact) });
  const known = next.known.map((one): KnownBytes => {
    return one.tag === tag && one.artifact === artifact.name ? { ...one, accepted: true } : one;
  });
  return { ...next, known };
}

/** Removes the acceptances of tags other than `except`; returns the same object if nothing changes. */
export function forgetAcceptances(state: DeployState, except: readonly string[]): DeployState {
  const isStale = (one: KnownBytes): boolean => one.accepted === true && !except.includes(one.tag);
  if (!state.known.some(isStale)) return state;
  const known = state.known.map((one): KnownBytes => {
    const { accepted: _, ...rest } = one;
    return isStale(one) ? rest : one;
  });
  return { ...state, known };
}

/** The directories that the state refers to. */
export function directoriesIn({ releases, previous, switching }: DeployState): readonly string[] {
  const directories = [...releases.map((one) => one.directory), previous, switching?.from];
  return [...new Set(directories.filter((directory) => directory !== undefined))];
}

/** Removes the records of directories that do not exist any more, and every reference to them as a rollback target. */
export function withoutReleases(state: DeployState, directories: readonly string[]): DeployState {
  const gone = new Set(directories);
  const ifPresent = (directory: string | undefined): string | undefined =>
    directory === undefined || gone.has(directory) ? undefined : directory;
  const { previous, switching, ...rest } = state;
  const left = ifPresent(previous);
  const from = ifPresent(switching?.from) ?? (switching?.from === undefined ? undefined : left);
  return {
    ...rest,
    releases: state.releases.filter((release) => !gone.has(release.directory)),
    ...(left === undefined ? {} : { previous: left }),
    ...(switching === undefined ? {} : { switching: switchOf(switching.to, from) }),
  };
}

export function isBad(state: DeployState, directory: string | undefined): boolean {
  const release = findRelease(state, directory);
  return release !== undefined && findBad(state, release.tag, release) !== undefined;
}

/** The directory to roll back to from the live one: the last good release that is not marked bad. */
export function wayBack(state: DeployState, live: string | undefined): string | undefined {
  const { switching, previous } = state;
  const last = switching?.to === live ? switching?.from : live;
  if (!isBad(state, last)) return last;
  const isGood = (one?: string): boolean =>
    findRelease(state, one) !== undefined && !isBad(state, one);
  const good = [switching?.from, previous].find(isGood);
  if (good !== undefined) return good;
  // A release that was redeployed is not its own rollback target.
  return switching?.to === live && last === live ? undefined : last;
}

export function beginSwitch(state: DeployState, to: string, live: string | undefined): DeployState {
  return { ...state, switching: switchOf(to, wayBack(state, live)) };
}

/**
 * The state after a release has passed its bake, possibly while a newer release is getting ready. Its after-deploy hook
 * has not run yet.
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

export function withoutAfterHook(state: DeployState, directory: string): DeployState {
  const { afterHook, ...rest } = state;
  return afterHook?.directory === directory ? rest : state;
}

export interface Retention {
  keep: ReadonlySet<string>;
  /** How many of the newest directories that are not in `keep` stay as well. */
  others: number;
}

export function retention(state: DeployState, live: string | undefined): Retention {
  const { releases, previous, switching, afterHook } = state;
  const newest = releases.slice(-KEPT_RELEASES).map(({ directory }) => directory);
  const used = [live, previous, switching?.to, switching?.from, afterHook?.directory];
  const keep = [...newest, ...used].filter((directory) => directory !== undefined);
  return { keep: new Set(keep), others: KEPT_RELEASES - newest.length };
}

/** The state after a switch was undone or did not happen. */
export function cancelSwitch(
  state: DeployState,
  live: string | undefined,
  isBaking: boolean,
): DeployState {
  const { switching, ...rest } = state;
  if (live === undefined || switching === undefined || live === switching.from) return rest;
  if (!isBaking) return rest;
  return { ...rest, switching: switchOf(live, switching.from) };
}

function switchOf(to: string, from: string | undefined): NonNullable<DeployState["switching"]> {
  return from === undefined ? { to } : { to, from };
}

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

/** The record that marks these bytes of a version bad. */
export function findBad(
  state: DeployState,
  tag: string,
  artifact: { digest?: string; revision?: string },
): BadVersion | undefined {
  return state.bad.find((bad) => bad.tag === tag && sameBytes(bad, artifact));
}
