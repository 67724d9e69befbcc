import type { ListedTag } from "../core/resolve.ts";
import { parseVersion } from "../core/version.ts";

/** Tags as versions, and back. */
export interface TagSpelling {
  /** The tags as the resolver reads them. */
  listed: readonly ListedTag[];
  /** The tag as the registry spells it, by the version that the resolver reads. */
  spelled: ReadonlyMap<string, string>;
}

/**
 * Reads tags as versions. A tag cannot have a `+`, so that `v1.2.0_blue` stands for `v1.2.0+blue`; where a registry has
 * both, the literal one is meant.
 *
 * @param tags the tags, in the registry's order.
 * @param calver a CalVer format; empty: SemVer.
 * @returns what to list, and how each is spelled where that differs.
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
 */
export function spellTags(tags: readonly string[], calver: string): TagSpelling {
  const literal = new Set(tags);
  const spelled = new Map<string, string>();
  const listed = tags.map((tag): ListedTag => {
    const version = versionOf(tag, calver);
    if (version === tag) return { tag };
    if (literal.has(version))
      return { tag, unusable: `stands for ${version}, which is there itself` };
    spelled.set(version, tag);
    return { tag: version };
  });
  return { listed, spelled };
}

/**
 * The version that a tag stands for.
 *
 * @param tag the tag as the registry spells it.
 * @param calver a CalVer format; empty: SemVer.
 * @returns the tag with its last `_` as `+`, where only that makes it a version; else the tag.
 */
export function versionOf(tag: string, calver: string): string {
  const at = tag.lastIndexOf("_");
  if (at < 0) return tag;
  const options = { calver };
  const version = `${tag.slice(0, at)}+${tag.slice(at + 1)}`;
  const isOne = parseVersion(version, options)?.buildMetadata === tag.slice(at + 1);
  return isOne && parseVersion(tag, options) === undefined ? version : tag;
}
