import { fileKind, stemOf, suffixOf } from "./artifact_kind.ts";
import { lastWith, readWords, type Word } from "./artifact_words.ts";

// 1.2, v1.2.3, 1.2.3-rc.1, 1.0.0-M1, v2, 20260801
const VERSION =
  /(?<![a-z0-9.])(?:v?[0-9]+(?:\.[0-9]+)+|v[0-9]+|20[0-9]{6})(?:[-._]?(?:m|a|b|rc|pre|dev|alpha|beta|snapshot)(?:[-.]?[0-9]+)?)?(?![a-z0-9])/gi;

/** Returns the program's words in a name without its suffix: those before the platform, or else those after it. */
export function programWords(stem: string): readonly string[] {
  const words = readWords(stem.replaceAll(VERSION, " "));
  const isPlatform = platformWords(words, false);
  const kept = words.map((word, at) => (isPlatform[at] ? (word.prefix ?? "") : word.text));
  const before = kept.slice(0, isPlatform.lastIndexOf(true) + 1).filter((text) => text !== "");
  return before.length > 0 ? before : kept.filter((text) => text !== "");
}

/**
 * Returns the name of a bare file in a release directory: the artifact's name without version and platform, so that it
 * is the same in every version.
 */
export function placedName(name: string, tag: string): string {
  const base = name.slice(name.lastIndexOf("/") + 1);
  const stem = withoutVersion(stemOf(base), tag);
  const words = readWords(stem);
  const { kind, os } = fileKind(base);
  const isPlatform = platformWords(words, kind === "package" || os !== undefined);
  const kept = words.map((word, at) => (isPlatform[at] ? (word.prefix ?? "") : word.text));
  const placed = joinAsIn(stem, kept) || trimSeparators(stem);
  return placed === "" ? base : `${placed}${suffixOf(base)}`;
}

/**
 * Marks the words that state the platform: the last OS, the last architecture, and words next to them. A program can be
 * named after another platform, as in `windows-exporter_linux_amd64`.
 */
function platformWords(words: readonly Word[], isOsKnown: boolean): boolean[] {
  const marked = words.map(() => false);
  const osAt = Math.max(lastWith("os", words), lastWith("distribution", words));
  const archAt = Math.max(lastWith("arch", words), lastWith("bits", words));
  const isNamedAfterOs = isOsKnown && osAt === 0 && words.length > 1 && !isBeside(words[1]);
  for (const at of [isNamedAfterOs ? -1 : osAt, archAt]) {
    if (at < 0) continue;
    marked[at] = true;
    for (let left = at - 1; isBeside(words[left]); left--) marked[left] = true;
    for (let right = at + 1; isBeside(words[right]) || isNumber(words[right]); right++) {
      marked[right] = true;
    }
  }
  return marked;
}

const BESIDE = new Set(["universal", "universal2", "all", "fat", "intel", "amd", "silicon"]);

function isBeside(word: Word | undefined): boolean {
  if (word === undefined) return false;
  const { text, os, arch, bits, libc, vendor, distribution } = word;
  return (os ?? arch ?? bits ?? libc ?? vendor ?? distribution) !== undefined || BESIDE.has(text);
}

function isNumber(word: Word | undefined): boolean {
  return word !== undefined && /^[0-9]+$/.test(word.text);
}

// A full or abbreviated Git commit hash
const COMMIT = /(?<![a-z0-9])g?(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{7,40}(?![a-z0-9])/gi;

/** Removes the release's version (or else anything like a version) and a commit hash from a name. */
function withoutVersion(name: string, tag: string): string {
  const stem = name.replaceAll(COMMIT, " ");
  const version = tag.replace(/^v/, "");
  for (const text of [version, version.replace(/\+.*$/s, "")]) {
    const parts = text.split(/[^A-Za-z0-9]+/).filter((part) => part !== "");
    if (parts.length === 0) continue;
    const [before, after] =
      parts.length > 1 ? ["(?<![0-9.])", "(?![0-9])"] : ["(?<![a-z0-9.])", "(?![a-z0-9])"];
    const pattern = new RegExp(`${before}v?${parts.join("[^a-z0-9]?")}${after}`, "i");
    if (pattern.test(stem)) return stem.replace(pattern, " ");
  }
  return stem.replaceAll(VERSION, " ");
}

function joinAsIn(name: string, words: readonly string[]): string {
  const lower = name.toLowerCase();
  let joined = "";
  let end = 0;
  for (const word of words) {
    const at = word === "" ? -1 : lower.indexOf(word, end);
    if (at < 0) continue;
    const [separator = "-"] = /[-_.+]/.exec(name.slice(end, at)) ?? [];
    joined += `${joined === "" ? "" : separator}${name.slice(at, at + word.length)}`;
    end = at + word.length;
  }
  return joined;
}

function trimSeparators(stem: string): string {
  return stem.replaceAll(/^[\s\-_.+]+|[\s\-_.+]+$/g, "").replaceAll(/[\s\-_.+]*\s[\s\-_.+]*/g, "-");
}
