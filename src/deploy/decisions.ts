// What operators have decided about the versions that come by themselves, as changes of the state.
import type { Operator } from "../core/operator.ts";
import { compareVersions, parseVersion, versionOf } from "../version/version.ts";
import {
  type ByteIdentity,
  type Decision,
  type DeployState,
  type SeenVersion,
  type SkippedVersion,
  sameBytes,
} from "./state.ts";

const MAX_SKIPPED = 100;
const MAX_SEEN = 500;

function decision({ user, message }: Operator, now: number): Decision {
  return { user, message, at: new Date(now).toISOString() };
}

/** Also lifts the skips that the tag satisfies. Returns the same object if nothing changes. */
export function pinTo(
  state: DeployState,
  tag: string,
  operator: Operator,
  { now, calver }: { now: number; calver: string },
): DeployState {
  const lifted = liftSkips(state, tag, calver);
  if (lifted.pinned?.tag === tag) return lifted;
  return { ...lifted, pinned: { ...decision(operator, now), tag } };
}

export function unpin(state: DeployState): DeployState {
  return state.pinned === undefined ? state : { ...state, pinned: undefined };
}

export function pause(state: DeployState, operator: Operator, now: number): DeployState {
  return state.paused === undefined ? { ...state, paused: decision(operator, now) } : state;
}

export function resume(state: DeployState): DeployState {
  return state.paused === undefined ? state : { ...state, paused: undefined };
}

/** Skips exactly one version. */
export function skip(
  state: DeployState,
  tag: string,
  operator: Operator,
  now: number,
): DeployState {
  const { skipped = [] } = state;
  if (skipped.some((one) => one.tag === tag)) return state;
  return withSkipped(state, [...skipped, { ...decision(operator, now), tag }]);
}

/** Skips a version that was left behind, and every earlier one. */
export function skipUpTo(
  state: DeployState,
  tag: string,
  operator: Operator,
  { now, calver }: { now: number; calver: string },
): DeployState {
  const entry: SkippedVersion = { ...decision(operator, now), tag, andEarlier: true };
  const before = state.skipped ?? [];
  if (before.some((one) => one.andEarlier && covers(one, tag, calver))) return state;
  const others = before.filter((one) => !covers(entry, one.tag, calver));
  return withSkipped(state, [...others, entry]);
}

/** Removes the entry of a tag, or all entries. */
export function unskip(state: DeployState, tag: string | undefined): DeployState {
  const { skipped = [] } = state;
  const left = tag === undefined ? [] : skipped.filter((one) => one.tag !== tag);
  return left.length === skipped.length ? state : withSkipped(state, left);
}

/** Removes the entries that a deploy of the tag makes pointless: those of the tag itself and of all up to it. */
export function liftSkips(state: DeployState, tag: string, calver: string): DeployState {
  const { skipped = [] } = state;
  const left = skipped.filter(
    (one) => one.tag !== tag && !(one.andEarlier && isAtMost(one.tag, tag, calver)),
  );
  return left.length === skipped.length ? state : withSkipped(state, left);
}

function withSkipped(state: DeployState, skipped: readonly SkippedVersion[]): DeployState {
  return { ...state, skipped: skipped.length === 0 ? undefined : skipped.slice(-MAX_SKIPPED) };
}

/** The entry that keeps a version from coming by itself. */
export function skippedBy(
  { skipped = [] }: DeployState,
  tag: string,
  calver: string,
): SkippedVersion | undefined {
  return skipped.find((one) => one.tag === tag) ?? skipped.find((one) => covers(one, tag, calver));
}

function covers(entry: SkippedVersion, tag: string, calver: string): boolean {
  if (entry.tag === tag) return true;
  return entry.andEarlier === true && isAtMost(tag, entry.tag, calver);
}

function isAtMost(tag: string, most: string, calver: string): boolean {
  const order = compareTags(tag, most, calver);
  return order !== undefined && order <= 0;
}

/** Compares two tags by version; `undefined` if one of them is not a version. */
export function compareTags(a: string, b: string, calver: string): -1 | 0 | 1 | undefined {
  const [one, other] = [versionOf(a, calver), versionOf(b, calver)];
  const areVersions = [one, other].every((tag) => parseVersion(tag, { calver }) !== undefined);
  return areVersions ? compareVersions(one, other, { calver }) : undefined;
}

/** The highest version deployed here; `undefined` before the first one. */
export function highestTag(state: DeployState, calver: string): string | undefined {
  // Earlier versions of dewy did not record it.
  const proven = state.releases.filter(({ provenAt }) => provenAt !== undefined);
  return (
    state.highest ??
    newestTag(
      proven.map(({ tag }) => tag),
      calver,
    )
  );
}

/** Of those that are versions. */
export function newestTag(tags: readonly string[], calver: string): string | undefined {
  const versions = tags.filter((tag) => compareTags(tag, tag, calver) === 0);
  const [first, ...others] = versions;
  return others.reduce((a, b) => (compareTags(b, a ?? b, calver) === 1 ? b : a), first);
}

/** The state after a version was deployed automatically. Returns the same object if it is not a new highest. */
export function withHighest(state: DeployState, tag: string, calver: string): DeployState {
  const highest = newestTag([highestTag(state, calver) ?? tag, tag], calver);
  return highest === state.highest ? state : { ...state, highest };
}

/** The state after an operator has deployed a version, which may be lower: later ones count from it. */
export function withHighestByOrder(state: DeployState, tag: string, calver: string): DeployState {
  return newestTag([tag], calver) === undefined ? state : { ...state, highest: tag };
}

/** When this host first saw the version, in milliseconds since the epoch. */
export function firstSeen(
  { seen = [] }: DeployState,
  tag: string,
  bytes: ByteIdentity,
): number | undefined {
  const entry = seen.find((one) => isSighting(one, tag, bytes));
  return entry === undefined ? undefined : Date.parse(entry.at);
}

/** Returns the same object if the version was seen before. */
export function withSeen(
  state: DeployState,
  tag: string,
  bytes: ByteIdentity,
  now: number,
): DeployState {
  const before = firstSeen(state, tag, bytes);
  // A later time was written before the clock was put back.
  if (before !== undefined && before <= now) return state;
  const { digest, revision } = bytes;
  const entry: SeenVersion = { tag, digest, revision, at: new Date(now).toISOString() };
  const others = (state.seen ?? []).filter((one) => !isSighting(one, tag, bytes));
  return { ...state, seen: [...others, entry].slice(-MAX_SEEN) };
}

function isSighting(one: SeenVersion, tag: string, bytes: ByteIdentity): boolean {
  return one.tag === tag && sameBytes(one, bytes);
}
