/**
 * Reads the platform in the name of a release file, word by word and never by substring: `arm` is not found in `charm`,
 * nor `win` in `darwin`.
 *
 * @module
 */
import { ARCH_NAMES, OS_NAMES } from "./platform.ts";

export interface NamedArch {
  /** In Go's spelling; `universal` runs on every Mac. */
  arch: string;
  /** The generation: 5 to 7 of arm, 1 to 4 of amd64. */
  variant?: number;
  /** The generation is Debian's meaning of the word; other distributions mean an older one. */
  isVariantVague?: boolean;
}

export interface ArtifactWords {
  /** In Go's spelling. */
  os: string | undefined;
  /** Whether only a distribution such as `ubuntu` implies the OS. */
  isDistribution: boolean;
  /** Several for a macOS file with several architectures. */
  arches: readonly NamedArch[];
  /** `static` runs with any C library. */
  libc: string | undefined;
  /**
   * A word for a by-product (`symbols`, `sbom`), whether it follows the platform, and whether it is the only other word
   * and means a text file (`README-linux-amd64`).
   */
  byProduct: { word: string; isSuffix: boolean; isText: boolean } | undefined;
}

type Part = "os" | "arch" | "bits" | "libc" | "distribution" | "vendor";

/** What a word states about a platform. */
type Meaning = Readonly<Partial<Record<Part, string>>>;

/** A word of a name, and the platform it states. */
export interface Word extends Meaning {
  text: string;
  /** The text directly before a platform: `myapp` in `myapplinux`. */
  prefix?: string;
}

function list(words: string): string[] {
  return words.split(" ");
}

/** All words of a line mean the first one. */
const MEANINGS = readTable([
  // An architecture that counts only if the name has no other. The table's next lines overwrite amd64 and 386.
  ["bits", ["amd64 64bit", "386 32bit"]],
  [
    "os",
    [
      ...OS_NAMES,
      "wasi wasip1 wasip2",
      ...list("linux freebsd openbsd netbsd dragonfly illumos aix plan9 android ios ohos"),
      ...list("emscripten cygwin haiku redox fuchsia tvos watchos visionos"),
    ],
  ],
  // With its generation after a tilde.
  [
    "arch",
    [
      ...ARCH_NAMES,
      "amd64 x8664 em64t intel64",
      "386 x32",
      "arm64 arm64e arm64v8",
      "arm arm32 aarch32",
      "wasm wasm32 wasm64",
      "arm~7~vague armhf",
      "arm~7 thumbv7neon",
      "arm~5 armel",
      ...list("arm~6 amd64~1 amd64~2 amd64~3 amd64~4"),
      ...list("arm64be arm64eb arm64ec arm6432 aarch64be aarch64eb aarch64ec aarch6432"),
      ...list("armbe armeb armec"),
    ],
  ],
  ["libc", ["glibc gnu gnueabi gnueabihf gnuabi64", "musl musleabi musleabihf muslabi64 alpine"]],
  ["libc", ["static"]],
  ["distribution", ["ubuntu"]],
  // Filler words of target triples, such as `unknown` in `x86_64-unknown-linux-gnu`.
  ["vendor", ["unknown pc apple msvc gnullvm mingw mingw32 mingw64 eabi eabihf"]],
]);

function readTable(
  table: readonly (readonly [Part, readonly string[]])[],
): ReadonlyMap<string, Meaning> {
  const meanings = new Map<string, Meaning>();
  for (const [part, lines] of table) {
    for (const line of lines) {
      const words = list(line);
      for (const word of words) meanings.set(word, { [part]: words[0] });
    }
  }
  return meanings;
}

/** The beginnings of other architectures: a name with one of them states an architecture. */
const ARCH_FAMILIES = list(
  "armv thumbv mips riscv ppc powerpc sparc s390 loong hppa m68k ia64 e2k sh4 csky hexagon xtensa",
);

/** Weaker than `64bit`. */
const MAKERS = new Set(["intel", "amd"]);
const UNIVERSAL = new Set(["universal", "universal2"]);
const UNIVERSAL_BESIDE_OS = new Set(["all", "fat"]);

/** Text files that accompany programs. */
const TEXTS = new Set([
  ...list("checksum checksums sha1 sha256 sha512 sha256sum sha256sums sha512sum sha512sums md5"),
  ...list("signature signatures sig asc"),
  ...list("readme changelog license licenses licence notice notices"),
]);
const BY_PRODUCTS = new Set([
  ...list("debug dbg dbgsym dbgsyms debuginfo debugsymbols symbols symbol pdb dsym dsyms profile"),
  ...list("sbom spdx cyclonedx provenance attestation attestations src source sources"),
  ...list("deb rpm apk msi dmg pkg appimage"),
]);

