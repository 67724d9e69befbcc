import { shorten } from "../core/text.ts";
import type { ExplainedArtifact, Platform } from "../core/types.ts";
import {
  type Candidate,
  type Contest,
  compete,
  describeSubstitute,
  describeTie,
  listNames,
  notesOn,
} from "./artifact_contest.ts";
import { isPlatformless, judgeName, mayBeProgram, type Verdict } from "./artifact_fit.ts";
import { archiveKind, fileKind, isArchive } from "./artifact_kind.ts";
import { exactNames, matchesArtifact } from "./artifact_pattern.ts";
import { readArtifactWords } from "./artifact_words.ts";
import { formatPlatform, normalizePlatform } from "./platform.ts";

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

export interface ArtifactChoice {
  name: string | undefined;
  notes: readonly string[];
  /** Whether `artifact=` is exactly this name. */
  isNamed?: boolean;
  /** Whether a better file could still be uploaded. */
  isTentative?: boolean;
  /** Why a plausible file was skipped, and what to do. */
  problem: string | undefined;
  explained: readonly ExplainedArtifact[];
}

/** The maximum key length in S3 and Google Cloud Storage. */
const MAX_NAME_LENGTH = 1024;

/** Chooses the artifact for a platform. Names longer than any store allows are skipped. */
export function chooseArtifact(
  names: Iterable<string>,
  platform: Platform,
  options: ArtifactOptions = {},
): ArtifactChoice {
  const all = [...names];
  const choice = choose(
    all.filter((name) => name.length <= MAX_NAME_LENGTH),
    platform,
    options,
  );
  const explained = choice.explained.values();
  const reason = `its name is longer than ${MAX_NAME_LENGTH} characters`;
  return {
    ...choice,
    explained: all.map((name) => {
      const tooLong = { name: shorten(name, MAX_NAME_LENGTH), chosen: false, reason };
      return name.length > MAX_NAME_LENGTH ? tooLong : (explained.next().value ?? tooLong);
    }),
  };
}

function choose(
  list: readonly string[],
  platform: Platform,
  options: ArtifactOptions,
): ArtifactChoice {
  const target = normalizePlatform(platform);
  const { artifact = "" } = options;
  if (artifact !== "") return chooseNamed(list, target, artifact, options);
  const choice = chooseFitting(list, target, options);
  if (choice.name !== undefined) return choice;
  return chooseLone(list, target, choice) ?? choice;
}

/** Chooses by the platform in the names; with `isStrict`, never by the order of the listing. */
function chooseFitting(
  names: readonly string[],
  target: Platform,
  options: ArtifactOptions,
  isStrict = false,
): ArtifactChoice {
  const verdicts = names.map((name) => judgeName(name, target));
  const contest = compete(names, verdicts, options.repository);
  if (contest === undefined && options.emulation && canEmulate(target)) {
    const emulated = chooseFitting(names, { ...target, arch: "amd64" }, options, isStrict);
    const note = "built for amd64, to run under emulation";
    if (emulated.name !== undefined) return { ...emulated, notes: [note, ...emulated.notes] };
  }
  const problem =
    contest === undefined
      ? describeUnnamed(names, verdicts)
      : (describeTie(contest, isStrict) ??
        describeSubstitute(contest.winner, names, verdicts, options.repository));
  const winner = problem === undefined ? contest?.winner : undefined;
  return {
    name: winner?.name,
    isTentative: winner !== undefined && isTentative(winner),
    notes: winner === undefined || contest === undefined ? [] : notesOn(contest),
    problem,
    explained: names.map((name, at) => {
      const verdict = verdicts[at];
      const isChosen = at === winner?.at;
      if (isChosen) {
        const reasons = [`for ${formatPlatform(target)}`, ...(verdict?.fits ? verdict.notes : [])];
        return { name, chosen: true, reason: reasons.join("; ") };
      }
      const reason =
        verdict?.fits && contest !== undefined
          ? explainLoser(verdict, at, contest, problem)
          : reasonOf(verdict);
      return { name, chosen: false, reason };
    }),
  };
}

function isTentative({ name, verdict }: Candidate): boolean {
  return verdict.isGuess || !isArchive(name);
}

function reasonOf(verdict: Verdict | undefined): string {
  return verdict === undefined || verdict.fits ? "" : verdict.reason;
}

function explainLoser(
  { isGuess }: Extract<Verdict, { fits: true }>,
  at: number,
  { winner, rivals, others }: Contest,
  problem: string | undefined,
): string {
  const has = (list: readonly Candidate[]): boolean => list.some((one) => one.at === at);
  if (problem !== undefined && has([winner, ...rivals])) return problem;
  if (isGuess) return "its name has no architecture";
  const why = has(rivals)
    ? "is listed first"
    : has(others)
      ? "is named after the repository"
      : "fits better";
  return `fits as well, but ${winner.name} ${why}`;
}

