/**
 * Which file of a release is for this machine.
 *
 * @module
 */
import { type ArtifactWords, type NamedArch, readArtifactWords } from "./artifact_words.ts";
import { formatPlatform, normalizePlatform } from "./platform.ts";
import { shorten } from "./shorten.ts";
import type { ExplainedArtifact, Platform } from "./types.ts";

/** The kinds of archive that dewy extracts. */
export type ArchiveKind = "tar" | "tar.gz" | "tar.bz2" | "tar.xz" | "tar.zst" | "zip";

/** How an artifact is chosen. */
export interface ArtifactOptions {
  /** The exact name of the artifact, whatever kind of file it is. Unset or empty: chosen by platform. */
  artifact?: string;
}

const EXTENSIONS: readonly (readonly [string, ArchiveKind])[] = [
  [".tar.gz", "tar.gz"],
  [".tgz", "tar.gz"],
  [".tar.bz2", "tar.bz2"],
  [".tbz2", "tar.bz2"],
  [".tar.xz", "tar.xz"],
  [".txz", "tar.xz"],
  [".tar.zst", "tar.zst"],
  [".tar", "tar"],
  [".zip", "zip"],
];

/** What files that are no archive are, for people who wonder why they were not taken. */
const OTHER_FILES: readonly (readonly [RegExp, string])[] = [
  [
    /\.(?:sha1|sha256|sha384|sha512|sha256sums?|sha512sums?|md5|b3|blake3)$|checksums?(?:\.txt)?$|sums(?:\.txt)?$/,
    "a checksum file",
  ],
  [/\.(?:sig|asc|minisig|pem|cert|crt|gpg|sigstore|sigstore\.json|bundle)$/, "a signature"],
  [/\.(?:sbom|spdx|cdx|cyclonedx|bom)(?:\.(?:json|xml|txt|rdf))?$/, "an SBOM"],
  [/\.(?:att|intoto\.jsonl|provenance|jsonl)$/, "an attestation"],
  [
    /\.(?:deb|rpm|apk|msi|msix|dmg|pkg|appimage|snap|flatpak|exe\.blockmap|pkg\.tar\.(?:zst|xz))$/,
    "a system package",
  ],
  [/\.(?:pdb|dsym|debug)$/, "debug symbols"],
];

/**
 * The kind of an archive, by its name alone.
 *
 * @param name a file name, in any case.
 * @returns the kind; `undefined` when dewy does not extract such a file.
 */
export function archiveKind(name: string): ArchiveKind | undefined {
  const lower = name.toLowerCase();
  return EXTENSIONS.find(([extension]) => lower.endsWith(extension))?.[1];
}

/** @returns whether dewy extracts a file of this name. */
export function isArchive(name: string): boolean {
  return archiveKind(name) !== undefined;
}

/**
 * Chooses the file of a release that is for a platform: a supported archive whose name has the OS and
 * the architecture. A fitting C library and the exact architecture outrank the listing's order; otherwise
 * the first match is taken.
 *
 * @param names the file names, in the registry's order.
 * @param platform the machine, in Node's or Go's spelling.
 * @param options a name to take instead.
 * @returns the chosen name; `undefined` when none fits.
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
  const artifact = options.artifact ?? "";
  if (artifact !== "") {
    for (const name of names) if (name === artifact) return name;
    return undefined;
  }
  return best([...names], normalizePlatform(platform))?.name;
}

/**
 * Says of every file why it was chosen or not.
 *
 * @param names the file names, in the registry's order.
 * @param platform the machine, in Node's or Go's spelling.
 * @param options a name to take instead.
 * @returns one entry a file, in the same order.
 */
export function explainArtifacts(
  names: Iterable<string>,
  platform: Platform,
  options: ArtifactOptions = {},
): ExplainedArtifact[] {
  const artifact = options.artifact ?? "";
  const list = [...names];
  const explained = artifact === "" ? explainChoice(list, platform) : explainNamed(list, artifact);
  return explained.map((one) => ({ ...one, name: shorten(one.name, MAX_NAME_LENGTH) }));
}

function explainChoice(list: readonly string[], platform: Platform): ExplainedArtifact[] {
  const target = normalizePlatform(platform);
  const winner = best(list, target);
  return list.map((name, at) => {
    const verdict = judge(name, target);
    if ("reason" in verdict) return { name, chosen: false, reason: verdict.reason };
    if (at === winner?.at)
      return { name, chosen: true, reason: `for ${formatPlatform(target)}${verdict.note}` };
    const isWorse = winner !== undefined && compareRanks(verdict.rank, winner.rank) > 0;
    return {
      name,
      chosen: false,
      reason: `fits as well, but ${winner?.name} ${isWorse ? "fits better" : "is listed first"}`,
    };
  });
}