/**
 * Words that a separator splits: `x86_64` becomes `amd64`. A number that continues after a dot belongs to the version and
 * stays separate. Only names with the text before a pattern need it: compiling patterns is what costs in a cold isolate.
 */
const JOINS: readonly (readonly [within: string, pattern: RegExp, joined: string])[] = [
  // The x of linux86_64 and osx86_64 belongs to the OS.
  [
    "86-64",
    /(?:(?<!linu|os)x|i|(?<=linux|darwin|macosx?|osx|mac|windows|win)-?)86-64(?![0-9])/g,
    "amd64",
  ],
  ["x86.64", /x86\.64(?![0-9]|\.[0-9])/g, "amd64"],
  ["x86-32", /x86-32(?![0-9])/g, "386"],
  ["intel-64", /\bintel-64(?![0-9]|\.[0-9])/g, "amd64"],
  ["64-be", /(aarch64|arm64)-be\b/g, "$1be"],
  ["-64", /\b(aarch|arm|amd)-64(?![0-9])/g, "$164"],
  ["ppcle-64", /\bppcle-64(?![0-9])/g, "ppc64le"],
  ["s390-64", /\bs390-64(?![0-9])/g, "s390x"],
  ["bit", /\b(32|64)-?bits?\b/g, "$1bit"],
  ["-64", /\b(linux|darwin|macosx?|osx|mac|windows|win)-64\b(?!\.[0-9])/g, "$164"],
  ["-32", /\b(linux|darwin|macosx?|osx|mac|windows|win)-32\b(?!\.[0-9])/g, "$132"],
  ["64-v8", /arm64-v8a?\b(?!\.[0-9])/g, "arm64"],
];

/** A generation stays with its architecture: `armv7l` and `arm-7` become `arm~7`, `amd64_v3` becomes `amd64~3`. */
const GENERATION =
  /(?:(amd64)-?v([1-4])|(arm)(?:32)?-?v([5-7])(?:l|a|hf|hl|te|tej|e|ej|neon)?|\b((?:linux)?arm)-?([5-7]))\b(?!\.[0-9])/g;

function joinWords(name: string): string {
  let joined = name.replaceAll("_", "-");
  for (const [within, pattern, word] of JOINS) {
    if (joined.includes(within)) joined = joined.replaceAll(pattern, word);
  }
  return joined.replaceAll(GENERATION, "$1$3$5~$2$4$6");
}

function readMeaning(text: string): Meaning | undefined {
  const known = MEANINGS.get(text.replace(/^(glibc|ubuntu)[0-9]+$/, "$1"));
  if (known !== undefined) return known;
  const isArch = !text.includes("~") && ARCH_FAMILIES.some((one) => text.startsWith(one));
  return isArch ? { arch: text } : undefined;
}

function readWord(text: string, isFirst: boolean): Word {
  const meaning = readMeaning(text);
  if (meaning === undefined) return readGlued(text) ?? { text };
  // A program can be named after GNU: gnu-app
  return isFirst && meaning.libc === "glibc" ? { text } : { text, ...meaning };
}

const GLUED = list("linux darwin macosx macos osx mac windows win freebsd openbsd netbsd");

/** Parses `linux64`, `darwinarm64`, `macos11`, `linuxmusl`. */
function readGlued(text: string): Word | undefined {
  const os = GLUED.find((name) => text.startsWith(name));
  if (os === undefined) return undefined;
  const word = { text, ...readMeaning(os) };
  const rest = text.slice(os.length);
  const meaning = readMeaning(rest) ?? readMeaning(`${rest}bit`);
  if (meaning?.arch ?? meaning?.bits ?? meaning?.libc) return { ...word, ...meaning };
  if (word.os === "darwin" && UNIVERSAL.has(rest)) return { ...word, arch: "universal" };
  return /^[0-9]+$/.test(rest) ? word : undefined;
}

// Only names that do not occur in other words by chance: "darwin" contains win, "charm64" arm64.
const BURIED_OS = /linux|darwin|macos|windows|freebsd|openbsd|netbsd/;
const BURIED_ARCH = /(?:amd64(?:~[1-4])?|aarch64|(?<![a-z])arm64)(?![0-9])/;

/** Parses `myapplinuxamd64`, `myapplinux` and `amd64linux`: a platform without separators. */
function readBuried(text: string): Partial<Word> {
  const os = BURIED_OS.exec(text);
  const arch = BURIED_ARCH.exec(text);
  if (os === null && arch === null) return {};
  const prefix = text.slice(0, Math.min(os?.index ?? text.length, arch?.index ?? text.length));
  const glued = os === null ? undefined : readGlued(text.slice(os.index));
  return {
    ...(glued ?? { ...readMeaning(os?.[0] ?? ""), ...readMeaning(arch?.[0] ?? "") }),
    prefix,
  };
}