/** A file that would fit if its name stated more; archives first. */
function describeUnnamed(
  names: readonly string[],
  verdicts: readonly Verdict[],
): string | undefined {
  const unnamed = names.filter((_, at) => {
    const verdict = verdicts[at];
    return verdict?.fits === false && verdict.because === "unnamed";
  });
  const name = unnamed.find(isArchive) ?? unnamed[0];
  if (name === undefined) return undefined;
  return `${name}: ${reasonOf(verdicts[names.indexOf(name)])}; set artifact= to use it`;
}

/**
 * Chooses an archive without a platform in its name if it is the only archive and no file names a platform. Tarballs are
 * for Unix: never chosen for Windows, and an `.exe` next to one does not imply a file per platform.
 */
function chooseLone(
  names: readonly string[],
  target: Platform,
  choice: ArtifactChoice,
): ArtifactChoice | undefined {
  const archives = names.filter((name) => isArchive(name) && !isByProduct(name, target));
  const [lone] = archives;
  const isLone = new Set(archives.map((name) => fileKind(name).stem)).size === 1;
  if (lone === undefined || !isLone) return undefined;
  const isZip = archiveKind(lone) === "zip";
  if (!isZip && target.os === "windows") return undefined;
  const programs = names.filter(mayBeProgram);
  if (!programs.every(isPlatformless)) return undefined;
  if (isZip && programs.some((name) => "os" in fileKind(name))) return undefined;
  const note = "its name has no platform, but it is the only archive of the release";
  const at = names.indexOf(lone);
  return {
    name: lone,
    isTentative: true,
    notes: [note],
    problem: undefined,
    explained: choice.explained.map((one, nth) =>
      nth === at ? { ...one, chosen: true, reason: note } : one,
    ),
  };
}

function isByProduct(name: string, target: Platform): boolean {
  const verdict = judgeName(name, target);
  return !verdict.fits && verdict.because === "kind";
}

/** Rosetta 2, and Windows on Arm. */
function canEmulate({ os, arch }: Platform): boolean {
  return arch === "arm64" && (os === "darwin" || os === "windows");
}

function chooseNamed(
  names: readonly string[],
  target: Platform,
  artifact: string,
  options: ArtifactOptions,
): ArtifactChoice {
  const { tag = "" } = options;
  const exact = exactNames(artifact, tag).find((name) => names.includes(name));
  const named = names.filter((name) => name === exact || matchesArtifact(artifact, name, tag));
  const matches = exact === undefined ? withoutCompanions(named) : [exact];
  const [only] = matches;
  const choice =
    matches.length > 1
      ? chooseAmong(matches, target, options)
      : only === undefined || only === exact
        ? { name: only, notes: [], problem: undefined, explained: [] }
        : chooseOnly(only, target, artifact, options);
  const at = choice.name === undefined ? -1 : names.indexOf(choice.name);
  return {
    ...choice,
    isNamed: choice.name === artifact,
    isTentative: exact === undefined,
    explained: names.map((name, nth) => {
      if (nth === at) return { name, chosen: true, reason: `named by artifact=${artifact}` };
      const reason = choice.explained.find((one) => one.name === name)?.reason;
      return { name, chosen: false, reason: reason ?? `not the one named by artifact=${artifact}` };
    }),
  };
}

function withoutCompanions(names: readonly string[]): readonly string[] {
  const files = names.filter((name) => fileKind(name).kind !== "companion");
  return files.length === 0 ? names : files;
}

/** The operator chose the parts that a pattern states; the rest of the name must fit this machine. */
function chooseOnly(
  name: string,
  target: Platform,
  artifact: string,
  options: ArtifactOptions,
): ArtifactChoice {
  const choice = chooseFitting([name], target, options);
  if (choice.name !== undefined) return choice;
  const verdict = judgeName(name, target);
  const stated = readArtifactWords(fileKind(artifact).stem);
  const isContradicted =
    !verdict.fits &&
    ((verdict.because === "os" && stated.os === undefined) ||
      (verdict.because === "arch" && stated.arches.length === 0));
  return isContradicted
    ? { ...choice, problem: `it matches only ${name}, which is ${verdict.reason}` }
    : { name, notes: [], problem: undefined, explained: [] };
}

/** Of several matches, the platform decides, never the order of the listing. */
function chooseAmong(
  names: readonly string[],
  target: Platform,
  options: ArtifactOptions,
): ArtifactChoice {
  const choice = chooseFitting(names, target, options, true);
  const verdicts = names.map((name) => judgeName(name, target));
  if (choice.name !== undefined || verdicts.some(({ fits }) => fits)) return choice;
  const found = listNames(names);
  const isForOthers = verdicts.some((one) => !one.fits && /^(?:os|arch)$/.test(one.because));
  const problem = isForOthers
    ? `none of the files that it matches is for ${formatPlatform(target)} (${found})`
    : `it matches ${names.length} files (${found}); make it more specific`;
  return { ...choice, problem };
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
  return chooseArtifact(names, platform, options).name;
}

export function explainArtifacts(
  names: Iterable<string>,
  platform: Platform,
  options: ArtifactOptions = {},
): readonly ExplainedArtifact[] {
  return chooseArtifact(names, platform, options).explained;
}
