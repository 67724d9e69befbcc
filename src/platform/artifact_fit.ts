import type { Platform } from "../core/types.ts";
import { type FileKind, fileKind, stemOf } from "./artifact_kind.ts";
import { type ArtifactWords, type NamedArch, readArtifactWords } from "./artifact_words.ts";

/** A file of a release: what its name states, and either how it fits a platform or why it does not. */
export interface JudgedFile extends FileKind {
  name: string;
  stem: string;
  /** Undefined for a file that is certainly not a program. */
  words?: ArtifactWords;
  fit?: Fit;
  /** `unnamed`: its name states too little. */
  misfit?: "kind" | "os" | "arch" | "unnamed";
}

export interface Fit {
  /** Smaller is better. */
  rank: number;
  /** The name has no architecture: it counts only if no other file fits equally well. */
  isGuess: boolean;
  /** An architecture that may not run here. */
  doubtfulArch: NamedArch | undefined;
  isLibcDoubtful: boolean;
}

export type FittingFile = JudgedFile & { fit: Fit };

export function judgeFile(name: string, target: Platform): JudgedFile {
  const kind = fileKind(name);
  if (kind.what !== undefined) return { ...kind, name, stem: "", misfit: "kind" };
  const stem = stemOf(name);
  const words = readArtifactWords(stem, kind.os);
  return { ...kind, name, stem, words, ...judgeWords(words, kind, target) };
}

function judgeWords(
  words: ArtifactWords,
  { kind, os = words.os }: FileKind,
  target: Platform,
): Pick<JudgedFile, "fit" | "misfit"> {
  if (kind === "other" || isByProduct(words, kind)) return { misfit: "kind" };
  if (os === undefined) return { misfit: "unnamed" };
  if (os !== target.os || words.os !== target.os) return { misfit: "os" };
  const isGuess = words.arches.length === 0;
  if (isGuess && !isUsualArch(target)) return { misfit: "unnamed" };
  const [best] = isGuess
    ? [{ arch: undefined, archFit: 0 }]
    : words.arches
        .map((arch) => ({ arch, archFit: fitArch(arch, target) }))
        .sort((a, b) => a.archFit - b.archFit);
  if (best === undefined || best.archFit === NEVER) return { misfit: "arch" };
  const { arch, archFit } = best;
  const libcFit = fitLibc(words.libc, target);
  const rank = [
    isGuess ? 1 : 0,
    words.byProduct === undefined ? 0 : 1,
    archFit >= DOUBTFUL || libcFit >= DOUBTFUL ? 1 : 0,
    kind === "archive" ? 0 : 1,
    words.isDistribution ? 1 : 0,
    libcFit % DOUBTFUL,
    archFit % DOUBTFUL,
  ].reduce((sum, part) => sum * DOUBTFUL + part);
  const doubtfulArch = archFit >= DOUBTFUL ? arch : undefined;
  return { fit: { rank, isGuess, doubtfulArch, isLibcDoubtful: libcFit >= DOUBTFUL } };
}

function isByProduct({ byProduct }: ArtifactWords, kind: FileKind["kind"]): boolean {
  // A "profile" build is slow but still the program.
  if (byProduct === undefined || byProduct.word === "profile") return false;
  return byProduct.isSuffix || (kind !== "archive" && byProduct.isText);
}

/** Whether the words of a name, apart from its suffix, state no platform. */
export function isPlatformless({ stem }: JudgedFile): boolean {
  const { os, arches, libc } = readArtifactWords(stem);
  return stem !== "" && os === undefined && arches.length === 0 && libc === undefined;
}

function isUsualArch({ os, arch }: Platform): boolean {
  return arch === "amd64" || (os === "darwin" && arch === "arm64");
}

// How well the architecture or the C library of a name fits: 0 is best, and from DOUBTFUL on it may
// not run here, so it is a last resort.
const DOUBTFUL = 8;
const NEVER = Number.POSITIVE_INFINITY;

function fitArch(named: NamedArch, target: Platform): number {
  if (named.arch === "universal") return target.os === "darwin" ? 1 : NEVER;
  if (named.arch !== target.arch) return NEVER;
  if (named.arch === "arm") return fitArm(named, variantOf(target));
  if (named.arch === "amd64") return fitAmd64(named.variant ?? 1, variantOf(target) ?? 1);
  return 0;
}

export function variantOf(target: Platform): number | undefined {
  const [, digit] = /^v([1-8])/.exec(target.variant ?? "") ?? [];
  return digit === undefined ? undefined : Number(digit);
}

// An ARM core runs code for older cores, never for newer ones.
function fitArm(named: NamedArch, host: number | undefined): number {
  if (named.variant === undefined) return host === undefined ? 0 : 1;
  if (host === undefined) return 1;
  const doubt = named.isVariantVague ? 0.5 : 0;
  if (named.variant <= host) return host - named.variant + doubt;
  return named.isVariantVague ? DOUBTFUL : NEVER;
}

// https://gitlab.com/x86-psABIs/x86-64-ABI: the levels x86-64-v1 to v4
function fitAmd64(level: number, host: number): number {
  return level <= host ? host - level : DOUBTFUL + level - host;
}

function fitLibc(named: ArtifactWords["libc"], target: Platform): number {
  if (target.os !== "linux") return named === "musl" ? 1 : 0;
  // If the machine's libc is unknown, prefer names without one.
  if (target.libc === undefined) return named === undefined ? 0 : 1;
  if (named === target.libc) return 0;
  // Most programs without a libc in their name are static or built for glibc.
  if (named === "static") return 1;
  if (named === undefined) return target.libc === "glibc" ? 1 : 2;
  // Programs for musl are mostly static; those for glibc are not.
  return named === "musl" ? 2 : DOUBTFUL + 3;
}
