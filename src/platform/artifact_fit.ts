import type { Platform } from "../core/types.ts";
import { type FileKind, fileKind } from "./artifact_kind.ts";
import { type ArtifactWords, type NamedArch, readArtifactWords } from "./artifact_words.ts";

/** Compared lexicographically, smaller is better: guess, by-product, risk, bare executable, distribution, libc, arch. */
export type Rank = readonly number[];

export type Verdict =
  | {
      fits: true;
      rank: Rank;
      /** The name has no architecture: it counts only if no other file fits equally well. */
      isGuess: boolean;
      notes: readonly string[];
    }
  | {
      fits: false;
      reason: string;
      /** Why it does not fit, or that its name states too little. */
      because: "os" | "arch" | "unnamed" | "kind";
    };

export function judgeName(name: string, target: Platform): Verdict {
  const file = fileKind(name);
  if (file.kind === "companion") return { fits: false, reason: file.what, because: "kind" };
  if (file.kind === "other") {
    const reason = file.what ?? "neither an archive nor an executable; artifact= can name any file";
    return { fits: false, reason, because: "kind" };
  }
  const suffixOs = file.kind === "executable" ? file.os : undefined;
  const words = readArtifactWords(file.stem, suffixOs);
  return (
    judgeByProduct(words, file.kind === "archive") ??
    judgeOs(suffixOs ?? words.os, target) ??
    judgeOs(words.os, target) ??
    judgeFit(words, target, file.kind)
  );
}

/** Whether a file may be a program: not a checksum, signature, … or system package. */
export function mayBeProgram(name: string): boolean {
  const file = fileKind(name);
  return file.kind !== "companion" && !("what" in file);
}

/** Whether the words of a name, apart from its suffix, state no platform. */
export function isPlatformless(name: string): boolean {
  const { stem } = fileKind(name);
  const { os, arches, libc } = readArtifactWords(stem);
  return stem !== "" && os === undefined && arches.length === 0 && libc === undefined;
}

function judgeOs(os: string | undefined, target: Platform): Verdict | undefined {
  if (os === undefined) {
    return { fits: false, reason: "its name has no operating system", because: "unnamed" };
  }
  if (os === target.os) return undefined;
  return { fits: false, reason: `for ${os}`, because: "os" };
}

function judgeByProduct({ byProduct }: ArtifactWords, isArchive: boolean): Verdict | undefined {
  // A "profile" build is slow but still the program.
  if (byProduct === undefined || byProduct.word === "profile") return undefined;
  if (!byProduct.isSuffix && (isArchive || !byProduct.isText)) return undefined;
  const reason = `"${byProduct.word}" says that it is a by-product`;
  return { fits: false, reason, because: "kind" };
}

function judgeFit(words: ArtifactWords, target: Platform, kind: FileKind["kind"]): Verdict {
  const isGuess = words.arches.length === 0;
  if (isGuess && !isUsualArch(target)) {
    return { fits: false, reason: "its name has no architecture", because: "unnamed" };
  }
  const [arch] = isGuess
    ? [
        {
          risk: 0,
          rank: 0,
          note: `its name has no architecture, so it is assumed to be for ${target.arch}`,
        },
      ]
    : words.arches
        .map((named) => fitArch(named, target))
        .filter((fit) => fit !== undefined)
        .sort((a, b) => a.risk - b.risk || a.rank - b.rank);
  if (arch === undefined) {
    const reason = `for ${words.arches.map(formatArch).join(" and ")}`;
    return { fits: false, reason, because: "arch" };
  }
  const libc = fitLibc(words.libc, target);
  return {
    fits: true,
    isGuess,
    notes: [arch.note, libc.note].filter((note) => note !== undefined),
    rank: [
      isGuess ? 1 : 0,
      words.byProduct === undefined ? 0 : 1,
      Math.max(arch.risk, libc.risk),
      kind === "archive" ? 0 : 1,
      words.isDistribution ? 1 : 0,
      libc.rank,
      arch.rank,
    ],
  };
}

function isUsualArch({ os, arch }: Platform): boolean {
  return arch === "amd64" || (os === "darwin" && arch === "arm64");
}

/** `risk`: it may not run here, so it is a last resort. */
interface Fit {
  risk: 0 | 1;
  rank: number;
  note?: string;
}

function fitArch(named: NamedArch, target: Platform): Fit | undefined {
  if (named.arch === "universal") return target.os === "darwin" ? { risk: 0, rank: 1 } : undefined;
  if (named.arch !== target.arch) return undefined;
  if (named.arch === "arm") return fitArm(named, variantOf(target));
  if (named.arch === "amd64") return fitAmd64(named.variant ?? 1, variantOf(target) ?? 1);
  return { risk: 0, rank: 0 };
}

function variantOf(target: Platform): number | undefined {
  const [, digit] = /^v([1-8])/.exec(target.variant ?? "") ?? [];
  return digit === undefined ? undefined : Number(digit);
}

// An ARM core runs code for older cores, never for newer ones.
function fitArm(named: NamedArch, host: number | undefined): Fit | undefined {
  if (named.variant === undefined) return { risk: 0, rank: host === undefined ? 0 : 1 };
  if (host === undefined) return { risk: 0, rank: 1 };
  const doubt = named.isVariantVague ? 0.5 : 0;
  if (named.variant <= host) return { risk: 0, rank: host - named.variant + doubt };
  if (!named.isVariantVague) return undefined;
  return { risk: 1, rank: 0, note: `armhf may need v7, this is v${host}` };
}

// https://gitlab.com/x86-psABIs/x86-64-ABI: the levels x86-64-v1 to v4
function fitAmd64(level: number, host: number): Fit {
  if (level <= host) return { risk: 0, rank: host - level };
  return { risk: 1, rank: level - host, note: `it needs x86-64-v${level}` };
}

function fitLibc(named: ArtifactWords["libc"], target: Platform): Fit {
  if (target.os !== "linux") return { risk: 0, rank: named === "musl" ? 1 : 0 };
  // If the machine's libc is unknown, prefer names without one.
  if (target.libc === undefined) return { risk: 0, rank: named === undefined ? 0 : 1 };
  if (named === target.libc) return { risk: 0, rank: 0 };
  if (named === undefined || named === "static") {
    // Most programs without a libc in their name are static or built for glibc.
    return { risk: 0, rank: named === "static" || target.libc === "glibc" ? 1 : 2 };
  }
  // Programs for musl are mostly static; those for glibc are not.
  if (named === "musl") return { risk: 0, rank: 2 };
  return { risk: 1, rank: 3, note: "it is built for glibc and may not run with musl" };
}

function formatArch({ arch, variant }: NamedArch): string {
  return variant === undefined ? arch : `${arch}/v${variant}`;
}
