import { type LatestTagOptions, NewestTag } from "./version.ts";

/**
 * Returns the newest of the tags that pass the filters; of equal versions, the first listed. One linear pass.
 *
 * @param tags the tags, in the registry's order.
 * @returns the tag as listed; `undefined` if none passes.
 * @throws {ConfigError} If the CalVer format or the constraint is invalid.
 *
 * @example
 * ```ts
 * import { latestTag } from "dewy";
 *
 * const tags = ["v1.0.0+blue", "v1.1.0+green", "v2.0.0-rc.1+blue", "latest"];
 * if (latestTag(tags) !== "v1.1.0+green") throw new Error("newest of all");
 * if (latestTag(tags, { slot: "blue" }) !== "v1.0.0+blue") throw new Error("newest of its slot");
 * if (latestTag(tags, { preRelease: true }) !== "v2.0.0-rc.1+blue") throw new Error("newest with pre-releases");
 * ```
 */
export function latestTag(
  tags: Iterable<string>,
  options: LatestTagOptions = {},
): string | undefined {
  const { constraint, calver = "", preRelease = false } = options;
  const newest = new NewestTag(options, constraint?.({ calver, preRelease }));
  for (const tag of tags) newest.offer(tag);
  return newest.tag;
}
