import { isPlatformWord } from "./artifact_words.ts";

export type ArchiveKind = "tar" | "tar.gz" | "tar.bz2" | "tar.xz" | "tar.zst" | "zip";

export type FileKind =
  | { kind: "archive"; stem: string }
  /** A bare executable. `.exe` states the operating system. */
  | { kind: "executable"; stem: string; os?: "windows" }
  /** A companion of other files: checksum, signature, SBOM or attestation. */
  | { kind: "companion"; what: string; stem: string }
  | { kind: "other"; what?: string; stem: string; os?: string };

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

const COMPANIONS: readonly (readonly [RegExp, string])[] = [
  [
    /\.(?:sha1|sha256|sha384|sha512|sha256sums?|sha512sums?|md5|b3|blake3)$|checksums?(?:\.txt)?$|sums(?:\.txt)?$/,
    "a checksum file",
  ],
  [/\.(?:sig|asc|minisig|pem|cert|crt|gpg|sigstore|sigstore\.json|bundle)$/, "a signature"],
  [/\.(?:sbom|spdx|cdx|cyclonedx|bom)(?:\.(?:json|xml|txt|rdf))?$/, "an SBOM"],
  [/\.(?:att|intoto\.jsonl|provenance|jsonl)$/, "an attestation"],
];

/** Package formats, and the operating system they are for. */
const PACKAGES: readonly (readonly [RegExp, string])[] = [
  [/\.(?:deb|rpm|apk|appimage|snap|flatpak|pkg\.tar\.(?:zst|xz))$/, "linux"],
  [/\.(?:dmg|pkg)$/, "darwin"],
  [/\.(?:msi|msix|exe\.blockmap)$/, "windows"],
];

export function archiveKind(name: string): ArchiveKind | undefined {
  return findExtension(name)?.[1];
}

export function isArchive(name: string): boolean {
  return archiveKind(name) !== undefined;
}

function findExtension(name: string): readonly [string, ArchiveKind] | undefined {
  const lower = name.toLowerCase();
  return EXTENSIONS.find(([extension]) => lower.endsWith(extension));
}

/** Whether a file lists the checksums of all files. */
export function isChecksumList(name: string): boolean {
  return /checksums?(?:_sha[0-9]+)?(?:\.txt)?$|sums(?:\.txt)?$|^sha[0-9]+\.?sum(?:\.txt)?$/i.test(
    name,
  );
}

export function fileKind(name: string): FileKind {
  const lower = name.toLowerCase();
  const suffix = suffixOf(name);
  const stem = name.slice(0, name.length - suffix.length);
  const companion = COMPANIONS.find(([pattern]) => pattern.test(lower));
  if (companion !== undefined) return { kind: "companion", what: companion[1], stem };
  const system = PACKAGES.find(([pattern]) => pattern.test(lower))?.[1];
  if (system !== undefined) return { kind: "other", what: "a system package", stem, os: system };
  if (/\.(?:pdb|dsym|debug)$/.test(lower)) return { kind: "other", what: "debug symbols", stem };
  if (isArchive(name)) return { kind: "archive", stem };
  if (/^\.exe$/i.test(suffix)) return { kind: "executable", stem, os: "windows" };
  return suffix === "" ? { kind: "executable", stem } : { kind: "other", stem };
}

/**
 * Returns the suffix that states the type of a file: `.tar.gz`, `.exe`, `.json`. The part after the last dot is not a
 * suffix if it continues a version or a platform: `app_1.6.5_linux_amd64`, `app.linux.amd64`.
 */
export function suffixOf(name: string): string {
  const archive = findExtension(name);
  if (archive !== undefined) return name.slice(-archive[0].length);
  const dot = name.lastIndexOf(".");
  if (dot < 0) return "";
  if (dot === 0) return name;
  const [word = ""] = name
    .slice(dot + 1)
    .toLowerCase()
    .split(/[^a-z0-9]/);
  return isVersionPart(word) || isPlatformWord(word) ? "" : name.slice(dot);
}

function isVersionPart(word: string): boolean {
  return /^[0-9]+(?:(?:a|b|m|p|rc|pre|dev|alpha|beta)[0-9]*)?$/.test(word);
}