function explainNamed(names: readonly string[], artifact: string): ExplainedArtifact[] {
  const first = names.indexOf(artifact);
  return names.map((name, at) =>
    at === first
      ? { name, chosen: true, reason: `named by artifact=${artifact}` }
      : { name, chosen: false, reason: `not the one named by artifact=${artifact}` },
  );
}

/** Smaller is better, the first difference decides: by-product, risk, C library, architecture. */
type Rank = readonly [number, number, number, number];
type Verdict = { rank: Rank; note: string } | { reason: string };

interface Winner {
  name: string;
  at: number;
  rank: Rank;
}

function best(names: readonly string[], target: Platform): Winner | undefined {
  let winner: Winner | undefined;
  for (const [at, name] of names.entries()) {
    const verdict = judge(name, target);
    if ("reason" in verdict) continue;
    if (winner === undefined || compareRanks(verdict.rank, winner.rank) < 0) {
      winner = { name, at, rank: verdict.rank };
    }
  }
  return winner;
}

function compareRanks(a: Rank, b: Rank): number {
  for (const [nth, value] of a.entries()) {
    const difference = value - (b[nth] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The longest key of an object in S3 or Google Cloud Storage. */
const MAX_NAME_LENGTH = 1024;

function judge(name: string, target: Platform): Verdict {
  if (name.length > MAX_NAME_LENGTH)
    return { reason: `its name is longer than ${MAX_NAME_LENGTH} characters` };
  const lower = name.toLowerCase();
  const extension = EXTENSIONS.find(([suffix]) => lower.endsWith(suffix))?.[0];
  const other = OTHER_FILES.find(([pattern]) => pattern.test(lower))?.[1];
  if (other !== undefined) return { reason: other };
  if (extension === undefined)
    return { reason: "no supported archive; artifact= can name any file" };
  const words = readArtifactWords(name.slice(0, -extension.length));
  return judgeOs(words, target) ?? judgeByProduct(words) ?? judgeFit(words, target);
}

function judgeOs(words: ArtifactWords, target: Platform): Verdict | undefined {
  if (words.os === undefined) return { reason: "its name has no operating system" };
  return words.os === target.os ? undefined : { reason: `for ${words.os}` };
}

function judgeByProduct({ byProduct }: ArtifactWords): Verdict | undefined {
  // A "profile" build is slow, but it is the program.
  if (byProduct === undefined || !byProduct.isSuffix || byProduct.word === "profile")
    return undefined;
  return { reason: `"${byProduct.word}" says that it is a by-product` };
}

function judgeFit(words: ArtifactWords, target: Platform): Verdict {
  if (words.arches.length === 0) return { reason: "its name has no architecture" };
  const fits = words.arches
    .map((arch) => fitArch(arch, target))
    .filter((fit) => fit !== undefined)
    .sort((a, b) => a.risk - b.risk || a.rank - b.rank);
  const [arch] = fits;
  if (arch === undefined) return { reason: `for ${words.arches.map(formatArch).join(" and ")}` };
  const libc = fitLibc(words.libc, target);
  const note = [arch, libc].map((fit) => (fit.note === undefined ? "" : `; ${fit.note}`)).join("");
  const byProduct = words.byProduct === undefined ? 0 : 1;
  return { rank: [byProduct, Math.max(arch.risk, libc.risk), libc.rank, arch.rank], note };
}

/** `risk`: it may not run here, so it is taken only when there is nothing else. */
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

// An ARM core runs what was built for older ones, never for newer ones.
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
  if (target.os !== "linux" || target.libc === undefined) return { risk: 0, rank: 0 };
  if (named === target.libc) return { risk: 0, rank: 0 };
  if (named === undefined || named === "static") {
    // Most programs that say nothing are static or built for glibc.
    return { risk: 0, rank: named === "static" || target.libc === "glibc" ? 1 : 2 };
  }
  // Programs for musl are mostly static; those for glibc are not.
  if (named === "musl") return { risk: 0, rank: 2, note: "it is built for musl" };
  return { risk: 1, rank: 3, note: "it is built for glibc and may not run with musl" };
}

function formatArch({ arch, variant }: NamedArch): string {
  return variant === undefined ? arch : `${arch}/v${variant}`;
}
