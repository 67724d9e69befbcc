import type { Rank, Verdict } from "./artifact_fit.ts";
import { fileKind, isArchive } from "./artifact_kind.ts";
import { programWords } from "./artifact_program.ts";

export interface Candidate {
  name: string;
  at: number;
  stem: string;
  verdict: Extract<Verdict, { fits: true }>;
}

export interface Contest {
  winner: Candidate;
  /** Other programs, ranked lower only by the order of the listing. */
  rivals: readonly Candidate[];
  /** Other programs, ranked lower because the winner has the repository's name. */
  others: readonly Candidate[];
}

export function compete(
  names: readonly string[],
  verdicts: readonly Verdict[],
  repository = "",
): Contest | undefined {
  const fitting = names.flatMap((name, at): Candidate[] => {
    const verdict = verdicts[at];
    if (!verdict?.fits) return [];
    const { stem } = fileKind(name);
    return [{ name, at, stem, verdict }];
  });
  const [first, ...rest] = fitting;
  if (first === undefined) return undefined;
  const rank = rest.reduce(
    (least, { verdict }) => (compareRanks(verdict.rank, least) < 0 ? verdict.rank : least),
    first.verdict.rank,
  );
  const equal = fitting.filter(({ verdict }) => compareRanks(verdict.rank, rank) === 0);
  const plain = equal.filter((one) => !equal.some((other) => isFlavourOf(one, other)));
  const distance = (one: Candidate): number => distanceFrom(repository, one.stem);
  const nearest = Math.min(...plain.map(distance));
  const [winner = first, ...near] = plain.filter((one) => distance(one) === nearest);
  return {
    winner,
    rivals: programsBeside(winner, near),
    others: programsBeside(winner, plain).filter((one) => distance(one) > nearest),
  };
}

/** The same program may be published in several packagings. */
function programsBeside(winner: Candidate, all: readonly Candidate[]): Candidate[] {
  const stems = new Set([winner.stem]);
  return all.filter(({ stem }) => !stems.has(stem) && stems.add(stem));
}

function compareRanks(a: Rank, b: Rank): number {
  for (const [nth, value] of a.entries()) {
    const difference = value - (b[nth] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Builds that run on more machines; not a flavour of the program. */
const COMPATIBLE = new Set(["baseline", "compat", "portable"]);

/** `app-linux-amd64.full` is a flavour of `app-linux-amd64`. */
function isFlavourOf({ stem: one }: Candidate, { stem: other }: Candidate): boolean {
  const added = one.slice(other.length);
  if (!one.startsWith(other) || !/^[-_.+]/.test(added)) return false;
  return added.split(/[-_.+]/).some((word) => word !== "" && !COMPATIBLE.has(word));
}

/** 0: the program has the repository's name; 1: it has the beginning or end of that name; 2: it begins with it. */
function distanceFrom(repository: string, stem: string): number {
  const repo = repository.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const program = programWords(stem).join("");
  if (repo === "" || program === repo) return 0;
  const isShortened = program.length > 2 && (repo.startsWith(program) || repo.endsWith(program));
  if (isShortened) return 1;
  return program.startsWith(repo) ? 2 : 3;
}

/** Names without an architecture count only if unique. */
export function describeTie({ winner, rivals }: Contest, isStrict: boolean): string | undefined {
  if (rivals.length === 0 || !(isStrict || winner.verdict.isGuess)) return undefined;
  const tied = [winner, ...rivals].map(({ name }) => name);
  const remedy = isStrict ? "make it more specific" : "set artifact= to one of them";
  return `${tied.length} files fit equally well (${listNames(tied)}); ${remedy}`;
}

/**
 * If the release has the repository's own program for other machines only, neither another program's bare executable nor
 * a name without an architecture replaces it. An archive does: the first one that fits.
 */
export function describeSubstitute(
  { name, stem, verdict }: Candidate,
  names: readonly string[],
  verdicts: readonly Verdict[],
  repository = "",
): string | undefined {
  const isCertain = !verdict.isGuess && isArchive(name);
  if (isCertain || distanceFrom(repository, stem) === 0) return undefined;
  const own = names.find((other, at) => {
    const judged = verdicts[at];
    const isElsewhere = judged?.fits === false && ["os", "arch"].includes(judged.because);
    return isElsewhere && distanceFrom(repository, fileKind(other).stem) === 0;
  });
  if (own === undefined) return undefined;
  return `${name} is a different program from ${own}; set artifact= to use it`;
}

export function notesOn({ winner, rivals, others }: Contest): string[] {
  const { name, verdict } = winner;
  const fitting = [winner, ...rivals, ...others].map((one) => one.name);
  if (fitting.length === 1) return [...verdict.notes];
  const why = rivals.length > 0 ? "it is listed first" : "it is named after the repository";
  return [
    ...verdict.notes,
    `${fitting.length} files fit (${listNames(fitting)}); ${name} was chosen because ${why}, set artifact= to choose another`,
  ];
}

const SHOWN = 5;

export function listNames(names: readonly string[]): string {
  const more = names.length - SHOWN;
  return names.slice(0, SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