/** An embedded platform counts only if no separate word states one. */
function withBuried(words: readonly Word[], part: "os" | "arch"): readonly Word[] {
  if (lastWith(part, words) >= 0) return words;
  return words.map((word) => ({ ...readBuried(word.text), ...word }));
}

/** The position of the last word that states this; -1 if none does. */
export function lastWith(part: Part, words: readonly Word[]): number {
  return words.findLastIndex((word) => word[part] !== undefined);
}

/** `lin` means Linux only in these words. */
const LIN = new Set(["lin32", "lin64", "linx64", "linx86"]);

/** Splits at separators, and CamelCase words if that reveals an OS. */
export function readWords(stem: string): readonly Word[] {
  const words = joinWords(splitHumps(stem).toLowerCase())
    .split(/[^a-z0-9~]+/)
    .filter((text) => text !== "")
    .map((text) => (LIN.has(text) ? text.replace("lin", "linux") : text))
    .map((text, at) => readWord(text, at === 0));
  return withBuried(withBuried(words, "os"), "arch");
}

function splitHumps(stem: string): string {
  if (!/[A-Z]/.test(stem)) return stem;
  return stem.replaceAll(/[A-Za-z0-9]+/g, (word) => {
    const humps = word.split(/(?<=[a-z0-9])(?=[A-Z])/);
    return !isOs(word) && humps.some(isOs) ? humps.join("-") : word;
  });
}

function isOs(word: string): boolean {
  return MEANINGS.get(word.toLowerCase())?.os !== undefined;
}

/** Whether a word alone states something about a platform. */
export function isPlatformWord(text: string): boolean {
  return Object.keys(readWord(text, false)).length > 1;
}

export function readArtifactWords(stem: string, knownOs?: string): ArtifactWords {
  const words = readWords(stem);
  const osAt = lastWith("os", words);
  const archAt = lastWith("arch", words);
  // A program can be named after another system, but only at the beginning: linux-tool.exe
  const isOsStated = osAt > 0 || knownOs === undefined;
  const named = (isOsStated ? words[osAt]?.os : undefined) ?? knownOs;
  const isDistribution = named === undefined && lastWith("distribution", words) >= 0;
  const os = isDistribution ? "linux" : named;
  const libc = words[lastWith("libc", words)]?.libc;
  return {
    os,
    isDistribution,
    arches: readArches(words, os, osAt, archAt),
    libc: libc ?? (isDistribution ? "glibc" : undefined),
    byProduct: readByProduct(words, Math.max(osAt, archAt)),
  };
}

function readArches(
  words: readonly Word[],
  os: string | undefined,
  osAt: number,
  archAt: number,
): NamedArch[] {
  const isMac = os === "darwin";
  if (archAt >= 0) {
    const beside = isMac ? words[archAt - 1]?.arch : undefined;
    return (
      [words[archAt]?.arch, beside]
        .filter((arch) => arch !== undefined)
        // No Mac ever had a 32-bit ARM processor.
        .map((arch) => parseArch(isMac && arch === "arm" ? "arm64" : arch))
    );
  }
  if (isMac) {
    const isUniversal =
      words.some(({ text }) => UNIVERSAL.has(text)) ||
      [words[osAt - 1], words[osAt + 1]].some((word) => UNIVERSAL_BESIDE_OS.has(word?.text ?? ""));
    if (isUniversal) return [{ arch: "universal" }];
    if (words.some((_, at) => isAppleChip(words, at))) return [{ arch: "arm64" }];
  }
  const bits = words[lastWith("bits", words)]?.bits;
  const weak = bits ?? (words.some(({ text }) => MAKERS.has(text)) ? "amd64" : undefined);
  return weak === undefined ? [] : [{ arch: weak }];
}

function parseArch(text: string): NamedArch {
  const [arch = "", variant, vague] = text.split("~");
  if (variant === undefined) return { arch };
  return { arch, variant: Number(variant), isVariantVague: vague !== undefined };
}

/** After a number, `M1` is a milestone: `1.0.0-M1`. */
function isAppleChip(words: readonly Word[], at: number): boolean {
  const text = words[at]?.text ?? "";
  if (text === "silicon") return true;
  return /^m[1-4]$/.test(text) && !isVersionWord(words[at - 1]?.text ?? "");
}

function isVersionWord(text: string): boolean {
  return /^v?[0-9]+$/.test(text);
}

function readByProduct(words: readonly Word[], platformAt: number): ArtifactWords["byProduct"] {
  const at = words.findLastIndex(({ text }) => TEXTS.has(text) || BY_PRODUCTS.has(text));
  const word = words[at]?.text;
  if (word === undefined) return undefined;
  const isText = words.every(
    ({ text }) => TEXTS.has(text) || isPlatformWord(text) || isVersionWord(text),
  );
  return { word, isSuffix: at > platformAt, isText };
}
