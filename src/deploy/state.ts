// Which release is live is not part of the state: only the symlink `current` says so.
import { parseDigest } from "../core/digest.ts";
import type { Operator } from "../core/operator.ts";
import type { Artifact, Release } from "../core/types.ts";
import type { Signer } from "../verify/signer.ts";

/** The digest is the registry's or computed from the download; the revision is opaque. */
export type ByteIdentity = Pick<Artifact, "digest" | "revision">;

export interface DeployedRelease extends ByteIdentity {
  id: string;
  tag: string;
  artifact: string;
  directory: string;
  stagedAt: string;
  /** When it passed its bake for the first time. */
  provenAt?: string | undefined;
  verified?: Verification | undefined;
}

/** The policy of `--verify` that held for a release, for these bytes. */
export interface Verification {
  policy: string;
  /** `sha256:…` */
  digest: string;
  signers: readonly Signer[];
}

/** A decision of an operator. */
export interface Decision extends Operator {
  /** In ISO 8601, as all times of the state. */
  at: string;
}

export interface SkippedVersion extends Decision {
  tag: string;
  /** Whether every earlier version is skipped as well, because an operator went back to one of them. */
  andEarlier?: true | undefined;
}

/** A command that was accepted but is not finished. It survives a restart of dewy. */
export type Order = RollbackOrder | DeployOrder | RestartOrder;

export interface OrderBase extends Decision {
  id: string;
}

export interface RollbackOrder extends OrderBase, LeftBehind {
  kind: "rollback";
  tag: string;
  directory: string;
}

export interface DeployOrder extends OrderBase, LeftBehind {
  kind: "deploy";
  tag: string;
}

interface RestartOrder extends OrderBase {
  kind: "restart";
}

interface LeftBehind {
  /** The newer version that is left behind. Once the order is done, nothing up to it comes by itself. */
  left?: string | undefined;
}

/** When this host first saw a tag with its bytes. */
export interface SeenVersion extends ByteIdentity {
  tag: string;
  at: string;
}

/** An audit record, or the report of a failed deploy, that was not delivered yet. */
export interface PendingReport {
  id: string;
  tag: string;
  at: string;
  /** Those of `at` below its millisecond: see `Deployment`. */
  nanoseconds?: number | undefined;
  error?: string | undefined;
}

interface BadVersion extends ByteIdentity {
  tag: string;
  reason: string;
  at: string;
}

/** The bytes of a tag when it was last staged. This record outlives the release. */
interface KnownBytes extends ByteIdentity {
  tag: string;
  artifact: string;
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
  /** The only version that may come by itself. */
  pinned?: (Decision & { tag: string }) | undefined;
  /** Set while no version comes by itself. */
  paused?: Decision | undefined;
  /** The versions that do not come by themselves. */
  skipped?: readonly SkippedVersion[] | undefined;
  order?: Order | undefined;
  /** The versions that `--min-age` has seen, the latest last. */
  seen?: readonly SeenVersion[] | undefined;
  reports?: readonly PendingReport[] | undefined;
  /** The signers that were seen here, and that later versions must have. */
  signers?: readonly TrustedSigner[] | undefined;
  /** Versions that an operator has accepted with `dewy trust accept`, whatever their signers. */
  accepted?: readonly AcceptedTag[] | undefined;
  /** The highest version deployed here. An operator's deploy or rollback sets it to its version. */
  highest?: string | undefined;
  /** The last listing, as a hash, and when it last changed. */
  listing?: { hash: string; changedAt: string } | undefined;
}

export interface TrustedSigner extends Signer {
  /** The version that it was first seen with, or accepted with. */
  tag: string;
  at: string;
}

export interface AcceptedTag extends Decision {
  tag: string;
  /** Set by the deploy that uses it: other bytes of the tag are not accepted. */
  digest?: string | undefined;
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

function identityOf({ digest, revision }: ByteIdentity): ByteIdentity {
  return { digest, revision };
}

/** As far as is known: digests take precedence over revisions. */
export function sameBytes(a: ByteIdentity, b: ByteIdentity): boolean {
  const [digestA, digestB] = [a.digest, b.digest];
  const haveDigests = digestA !== undefined && digestB !== undefined;
  if (haveDigests && algorithmOf(digestA) === algorithmOf(digestB)) return digestA === digestB;
  if (a.revision !== undefined && b.revision !== undefined) return a.revision === b.revision;
  return !haveDigests;
}

function algorithmOf(digest: string): string | undefined {
  return parseDigest(digest)?.algorithm;
}

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
  const accepted = wasAccepted || undefined;
  const entry: KnownBytes = { tag, artifact, ...identityOf(bytes), accepted };
  const others = state.known.filter((one) => !isEarlier(one));
  return { ...state, known: [...others, entry].slice(-MAX_KNOWN) };
}

