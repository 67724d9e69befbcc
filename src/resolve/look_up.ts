/**
 * The lookup of one tag, whatever the policy says about versions.
 *
 * @module
 */
import { shorten } from "../core/text.ts";
import type { Candidates, Resolution, Version } from "../core/types.ts";
import { normalizePlatform } from "../platform/platform.ts";
import { MAX_TAG_LENGTH } from "../version/semver.ts";
import { compareParsed, parseVersion } from "../version/version.ts";
import { printable } from "./message.ts";
import {
  explainFiles,
  type ListedTag,
  type Policy,
  type ReleaseSource,
  type ResolveOptions,
  resolveFiles,
} from "./resolve.ts";

/**
 * Resolves one tag and its artifact. The tags are listed only if the source does not have it: for the message, and
 * because servers also answer "not found" to a client that may not read.
 */
export async function lookUp(
  source: ReleaseSource,
  tag: string,
  policy: Policy,
  options: Omit<ResolveOptions, "exclude">,
): Promise<Resolution> {
  const { signal, explain, now } = options;
  const version = parseVersion(tag, policy);
  signal?.throwIfAborted();
  const find = source.find ?? source.release;
  const release = version && (await find.call(source, tag, signal));
  const why =
    version === undefined
      ? notAVersion(policy)
      : release === undefined
        ? await whyMissing(version, source, policy, signal)
        : undefined;
  signal?.throwIfAborted();
  const resolution: Resolution =
    release === undefined
      ? {
          kind: "none",
          reason: "unknown-tag",
          tag,
          message: `Cannot find the tag "${printable(tag)}" in "${policy.url}": ${why}`,
        }
      : resolveFiles(tag, release, policy, now);
  if (!explain) return resolution;
  const shown = shorten(tag, MAX_TAG_LENGTH);
  const reason = why ?? "the tag that was asked for";
  const explanation: Candidates = {
    registry: policy.url,
    platform: normalizePlatform(policy.platform),
    tags: [{ tag: shown, chosen: why === undefined, reason }],
    artifacts: release === undefined ? [] : explainFiles(tag, release, policy),
  };
  return { ...resolution, explanation };
}

function notAVersion({ calver }: Policy): string {
  const form = calver === "" ? "SemVer such as v1.2.3" : `the calver format "${calver}"`;
  return `not a version (expected ${form})`;
}

async function whyMissing(
  version: Version,
  source: ReleaseSource,
  policy: Policy,
  signal: AbortSignal | undefined,
): Promise<string> {
  const listed: ListedTag[] = [];
  for await (const one of source.tags(signal)) listed.push(one);
  const same = listed.find(({ tag }) => tag === version.original);
  if (same !== undefined) return same.unusable ?? "it is listed, but its files are gone";
  const near = nearTags(version, listed, policy).map((one) => printable(one));
  return near.length === 0
    ? "no version is published"
    : `not found; the registry has ${near.join(" and ")}`;
}

/** The tag of an equal version, else the next lower and the next higher one. */
function nearTags(version: Version, listed: readonly ListedTag[], policy: Policy): string[] {
  let [before, after]: Version[] = [];
  for (const { tag, unusable } of listed) {
    const one = unusable === undefined ? parseVersion(tag, policy) : undefined;
    if (one === undefined) continue;
    const order = compareParsed(one, version);
    if (order === 0) return [tag];
    if (order < 0 && (before === undefined || compareParsed(one, before) > 0)) before = one;
    if (order > 0 && (after === undefined || compareParsed(one, after) < 0)) after = one;
  }
  return [before, after].flatMap((one) => (one === undefined ? [] : [one.original]));
}
