import type { Platform } from "../core/types.ts";
import { type Contest, compete, findOwn } from "./artifact_contest.ts";
import { type FittingFile, isPlatformless, type JudgedFile, judgeFile } from "./artifact_fit.ts";
import { archiveKind, fileKind, stemOf } from "./artifact_kind.ts";
import { exactNames, matchesArtifact } from "./artifact_pattern.ts";
import { readArtifactWords } from "./artifact_words.ts";
import { normalizePlatform } from "./platform.ts";

/** Options of {@link selectArtifact}. */
export interface ArtifactOptions {
  /**
   * The name of the artifact (any kind of file), or a pattern: `*`, `?`, `[a-z]`, `{tag}`, `{version}`. Defaults to a
   * choice by platform.
   */
  artifact?: string;
  /** The release's tag, for `{tag}` and `{version}`. Defaults to none. */
  tag?: string;
  /** The repository's name: of several programs for a platform, the one with this name is chosen. Defaults to none. */
  repository?: string;
  /**
   * Whether macOS and Windows on arm64, which can emulate amd64, may take an amd64 file if nothing else fits. Defaults
   * to false.
   */
  emulation?: boolean;
}

/** What was chosen, and from what: artifact_reasons.ts puts it into words. */
export interface Decision {
  name: string | undefined;
  /** Whether a better file could still be uploaded. */
  isTentative: boolean;
  /** Whether it has no platform in its name, but is the only archive. */
  isLone?: boolean;
  /** How the files compare, unless `artifact=` alone decided. */
  comparison?: Comparison;
}

/** How files fit a platform. */
export interface Comparison {
  target: Platform;
  isEmulated: boolean;
  files: readonly JudgedFile[];
  contest: Contest | undefined;
  /** Whether only the order of the listing could decide, where it must not. */
  isTied: boolean;
  /** The repository's own program for another machine, which no other program replaces. */
  own: JudgedFile | undefined;
}

/** The maximum key length in S3 and Google Cloud Storage. */
export const MAX_NAME_LENGTH = 1024;

export function isPossible(name: string): boolean {
  return name.length <= MAX_NAME_LENGTH;
}

/** Decides on the artifact for a platform. Names longer than any store allows are skipped. */
export function decide(
  names: readonly string[],
  platform: Platform,
  options: ArtifactOptions,
): Decision {
  const possible = names.filter(isPossible);
  const target = normalizePlatform(platform);
  const { artifact = "" } = options;
  if (artifact !== "") return decideNamed(possible, target, artifact, options);
  const comparison = compare(possible, target, options);
  const winner = winnerOf(comparison);
  if (winner !== undefined) {
    const isTentative = winner.fit.isGuess || winner.kind !== "archive";
    return { name: winner.name, isTentative, comparison };
  }
  const lone = findLone(comparison.files, target);
  const isLone = lone !== undefined;
  return { name: lone?.name, isTentative: isLone, isLone, comparison };
}

export function winnerOf({ contest, isTied, own }: Comparison): FittingFile | undefined {
  return isTied || own !== undefined ? undefined : contest?.winner;
}

/** Compares by the platform in the names; of those that a pattern matches, never by the order of the listing. */
function compare(names: readonly string[], target: Platform, options: ArtifactOptions): Comparison {
  const { artifact = "", repository = "", emulation } = options;
  const files = names.map((name) => judgeFile(name, target));
  const contest = compete(files, repository);
  if (contest === undefined && emulation && canEmulate(target)) {
    const emulated = compare(names, { ...target, arch: "amd64" }, options);
    if (winnerOf(emulated) !== undefined) return { ...emulated, isEmulated: true };
  }
  // A name without an architecture counts only if unique.
  const mustBeUnique = artifact !== "" || contest?.winner.fit.isGuess === true;
  return {
    target,
    isEmulated: false,
    files,
    contest,
    isTied: mustBeUnique && contest !== undefined && contest.rivals.length > 0,
    own: contest && findOwn(contest.winner, files, repository),
  };
}

/** Rosetta 2, and Windows on Arm. */
function canEmulate({ os, arch }: Platform): boolean {
  return arch === "arm64" && (os === "darwin" || os === "windows");
}

/**
 * Finds an archive without a platform in its name if it is the only archive and no file names a platform. Tarballs are
 * for Unix: never chosen for Windows, and an `.exe` next to one does not imply a file per platform.
 */
function findLone(files: readonly JudgedFile[], target: Platform): JudgedFile | undefined {
  const archives = files.filter(({ kind, misfit }) => kind === "archive" && misfit !== "kind");
  const [lone] = archives;
  if (lone === undefined || archives.some(({ stem }) => stem !== lone.stem)) return undefined;
  const isZip = archiveKind(lone.name) === "zip";
  if (!isZip && target.os === "windows") return undefined;
  const programs = files.filter(({ what }) => what === undefined);
  if (!programs.every(isPlatformless)) return undefined;
  return isZip && programs.some(({ os }) => os !== undefined) ? undefined : lone;
}

function decideNamed(
  names: readonly string[],
  target: Platform,
  artifact: string,
  options: ArtifactOptions,
): Decision {
  const { tag = "" } = options;
  const exact = exactNames(artifact, tag).find((name) => names.includes(name));
  if (exact !== undefined) return { name: exact, isTentative: false };
  const matches = withoutCompanions(names.filter((name) => matchesArtifact(artifact, name, tag)));
  if (matches.length === 0) return { name: undefined, isTentative: true };
  const comparison = compare(matches, target, options);
  const winner = winnerOf(comparison);
  const [only, ...more] = comparison.files;
  return winner === undefined && only !== undefined && more.length === 0 && isMeant(only, artifact)
    ? { name: only.name, isTentative: true }
    : { name: winner?.name, isTentative: true, comparison };
}

function withoutCompanions(names: readonly string[]): readonly string[] {
  const files = names.filter((name) => fileKind(name).kind !== "companion");
  return files.length === 0 ? names : files;
}

/** The operator chose the parts that a pattern states; the rest of the name must not be for another machine. */
function isMeant({ misfit }: JudgedFile, artifact: string): boolean {
  const stated = readArtifactWords(stemOf(artifact));
  if (misfit === "os") return stated.os !== undefined;
  return misfit !== "arch" || stated.arches.length > 0;
}

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
  return decide([...names], platform, options).name;
}
