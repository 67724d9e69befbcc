import { shorten } from "../core/text.ts";
import type { ExplainedTag, Version } from "../core/types.ts";
import type { ConstraintTest } from "../version/constraint.ts";
import { MAX_TAG_LENGTH } from "../version/semver.ts";
import {
  compareParsed,
  NewestTag,
  parseVersion,
  type TagRules,
  type TagVerdict,
} from "../version/version.ts";
import type { ListedTag } from "./resolve.ts";

type Rules = TagRules & { constraint?: string };

interface Read {
  listed: ListedTag;
  version: Version | undefined;
  verdict: TagVerdict;
}

export function explainTags(
  listed: readonly ListedTag[],
  chosen: string | undefined,
  rules: Rules,
  satisfies?: ConstraintTest,
): ExplainedTag[] {
  const judge = new NewestTag(rules, satisfies);
  const all = listed.map(
    (one): Read => ({
      listed: one,
      version: parseVersion(one.tag, rules),
      verdict: judge.offer(one.tag, one.preRelease),
    }),
  );
  const winner = all.find((one) => one.listed.tag === chosen && one.listed.unusable === undefined);
  return all.sort(byNewest).map((one) => ({
    tag: shorten(one.listed.tag, MAX_TAG_LENGTH),
    chosen: one === winner,
    reason: reasonOf(one, winner, rules),
  }));
}

function byNewest(a: Read, b: Read): number {
  if (a.version === undefined || b.version === undefined) {
    return Number(a.version === undefined) - Number(b.version === undefined);
  }
  return compareParsed(b.version, a.version);
}

function reasonOf(one: Read, winner: Read | undefined, rules: Rules): string {
  if (one === winner) return "the newest version that fits";
  if (one.listed.unusable !== undefined) return one.listed.unusable;
  switch (one.verdict) {
    case "no-version":
      if (one.listed.tag.length > MAX_TAG_LENGTH)
        return `longer than the ${MAX_TAG_LENGTH} characters that a version may have`;
      return rules.calver
        ? `no version of the calver format "${rules.calver}"`
        : "no SemVer version";
    case "slot":
      return one.version?.buildMetadata
        ? `slot "${one.version.buildMetadata}" is not "${rules.slot}"`
        : `no build metadata, slot "${rules.slot}" is wanted`;
    case "pre-release":
      return one.version?.preRelease
        ? "a pre-release; pre-release=true includes it"
        : "marked as a pre-release by the registry; pre-release=true includes it";
    case "constraint":
      return `does not satisfy the constraint "${rules.constraint}"`;
    case "excluded":
      return "excluded: marked bad, skipped, too young, or not complete yet";
    default:
      return olderThan(one, winner);
  }
}

function olderThan(one: Read, winner: Read | undefined): string {
  if (one.version === undefined || winner?.version === undefined) return "older";
  return compareParsed(one.version, winner.version) === 0
    ? `equal to ${winner.listed.tag}, which is listed first`
    : `older than ${winner.listed.tag}`;
}
