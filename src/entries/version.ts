/**
 * Versions alone: SemVer, CalVer, and the choice of the newest tag.
 *
 * @module
 */
export type { Version } from "../core/types.ts";
export type { Constraint } from "../version/constraint.ts";
export { latestTag } from "../version/latest_tag.ts";
export { loadConstraint } from "../version/load_constraint.ts";
export {
  compareVersions,
  type LatestTagOptions,
  parseVersion,
  type VersionOptions,
} from "../version/version.ts";
