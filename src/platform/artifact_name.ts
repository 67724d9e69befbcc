import type { ExplainedArtifact, Platform } from "../core/types.ts";
import { type ArtifactOptions, chooseArtifact } from "./artifact_choice.ts";

/**
 * Chooses the file of a release for a platform: an archive, or else a bare executable, with the OS and the architecture
 * in its name. A name without an architecture, or an archive without a platform, is chosen only if it is the only
 * candidate. Of several files that fit equally well, the first listed is chosen.
 *
 * @param names The file names, in the registry's order.
 * @param platform The machine, in Node's or Go's spelling.
 * @param options A name or pattern to take instead, and what else is known.
 * @returns The chosen name; `undefined` if none fits.
 *
 * @example
 * ```ts
 * import { selectArtifact } from "dewy";
 *
 * const names = ["checksums.txt", "app_darwin_arm64.tar.gz", "app_linux_arm64.tar.gz", "app_linux_x86_64.tar.gz"];
 * const chosen = selectArtifact(names, { os: "linux", arch: "x64" });
 * if (chosen !== "app_linux_x86_64.tar.gz") throw new Error(chosen);
 * ```
 */
export function selectArtifact(
  names: Iterable<string>,
  platform: Platform,
  options: ArtifactOptions = {},
): string | undefined {
  return chooseArtifact(names, platform, options).name;
}

/** Explains for every file why it was chosen or skipped, in the given order. */
export function explainArtifacts(
  names: Iterable<string>,
  platform: Platform,
  options: ArtifactOptions = {},
): readonly ExplainedArtifact[] {
  return chooseArtifact(names, platform, options).explained;
}
