/**
 * What dewy remembers of a working directory between two starts, and how it changes. What is live is
 * not remembered: the symlink `current` says so, and nothing else does.
 *
 * @module
 */
import type { Artifact, Release } from "../core/types.ts";

/** A release whose directory is complete. */
export interface DeployedRelease {
  /** The registry's identifier of the release. */
  id: string;
  /** Its tag. */
  tag: string;
  /** The name of the artifact it was made from. */
  artifact: string;
  /** The digest that the registry stated for the artifact. */
  digest?: string;
  /** The registry's opaque identity of the artifact's bytes. */
  revision?: string;
  /** The name of its directory below `releases/`. */
  directory: string;
  /** When its directory became complete, as an ISO 8601 time. */
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

/** The memory of a working directory. */
export interface DeployState {
  /** The format of the file. */
  format: 1;
  /** The releases whose directories are complete, oldest first. */
  releases: readonly DeployedRelease[];
  /** The directory to go back to: that of the last good release before the live one. */
  previous?: string;
  /** A switch of `current` that has begun and is not committed; `from` is the directory to go back to. */
  switching?: { to: string; from?: string };
  /** Versions that must not be tried again. */
  bad: readonly BadVersion[];
}

/** A working directory that dewy has not seen before. */
export const EMPTY_STATE: DeployState = { format: 1, releases: [], bad: [] };

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
  if (a.digest !== undefined && b.digest !== undefined) return a.digest === b.digest;
  if (a.revision !== undefined && b.revision !== undefined) return a.revision === b.revision;
  return true;
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
  return { ...state, releases: [...others, release] };
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

/** The state after the release in a directory has passed its bake, even while a newer one is getting ready. */
export function commitSwitch(state: DeployState, directory: string): DeployState {
  const { switching, ...rest } = state;
  if (switching === undefined) return state;
  const { to, from = directory } = switching;
  const committed = from === directory || isBad(state, from) ? rest : { ...rest, previous: from };
  return to === directory ? committed : { ...committed, switching: switchOf(to, directory) };
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
