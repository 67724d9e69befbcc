/**
 * Platforms alone: the choice of the artifact that fits one, by its name.
 *
 * @module
 */
export type { Platform } from "../core/types.ts";
export { type ArtifactOptions, selectArtifact } from "../platform/artifact_choice.ts";
export { normalizePlatform, runtimePlatform } from "../platform/platform.ts";
