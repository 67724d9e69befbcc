import type { FittingFile, JudgedFile } from "./artifact_fit.ts";
import { programWords } from "./artifact_program.ts";

export interface Contest {
  winner: FittingFile;
  /** Other programs, ranked lower only by the order of the listing. */
  rivals: readonly FittingFile[];
  /** Other programs, ranked lower because the winner has the repository's name. */
  others: readonly FittingFile[];
}

export function compete(files: readonly JudgedFile[], repository: string): Contest | undefined {
  const fitting = files.filter((file): file is FittingFile => file.fit !== undefined);
  const [first] = fitting;
  if (first === undefined) return undefined;
  const rank = Math.min(...fitting.map(({ fit }) => fit.rank));
  const equal = fitting.filter(({ fit }) => fit.rank === rank);
  const plain = equal.filter((one) => !equal.some((other) => isFlavourOf(one.stem, other.stem)));
  const distances = plain.map(({ stem }) =>
    plain.length > 1 ? distanceFrom(repository, stem) : 0,
  );
  const nearest = Math.min(...distances);
  const [winner = first, ...near] = plain.filter((_, at) => distances[at] === nearest);
  const far = plain.filter((_, at) => distances[at] !== nearest);
  return { winner, rivals: programsBeside(winner, near), others: programsBeside(winner, far) };
}

/** The same program may be published in several packagings. */
function programsBeside(winner: FittingFile, all: readonly FittingFile[]): FittingFile[] {
  const stems = new Set([winner.stem]);
  return all.filter(({ stem }) => !stems.has(stem) && stems.add(stem));
}

/** Builds that run on more machines; not a flavour of the program. */
const COMPATIBLE = new Set(["baseline", "compat", "portable"]);

/** `app-linux-amd64.full` is a flavour of `app-linux-amd64`. */
function isFlavourOf(one: string, other: string): boolean {
  if (one === other || !one.startsWith(other)) return false;
  const [start, ...added] = one.slice(other.length).split(/[-_.+]/);
  return start === "" && added.some((word) => word !== "" && !COMPATIBLE.has(word));
}

/** 0: the program has the repository's name; 1: it has the beginning or end of that name; 2: it begins with it. */
function distanceFrom(repository: string, stem: string): number {
  const repo = repository.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  if (repo === "") return 0;
  const program = programWords(stem).join("");
  if (program === repo) return 0;
  const isShortened = program.length > 2 && (repo.startsWith(program) || repo.endsWith(program));
  if (isShortened) return 1;
  return program.startsWith(repo) ? 2 : 3;
}

/**
 * If the release has the repository's own program for other machines only, neither another program's bare executable nor
 * a name without an architecture replaces it. An archive does: the first one that fits. Returns that own program.
 */
export function findOwn(
  { kind, stem, fit }: FittingFile,
  files: readonly JudgedFile[],
  repository: string,
): JudgedFile | undefined {
  const isCertain = !fit.isGuess && kind === "archive";
  if (isCertain || distanceFrom(repository, stem) === 0) return undefined;
  return files.find(
    (other) =>
      (other.misfit === "os" || other.misfit === "arch") &&
      distanceFrom(repository, other.stem) === 0,
  );
}
