import type { ListedTag } from "../../resolve/resolve.ts";
import { versionOf } from "../../version/version.ts";

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
