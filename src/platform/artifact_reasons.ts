import { shorten } from "../core/text.ts";
import type { ExplainedArtifact, Platform } from "../core/types.ts";
import {
  type ArtifactOptions,
  type Comparison,
  type Decision,
  decide,
  isPossible,
  MAX_NAME_LENGTH,
  winnerOf,
} from "./artifact_choice.ts";
import type { Contest } from "./artifact_contest.ts";
import { type FittingFile, type JudgedFile, variantOf } from "./artifact_fit.ts";
import type { NamedArch } from "./artifact_words.ts";
import { formatPlatform } from "./platform.ts";

export interface ArtifactChoice {
  name: string | undefined;
  notes: readonly string[];
  /** Whether `artifact=` is exactly this name. */
  isNamed: boolean;
  /** Whether a better file could still be uploaded. */
  isTentative: boolean;
  /** Why a plausible file was skipped, and what to do. */
  problem: string | undefined;
  explained: readonly ExplainedArtifact[];
}

const LONE = "its name has no platform, but it is the only archive of the release";

/** Chooses the artifact for a platform, and explains the choice. */
export function chooseArtifact(
  names: Iterable<string>,
  platform: Platform,
  options: ArtifactOptions = {},
): ArtifactChoice {
  const all = [...names];
  const { artifact = "" } = options;
  const decision = decide(all, platform, options);
  const { name, isTentative } = decision;
  return {
    name,
    isTentative,
    isNamed: name !== undefined && name === artifact,
    notes: notesOn(decision),
    problem: problemOf(decision, artifact),
    // Only explanations need them.
    get explained() {
      return explain(all, decision, artifact);
    },
  };
}

function notesOn({ isLone, comparison }: Decision): string[] {
  if (isLone) return [LONE];
  const winner = comparison && winnerOf(comparison);
  if (comparison === undefined || winner === undefined) return [];
  const { contest, target, isEmulated } = comparison;
  const notes = doubtsAbout(winner, target);
  if (isEmulated) notes.unshift("built for amd64, to run under emulation");
  const { rivals = [], others = [] } = contest ?? {};
  const fitting = [winner, ...rivals, ...others];
  if (fitting.length === 1) return notes;
  const why = rivals.length > 0 ? "it is listed first" : "it is named after the repository";
  return [
    ...notes,
    `${fitting.length} files fit (${listNames(fitting)}); ${winner.name} was chosen because ${why}, set artifact= to choose another`,
  ];
}

function doubtsAbout({ fit }: FittingFile, target: Platform): string[] {
  const { isGuess, doubtfulArch, isLibcDoubtful } = fit;
  const doubts: string[] = [];
  if (isGuess) {
    doubts.push(`its name has no architecture, so it is assumed to be for ${target.arch}`);
  }
  if (doubtfulArch?.arch === "arm") {
    doubts.push(`armhf may need v7, this is v${variantOf(target)}`);
  } else if (doubtfulArch !== undefined) {
    doubts.push(`it needs x86-64-v${doubtfulArch.variant}`);
  }
  if (isLibcDoubtful) doubts.push("it is built for glibc and may not run with musl");
  return doubts;
}

function problemOf({ name, comparison }: Decision, artifact: string): string | undefined {
  if (name !== undefined || comparison === undefined) return undefined;
  const { contest } = comparison;
  if (contest !== undefined) return undecided(contest, comparison, artifact);
  return artifact === "" ? describeUnnamed(comparison) : describeMismatch(comparison);
}

/** Why none of the files that fit was chosen. */
function undecided(
  { winner, rivals }: Contest,
  { isTied, own }: Comparison,
  artifact: string,
): string | undefined {
  if (isTied) {
    const tied = [winner, ...rivals];
    const remedy = artifact === "" ? "set artifact= to one of them" : "make it more specific";
    return `${tied.length} files fit equally well (${listNames(tied)}); ${remedy}`;
  }
  if (own === undefined) return undefined;
  return `${winner.name} is a different program from ${own.name}; set artifact= to use it`;
}

