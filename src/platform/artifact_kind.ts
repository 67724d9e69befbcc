import { isPlatformWord } from "./artifact_words.ts";

export type ArchiveKind = "tar" | "tar.gz" | "tar.bz2" | "tar.xz" | "tar.zst" | "zip";

export interface FileKind {
  /** `companion`: it describes another file. */
  kind: "archive" | "executable" | "companion" | "package" | "other";
  /** Which companion, package or other file that is certainly not a program. */
  what?: string;
  /** The operating system that `.exe` states. */
  os?: string;
}

const ARCHIVES: ReadonlyMap<string, ArchiveKind> = new Map([
  [".tar.gz", "tar.gz"],
  [".tgz", "tar.gz"],
  [".tar.bz2", "tar.bz2"],
  [".tbz2", "tar.bz2"],
  [".tar.xz", "tar.xz"],
  [".txz", "tar.xz"],
  [".tar.zst", "tar.zst"],
  [".tar", "tar"],
  [".zip", "zip"],
]);

const CHECKSUMS: FileKind = { kind: "companion", what: "a checksum file" };
const SIGNATURE: FileKind = { kind: "companion", what: "a signature" };
const SBOM: FileKind = { kind: "companion", what: "an SBOM" };
const ATTESTATION: FileKind = { kind: "companion", what: "an attestation" };
const PACKAGE: FileKind = { kind: "package", what: "a system package" };
const SYMBOLS: FileKind = { kind: "other", what: "debug symbols" };

const KINDS = readTable([
  [".sha1 .sha256 .sha384 .sha512 .sha256sum .sha512sum .md5 .b3 .blake3", CHECKSUMS],
  [".sig .asc .minisig .pem .cert .crt .gpg .sigstore .sigstore.json .bundle", SIGNATURE],
  ...["", ".json", ".xml", ".txt", ".rdf"].map(
    (end) => [`.sbom${end} .spdx${end} .cdx${end} .cyclonedx${end} .bom${end}`, SBOM] as const,
  ),
  [".att .provenance .jsonl", ATTESTATION],
  [".deb .rpm .apk .appimage .snap .flatpak .pkg.tar.zst .pkg.tar.xz", PACKAGE],
  [".dmg .pkg .msi .msix .exe.blockmap", PACKAGE],
  [".pdb .dsym .debug", SYMBOLS],
  [".exe", { kind: "executable", os: "windows" }],
]);

function readTable(
  table: readonly (readonly [endings: string, kind: FileKind])[],
): ReadonlyMap<string, FileKind> {
  const kinds = new Map<string, FileKind>();
  for (const [endings, kind] of table) {
    for (const ending of endings.split(" ")) kinds.set(ending, kind);
  }
  return kinds;
}

/** Returns the longest end of a name, from one of its dots on, that the table has. */
function endingIn(table: ReadonlyMap<string, unknown>, name: string): string {
  const lower = name.toLowerCase();
  let dot = lower.indexOf(".");
  while (dot >= 0 && !table.has(lower.slice(dot))) dot = lower.indexOf(".", dot + 1);
  return dot < 0 ? "" : lower.slice(dot);
}

export function archiveKind(name: string): ArchiveKind | undefined {
  return ARCHIVES.get(endingIn(ARCHIVES, name));
}

export function isArchive(name: string): boolean {
  return archiveKind(name) !== undefined;
}

/** Whether a file lists the checksums of all files. */
export function isChecksumList(name: string): boolean {
  return /checksums?(?:_sha[0-9]+)?(?:\.txt)?$|sums(?:\.txt)?$|^sha[0-9]+\.?sum(?:\.txt)?$/i.test(
    name,
  );
}

export function fileKind(name: string): FileKind {
  const lower = name.toLowerCase();
  const base = lower.endsWith(".txt") ? lower.slice(0, -".txt".length) : lower;
  if (base.endsWith("checksum") || base.endsWith("sums")) return CHECKSUMS;
  const known = KINDS.get(endingIn(KINDS, name));
  if (known !== undefined) return known;
  if (isArchive(name)) return { kind: "archive" };
  return { kind: suffixOf(name) === "" ? "executable" : "other" };
}

/**
 * Returns the suffix that states the type of a file: `.tar.gz`, `.exe`, `.json`. The part after the last dot is not a
 * suffix if it continues a version or a platform: `app_1.6.5_linux_amd64`, `app.linux.amd64`.
 */
export function suffixOf(name: string): string {
  const archive = endingIn(ARCHIVES, name);
  if (archive !== "") return name.slice(-archive.length);
  const dot = name.lastIndexOf(".");
  if (dot < 0) return "";
  if (dot === 0) return name;
  const [word = ""] = name
    .slice(dot + 1)
    .toLowerCase()
    .split(/[^a-z0-9]/);
  return isVersionPart(word) || isPlatformWord(word) ? "" : name.slice(dot);
}

/** A name without its suffix. */
export function stemOf(name: string): string {
  return name.slice(0, name.length - suffixOf(name).length);
}

function isVersionPart(word: string): boolean {
  return /^[0-9]+(?:(?:a|b|m|p|rc|pre|dev|alpha|beta)[0-9]*)?$/.test(word);
}
