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
  const { signal, explain = false, now } = options;
  signal?.throwIfAborted();
  const version = parseVersion(tag, policy);
  if (version === undefined) return explained(refuse(tag, policy), "not a version");
  const release = await (source.find ?? source.release).call(source, tag, signal);
  signal?.throwIfAborted();
  if (release === undefined) {
    const listed: ListedTag[] = [];
    for await (const one of source.tags(signal)) listed.push(one);
    signal?.throwIfAborted();
    const why = whyMissing(tag, version, listed, policy);
    const message = `Cannot find the tag "${printable(tag)}" in "${policy.url}": ${why}`;
    return explained({ kind: "none", reason: "unknown-tag", tag, message }, why);
  }
  return explained(resolveFiles(tag, release, policy, now), undefined);

  function explained(resolution: Resolution, problem: string | undefined): Resolution {
    if (!explain) return resolution;
    const reason = problem ?? "the tag that was asked for";
    const explanation: Candidates = {
      registry: policy.url,
      platform: normalizePlatform(policy.platform),
      tags: [{ tag: shorten(tag, MAX_TAG_LENGTH), chosen: problem === undefined, reason }],
      artifacts: release === undefined ? [] : explainFiles(tag, release, policy),
    };
    return { ...resolution, explanation };
  }
}

function refuse(tag: string, { url, calver }: Policy): Resolution {
  const form = calver === "" ? "SemVer such as v1.2.3" : `the calver format "${calver}"`;
  const message = `Cannot find the tag "${printable(tag)}" in "${url}": not a version (expected ${form})`;
  return { kind: "none", reason: "unknown-tag", tag, message };
}

function whyMissing(
  tag: string,
  version: Version,
  listed: readonly ListedTag[],
  policy: Policy,
): string {
  const same = listed.find((one) => one.tag === tag);
  if (same !== undefined) return same.unusable ?? "it is listed, but its files are gone";
  const tags = nearTags(version, listed, policy).map((one) => printable(one));
  return tags.length === 0
    ? "no version is published"
    : `not found; the nearest ${tags.length === 1 ? "version is" : "versions are"} ${tags.join(" and ")}`;
}

/** The tag of an equal version, else the next lower and the next higher one. */
function nearTags(version: Version, listed: readonly ListedTag[], policy: Policy): string[] {
  let before: Version | undefined;
  let after: Version | undefined;
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
