/**
 * The resolver: a source lists, the policy decides.
 *
 * @module
 */

import type {
  Artifact,
  Candidates,
  ExplainedArtifact,
  Platform,
  Release,
  Resolution,
} from "../core/types.ts";
import { type ArtifactChoice, chooseArtifact } from "../platform/artifact_choice.ts";
import { normalizePlatform } from "../platform/platform.ts";
import { NewestTag, parseVersion } from "../version/version.ts";
import { explainTags } from "./explain_tags.ts";
import { describeFiltered, describeMissing, describePending, TagTally } from "./message.ts";

/** A tag that a source lists. */
export interface ListedTag {
  /** The tag as the registry spells it. */
  tag: string;
  /** The registry itself calls it a pre-release. */
  preRelease?: boolean;
  /** Why the registry itself rules it out: `draft`. Such a tag is only ever explained. */
  unusable?: string;
}

/** The files of a release. */
export interface ReleaseFiles {
  /** The registry's own identifier of the release. */
  id: string;
  /** When it was published, where the registry says so: the beginning of the grace period. */
  createdAt?: Date;
  /** The files, in the registry's order. */
  files: readonly Artifact[];
  /** The registry knows of files that are still being uploaded. The default is false. */
  isUploading?: boolean;
  /** The choice among other things than files, where the source makes it itself: the images of an index. */
  chosen?: ChosenArtifact;
}

/** A choice that a source has made, and of what. */
export interface ChosenArtifact {
  /** What fits this machine; `undefined`: nothing does. */
  artifact: Artifact | undefined;
  /** Everything there was. */
  candidates: readonly ExplainedArtifact[];
}

/** What a registry that lists its tags has to write, and nothing more. */
export interface ReleaseSource {
  /** Every tag, in the registry's order, all pages of it; a listing that breaks off must throw. */
  tags(signal: AbortSignal | undefined): AsyncIterable<ListedTag>;
  /** The files of one listed tag; `undefined` when it is not there (any more). */
  release(tag: string, signal: AbortSignal | undefined): Promise<ReleaseFiles | undefined>;
}

/** Which version of a source is wanted. Every registry's locator has these but the last three. */
export interface Policy {
  /** The registry's URL as it may be printed. */
  url: string;
  /** Whether pre-releases count. */
  preRelease: boolean;
  /** A CalVer format; empty: SemVer. */
  calver: string;
  /** A range of semver; empty: any version. */
  constraint: string;
  /** The build metadata a version must have; empty: any. */
  slot: string;
  /** The artifact's name, or a pattern for it; empty: chosen by platform. */
  artifact: string;
  /** Whether a file for amd64 will do where the machine can emulate it. The default is false. */
  emulation?: boolean;
  /** The repository's name, after which its own program is called. The default is none. */
  repository?: string;
  /** The machine that artifacts are chosen for. */
  platform: Platform;
  /** Milliseconds after publication in which a missing artifact is waited for; see {@link GRACE_MS}. */
  graceMs: number;
}

/** What one question may bring along. */
export interface ResolveOptions {
  /** Tags that must not be chosen. The default is none. */
  exclude?: Iterable<string>;
  /** Whether the answer carries an `explanation`. The default is false. */
  explain?: boolean;
  /** Ends the question. */
  signal?: AbortSignal;
  /** Milliseconds since the Unix epoch, to know whether the grace period is over. */
  now: number;
}

/** A listing of this age answers further questions of the same poll, in milliseconds. */
export const SAME_POLL_MS = 60_000;

/** The grace period after publication: thirty minutes. */
export const GRACE_MS: number = 30 * 60_000;

/**
 * Finds the newest version within the policy, and its artifact.
 *
 * The newest version decides: when its artifact is missing, no older one is taken; ask again with the
 * tag in `exclude` to get the next. A release that was listed but is not there when it is looked up is
 * `pending`, so that a listing that lags behind never looks like a downgrade.
 */
export async function resolve(
  source: ReleaseSource,
  policy: Policy,
  options: ResolveOptions,
): Promise<Resolution> {
  const rules = { ...tagRules(policy), exclude: [...(options.exclude ?? [])] };
  const newest = new NewestTag(rules);
  const tally = new TagTally();
  const listed: ListedTag[] = [];
  for await (const one of source.tags(options.signal)) {
    judgeListed(newest, tally, one);
    if (options.explain) listed.push(one);
  }
  options.signal?.throwIfAborted();
  const { tag } = newest;
  const release = tag === undefined ? undefined : await source.release(tag, options.signal);
  const resolution =
    tag === undefined
      ? describeFiltered(tally, policy)
      : resolveFiles(tag, release, policy, options.now);
  if (!options.explain) return resolution;
  const explanation: Candidates = {
    registry: policy.url,
    platform: normalizePlatform(policy.platform),
    tags: explainTags(listed, tag, rules),
    artifacts: tag === undefined ? [] : explainFiles(tag, release, policy),
  };
  return { ...resolution, explanation };
}

function explainFiles(
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

function tagRules(policy: Policy): Pick<Policy, "preRelease" | "calver" | "constraint" | "slot"> {
  const { preRelease, calver, constraint, slot } = policy;
  return { preRelease, calver, constraint, slot };
}

function resolveFiles(
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
    const notes = choice?.notes ?? [];
    return {
      kind: "ready",
      release: describeRelease(tag, release, policy),
      artifact,
      ...(notes.length === 0 ? {} : { notes }),
      ...(choice?.isNamed ? { isNamed: true } : {}),
    };
  }
  const names = (release.chosen?.candidates ?? release.files).map((one) => one.name);
  if (isYoung) {
    const message = isEarly ? undefined : describePending(tag, names, policy, choice?.problem);
    return {
      kind: "pending",
      tag,
      reason: "artifact-missing",
      since,
      ...(message === undefined ? {} : { message }),
    };
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
  if (version === undefined) throw new TypeError(`"${tag}" was chosen but is not a version`);
  return {
    id: files.id,
    tag,
    version,
    ...(files.createdAt === undefined ? {} : { createdAt: files.createdAt }),
    ...(version.buildMetadata === "" ? {} : { slot: version.buildMetadata }),
  };
}
