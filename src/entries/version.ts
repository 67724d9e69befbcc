/**
 * Versions alone: SemVer, CalVer, and the choice of the newest tag.
 *
 * @module
 */
export type { Version } from "../core/types.ts";
export { latestTag } from "../version/latest_tag.ts";
export {
  compareVersions,
  type LatestTagOptions,
  parseVersion,
  type VersionOptions,
} from "../version/version.ts";
