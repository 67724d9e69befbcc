/**
 * The resolver: a source lists, the policy decides.
 *
 * @module
 */

import { ConfigError } from "../core/error.ts";
import type {
  Artifact,
  Candidates,
  ExplainedArtifact,
  Platform,
  Release,
  Resolution,
} from "../core/types.ts";
import { type ArtifactChoice, chooseArtifact } from "../platform/artifact_reasons.ts";
import { normalizePlatform } from "../platform/platform.ts";
import { compilePolicy } from "../version/load_constraint.ts";
import { compareParsed, NewestTag, parseVersion } from "../version/version.ts";
import {
  describeFiltered,
  describeMissing,
  describePending,
  printable,
  TagTally,
} from "./message.ts";

/** A tag that a source lists. */
export interface ListedTag {
  /** The tag as the registry spells it. */
  tag: string;
  /** Whether the registry itself marks it as a pre-release. */
  preRelease?: boolean;
  /** Why the registry itself rules it out: `draft`. Such a tag is explained, but never chosen. */
  unusable?: string;
}

/** The files of a release. */
export interface ReleaseFiles {
  /** The registry's own identifier of the release. */
  id: string;
  /** The time of publication, if the registry states it: the start of the grace period. */
  createdAt?: Date;
  /** The files, in the registry's order. */
  files: readonly Artifact[];
  /** Whether files are still being uploaded. Defaults to false. */
  isUploading?: boolean;
  /** Whether the registry marks it as a pre-release. Defaults to false. */
  preRelease?: boolean;
  /** The release notes. */
  notes?: string | undefined;
  /** The web page of the release. */
  page?: string | undefined;
  /** The choice of a source that does not list files, such as the images of an index. */
  chosen?: ChosenArtifact;
}

/** The choice of a source, and its candidates. */
export interface ChosenArtifact {
  /** The artifact for this machine; `undefined` if none fits. */
  artifact: Artifact | undefined;
  /** All candidates. */
  candidates: readonly ExplainedArtifact[];
}

/** Lists the tags and files of a registry. */
export interface ReleaseSource {
  /** All tags, in the registry's order. An incomplete listing must throw. */
  tags(signal: AbortSignal | undefined): AsyncIterable<ListedTag>;
  /** The files of a listed tag; `undefined` if the release does not exist. */
  release(tag: string, signal: AbortSignal | undefined): Promise<ReleaseFiles | undefined>;
  /**
   * The files of a tag that an operator asks for, listed or not; `undefined` if it has no published release. Must not
   * change what later listings answer. Defaults to `release`.
   */
  find?(tag: string, signal: AbortSignal | undefined): Promise<ReleaseFiles | undefined>;
  /**
   * A source for one question with `once`. Its listing may leave out what cannot change the answer. Defaults to the source
   * itself.
   */
  single?(options: { exclude?: Iterable<string>; since?: string }): ReleaseSource;
  /** A source to go through all versions, in which `release` reads one at a time. Defaults to the source itself. */
  browse?(): Pick<ReleaseSource, "tags" | "release">;
}

/** Which version of a source is wanted: the options of a locator, and the last three. */
export interface Policy {
  /** Redacted. */
  url: string;
  preRelease: boolean;
  calver: string;
  constraint: string;
  slot: string;
  artifact: string;
  emulation?: boolean;
  /** The repository's name, which its own program has. */
  repository?: string;
  platform: Platform;
  /** How long after publication a missing artifact is `pending`, in milliseconds. */
  graceMs: number;
}

export interface ResolveOptions {
  exclude?: Iterable<string>;
  explain?: boolean;
  onTag?: (tag: string) => void;
  since?: string;
  signal?: AbortSignal;
  /** Milliseconds since the Unix epoch. */
  now: number;
}

/** How long one listing serves all calls of a poll, in milliseconds. */
export const SAME_POLL_MS = 60_000;

/** The grace period after publication. */
export const GRACE_MS: number = 30 * 60_000;

/**
 * Finds the newest version within the policy, and its artifact.
 *
 * If the artifact of the newest version is missing, no older version is chosen; exclude the tag to get the next. A
 * listed release that cannot be looked up is `pending`, so that a stale listing never looks like a downgrade.
 */