/** A file that would fit if its name stated more; archives first. */
function describeUnnamed({ files, target }: Comparison): string | undefined {
  const unnamed = files.filter(({ misfit }) => misfit === "unnamed");
  const file = unnamed.find(({ kind }) => kind === "archive") ?? unnamed[0];
  return file && `${file.name}: ${describeMisfit(file, target)}; set artifact= to use it`;
}

/** Why none of the files that a pattern matches fits. */
function describeMismatch({ files, target }: Comparison): string {
  const [only, ...more] = files;
  if (only !== undefined && more.length === 0) {
    return `it matches only ${only.name}, which is ${describeMisfit(only, target)}`;
  }
  const isForOthers = files.some(({ misfit }) => misfit === "os" || misfit === "arch");
  return isForOthers
    ? `none of the files that it matches is for ${formatPlatform(target)} (${listNames(files)})`
    : `it matches ${files.length} files (${listNames(files)}); make it more specific`;
}

function explain(
  all: readonly string[],
  decision: Decision,
  artifact: string,
): ExplainedArtifact[] {
  const { name: chosenName, comparison } = decision;
  const possible = all.filter(isPossible);
  const chosenAt = chosenName === undefined ? -1 : possible.indexOf(chosenName);
  let at = -1;
  return all.map((name) => {
    if (!isPossible(name)) {
      const reason = `its name is longer than ${MAX_NAME_LENGTH} characters`;
      return { name: shorten(name, MAX_NAME_LENGTH), chosen: false, reason };
    }
    at += 1;
    const chosen = at === chosenAt;
    if (chosen && artifact !== "") return { name, chosen, reason: `named by artifact=${artifact}` };
    if (chosen && decision.isLone) return { name, chosen, reason: LONE };
    const file =
      artifact === ""
        ? comparison?.files[at]
        : comparison?.files.find((matching) => matching.name === name);
    if (comparison === undefined || file === undefined) {
      return { name, chosen, reason: `not the one named by artifact=${artifact}` };
    }
    return { name, chosen, reason: explainFile(file, comparison, artifact) };
  });
}

function explainFile(file: JudgedFile, comparison: Comparison, artifact: string): string {
  const { contest, target } = comparison;
  if (file.fit === undefined || contest === undefined) return describeMisfit(file, target);
  const { winner, rivals, others } = contest;
  const isOneOf = (list: readonly JudgedFile[]): boolean => list.includes(file);
  if (file === winnerOf(comparison)) {
    return [`for ${formatPlatform(target)}`, ...doubtsAbout(winner, target)].join("; ");
  }
  const problem = undecided(contest, comparison, artifact);
  if (problem !== undefined && isOneOf([winner, ...rivals])) return problem;
  if (file.fit.isGuess) return "its name has no architecture";
  const why = isOneOf(rivals)
    ? "is listed first"
    : isOneOf(others)
      ? "is named after the repository"
      : "fits better";
  return `fits as well, but ${winner.name} ${why}`;
}

function describeMisfit({ kind, what, os, words, misfit }: JudgedFile, target: Platform): string {
  if (what !== undefined) return what;
  if (misfit === "os") return `for ${os === undefined || os === target.os ? words?.os : os}`;
  if (misfit === "arch") return `for ${words?.arches.map(formatArch).join(" and ")}`;
  if (misfit === "unnamed") {
    return `its name has no ${words?.os === undefined ? "operating system" : "architecture"}`;
  }
  return kind === "other" || words?.byProduct === undefined
    ? "neither an archive nor an executable; artifact= can name any file"
    : `"${words.byProduct.word}" says that it is a by-product`;
}

function formatArch({ arch, variant }: NamedArch): string {
  return variant === undefined ? arch : `${arch}/v${variant}`;
}

const SHOWN = 5;

function listNames(files: readonly JudgedFile[]): string {
  const names = files.slice(0, SHOWN).map(({ name }) => name);
  const more = files.length - SHOWN;
  return names.join(", ") + (more > 0 ? ` and ${more} more` : "");
}