/** The bytes that a tag has had, the latest last. */
export function knownBytes({ releases, known }: DeployState, tag: string): readonly KnownBytes[] {
  // Earlier versions of dewy recorded them only in `releases`.
  return [...releases, ...known].filter((one) => one.tag === tag);
}

export function acceptBytes(state: DeployState, tag: string, artifact: Artifact): DeployState {
  const next = withKnown(state, { ...artifact, tag, artifact: artifact.name });
  const known = next.known.map((one): KnownBytes => {
    return one.tag === tag && one.artifact === artifact.name ? { ...one, accepted: true } : one;
  });
  return { ...next, known };
}

/** Returns the same object if nothing changes. */
export function forgetAcceptances(state: DeployState, except: readonly string[]): DeployState {
  const isStale = (one: KnownBytes): boolean => one.accepted === true && !except.includes(one.tag);
  if (!state.known.some(isStale)) return state;
  const known = state.known.map((one) => (isStale(one) ? { ...one, accepted: undefined } : one));
  return { ...state, known };
}

export function directoriesIn({ releases, previous, switching }: DeployState): readonly string[] {
  const directories = [...releases.map((one) => one.directory), previous, switching?.from];
  return [...new Set(directories.filter((directory) => directory !== undefined))];
}

/** Removes the records of missing directories, and every reference to them as a rollback target. */
export function withoutReleases(state: DeployState, directories: readonly string[]): DeployState {
  const isGone = (directory = ""): boolean => directories.includes(directory);
  const { releases, switching } = state;
  const previous = isGone(state.previous) ? undefined : state.previous;
  const from = isGone(switching?.from) ? previous : switching?.from;
  return {
    ...state,
    releases: releases.filter(({ directory }) => !isGone(directory)),
    previous,
    switching: switching && { ...switching, from },
  };
}

export function isBad(state: DeployState, directory: string | undefined): boolean {
  const release = findRelease(state, directory);
  return release !== undefined && findBad(state, release.tag, release) !== undefined;
}

/** The directory to roll back to: the last good release that is not marked bad. */
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
  return { ...state, switching: { to, from: wayBack(state, live) } };
}

/** The state after a release has passed its bake, possibly while a newer release is getting ready. */
export function commitSwitch(state: DeployState, directory: string, now: number): DeployState {
  if (state.switching === undefined) return state;
  const { to, from = directory } = state.switching;
  const isFirst = from === directory;
  return {
    ...withProven(state, directory, now),
    previous: isFirst || isBad(state, from) ? state.previous : from,
    afterHook: { directory, previousTag: isFirst ? undefined : findRelease(state, from)?.tag },
    switching: to === directory ? undefined : { to, from: directory },
  };
}

/** Records that a release has passed its bake. */
export function withProven(state: DeployState, directory: string, now: number): DeployState {
  const provenAt = new Date(now).toISOString();
  const releases = state.releases.map((one) =>
    one.directory === directory ? { ...one, provenAt: one.provenAt ?? provenAt } : one,
  );
  return { ...state, releases };
}

export function withoutAfterHook(state: DeployState, directory: string): DeployState {
  return state.afterHook?.directory === directory ? { ...state, afterHook: undefined } : state;
}

export interface Retention {
  keep: ReadonlySet<string>;
  /** How many of the newest directories that are not in `keep` stay as well. */
  others: number;
}

export function retention(state: DeployState, live: string | undefined): Retention {
  const { releases, previous, switching, afterHook, order, pinned } = state;
  const newest = releases.slice(-KEPT_RELEASES).map(({ directory }) => directory);
  const wanted = [
    order?.kind === "rollback" ? order.directory : undefined,
    releases.findLast(({ tag }) => tag === pinned?.tag)?.directory,
  ];
  const used = [live, previous, switching?.to, switching?.from, afterHook?.directory, ...wanted];
  const keep = [...newest, ...used].filter((directory) => directory !== undefined);
  return { keep: new Set(keep), others: KEPT_RELEASES - newest.length };
}

/** The state after a switch was undone or did not happen. */
export function cancelSwitch(
  state: DeployState,
  live: string | undefined,
  isBaking: boolean,
): DeployState {
  const from = state.switching?.from;
  const isUnfinished = isBaking && state.switching !== undefined && live !== from;
  const switching = isUnfinished && live !== undefined ? { to: live, from } : undefined;
  return { ...state, switching };
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

export function withoutBad(state: DeployState, tag: string): DeployState {
  return { ...state, bad: state.bad.filter((bad) => bad.tag !== tag) };
}

export function findBad(
  state: DeployState,
  tag: string,
  artifact: ByteIdentity,
): BadVersion | undefined {
  return state.bad.find((bad) => bad.tag === tag && sameBytes(bad, artifact));
}