export async function resolve(
  source: ReleaseSource,
  policy: Policy,
  options: ResolveOptions,
): Promise<Resolution> {
  const rules = { ...policy, exclude: [...(options.exclude ?? [])] };
  const satisfies = await compilePolicy(policy);
  const newest = new NewestTag(rules, satisfies);
  const tally = new TagTally();
  const listed: ListedTag[] = [];
  for await (const one of source.tags(options.signal)) {
    judgeListed(newest, tally, one);
    options.onTag?.(one.tag);
    if (options.explain) listed.push(one);
  }
  options.signal?.throwIfAborted();
  const { tag } = newest;
  const isKnown = tag !== undefined && isAtMost(tag, options.since, policy);
  const release =
    tag === undefined || isKnown ? undefined : await source.release(tag, options.signal);
  const resolution =
    tag === undefined
      ? describeFiltered(tally, policy)
      : isKnown
        ? unchanged(options.since ?? tag, policy)
        : resolveFiles(tag, release, policy, options.now);
  if (!options.explain) return resolution;
  const { explainTags } = await import("./explain_tags.ts");
  const explanation: Candidates = {
    registry: policy.url,
    platform: normalizePlatform(policy.platform),
    tags: explainTags(listed, tag, rules, satisfies),
    artifacts: tag === undefined || isKnown ? [] : explainFiles(tag, release, policy),
  };
  return { ...resolution, explanation };
}

/** Whether a tag is no newer than the version that the caller has; false without one. */
export function isAtMost(
  tag: string,
  since: string | undefined,
  policy: Pick<Policy, "calver">,
): boolean {
  if (since === undefined) return false;
  const [one, other] = [parseVersion(tag, policy), parseVersion(since, policy)];
  if (other === undefined) {
    throw new ConfigError(`Invalid value for since: "${printable(since)}" is not a version`);
  }
  return one !== undefined && compareParsed(one, other) <= 0;
}

/** The tag is that of the caller, which the registry need not have any more. */
export function unchanged(since: string, { url }: Pick<Policy, "url">): Resolution {
  const message = `"${url}" has nothing newer than ${printable(since)}`;
  return { kind: "none", reason: "unchanged", tag: since, message };
}

export function explainFiles(
  tag: string,
  release: ReleaseFiles | undefined,
  policy: Policy,
): readonly ExplainedArtifact[] {
  return release?.chosen?.candidates ?? chooseByName(tag, release?.files ?? [], policy).explained;
}

function judgeListed(newest: NewestTag, tally: TagTally, listed: ListedTag): void {
  if (listed.unusable !== undefined) tally.addUnusable(listed.tag, listed.unusable);
  else tally.add(listed.tag, newest.offer(listed.tag, listed.preRelease));
}

export function resolveFiles(
  tag: string,
  release: ReleaseFiles | undefined,
  policy: Policy,
  now: number,
): Resolution {
  if (release === undefined) return { kind: "pending", tag, reason: "artifact-missing" };
  const since = release.createdAt;
  const isYoung = since !== undefined && now - since.getTime() < policy.graceMs;
  const { artifact, choice } = chooseFile(tag, release, policy);
  const isEarly = isYoung && release.isUploading === true && choice?.isTentative === true;
  if (artifact !== undefined && !isEarly) {
    return {
      kind: "ready",
      release: describeRelease(tag, release, policy),
      artifact,
      files: release.chosen === undefined ? release.files : undefined,
      notes: choice?.notes.length ? choice.notes : undefined,
      isNamed: choice?.isNamed || undefined,
    };
  }
  const names = (release.chosen?.candidates ?? release.files).map((one) => one.name);
  if (isYoung) {
    const message = isEarly ? undefined : describePending(tag, names, policy, choice?.problem);
    return { kind: "pending", tag, reason: "artifact-missing", since, message };
  }
  return {
    kind: "none",
    reason: "artifact-missing",
    tag,
    message: describeMissing(tag, names, policy, choice?.problem),
  };
}

function chooseFile(
  tag: string,
  { files, chosen }: ReleaseFiles,
  policy: Policy,
): { artifact: Artifact | undefined; choice?: ArtifactChoice } {
  if (chosen !== undefined) return { artifact: chosen.artifact };
  const choice = chooseByName(tag, files, policy);
  return { artifact: files.find((file) => file.name === choice.name), choice };
}

function chooseByName(tag: string, files: readonly Artifact[], policy: Policy): ArtifactChoice {
  const { platform, artifact, emulation = false, repository = "" } = policy;
  const names = files.map((file) => file.name);
  return chooseArtifact(names, platform, { artifact, tag, emulation, repository });
}

function describeRelease(tag: string, files: ReleaseFiles, policy: Policy): Release {
  const version = parseVersion(tag, { calver: policy.calver });
  if (version === undefined) throw new TypeError(`"${tag}" is not a version`);
  return {
    id: files.id,
    tag,
    version,
    createdAt: files.createdAt,
    slot: version.buildMetadata || undefined,
  };
}
