/**
 * Reads the platform in the name of a release file, word by word and never by substring: `arm` is not found in `charm`,
 * nor `win` in `darwin`.
 *
 * @module
 */

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
  libc: "glibc" | "musl" | "static" | undefined;
  /**
   * A word for a by-product (`symbols`, `sbom`), whether it follows the platform, and whether it is the only other word
   * and means a text file (`README-linux-amd64`).
   */
  byProduct: { word: string; isSuffix: boolean; isText: boolean } | undefined;
}

const OS: Readonly<Record<string, string>> = {
  linux: "linux",
  darwin: "darwin",
  macos: "darwin",
  macosx: "darwin",
  osx: "darwin",
  mac: "darwin",
  windows: "windows",
  win: "windows",
  freebsd: "freebsd",
  openbsd: "openbsd",
  netbsd: "netbsd",
  dragonfly: "dragonfly",
  solaris: "solaris",
  sunos: "solaris",
  illumos: "illumos",
  aix: "aix",
  plan9: "plan9",
  android: "android",
  ios: "ios",
  ohos: "ohos",
  wasi: "wasi",
  wasip1: "wasi",
  wasip2: "wasi",
  emscripten: "emscripten",
  cygwin: "cygwin",
  haiku: "haiku",
  redox: "redox",
  fuchsia: "fuchsia",
  tvos: "tvos",
  watchos: "watchos",
  visionos: "visionos",
};

const DISTRIBUTION = /^ubuntu[0-9]*$/;

const ARCH: Readonly<Record<string, NamedArch>> = {
  ...same("amd64", ["amd64", "x64", "x8664", "em64t", "intel64"]),
  ...same("386", ["386", "i386", "i486", "i586", "i686", "x86", "ia32", "x32"]),
  ...same("arm64", ["arm64", "aarch64", "arm64e", "armv8", "arm64v8"]),
  ...same("arm", ["arm", "arm32", "aarch32"]),
  armhf: { arch: "arm", variant: 7, isVariantVague: true },
  armel: { arch: "arm", variant: 5 },
  thumbv7neon: { arch: "arm", variant: 7 },
  ...same("ppc64le", ["ppc64le", "ppc64el", "powerpc64le"]),
  ...same("ppc64", ["ppc64", "powerpc64"]),
  ...same("s390x", ["s390x"]),
  ...same("riscv64", ["riscv64", "riscv64gc"]),
  ...same("loong64", ["loong64", "loongarch64"]),
  ...same("mips", ["mips"]),
  ...same("mipsle", ["mipsle", "mipsel"]),
  ...same("mips64", ["mips64"]),
  ...same("mips64le", ["mips64le", "mips64el"]),
  ...same("sparc64", ["sparc64"]),
  ...same("wasm", ["wasm", "wasm32", "wasm64"]),
};

/** Other architectures: a name with one of them states an architecture. */
const OTHER_ARCH =
  /^(?:(?:aarch64|arm64|arm)(?:_?be|eb|ec|_?32)|(?:armv|thumbv|mips|riscv|ppc|powerpc|sparc|s390|loong|loongarch|hppa|m68k|ia64|e2k|sh4|csky|hexagon|xtensa)[a-z0-9]*)$/;

/** Weaker words, which count only if no architecture is named. */
const BITS: Readonly<Record<string, string>> = {
  "64": "amd64",
  "64bit": "amd64",
  "32": "386",
  "32bit": "386",
};
const MAKERS: Readonly<Record<string, string>> = { intel: "amd64", amd: "amd64" };
const MAC_CPU: Readonly<Record<string, string>> = {
  silicon: "arm64",
  m1: "arm64",
  m2: "arm64",
  m3: "arm64",
  m4: "arm64",
};
const UNIVERSAL = new Set(["universal", "universal2"]);
const UNIVERSAL_BESIDE_OS = new Set(["all", "fat"]);

const GLIBC = /^(?:glibc[0-9]*|gnu|gnueabi|gnueabihf|gnuabi64)$/;
const MUSL = /^(?:musl|musleabi|musleabihf|muslabi64|alpine)$/;
/** Filler words of target triples, such as `unknown` in `x86_64-unknown-linux-gnu`. */
const VENDORS = new Set([
  "unknown",
  "pc",
  "apple",
  "msvc",
  "gnullvm",
  "mingw",
  "mingw32",
  "mingw64",
  "eabi",
  "eabihf",
]);

/** Text files that accompany programs. */
const TEXTS = [
  ...["checksum", "checksums", "sha1", "sha256", "sha512", "sha256sum", "sha256sums"],
  ...["sha512sum", "sha512sums", "md5", "signature", "signatures", "sig", "asc"],
  ...["readme", "changelog", "license", "licenses", "licence", "notice", "notices"],
];
const BY_PRODUCTS = new Set([
  ...TEXTS,
  ...["debug", "dbg", "dbgsym", "dbgsyms", "debuginfo", "debugsymbols", "symbols", "symbol"],
  ...["pdb", "dsym", "dsyms", "profile", "sbom", "spdx", "cyclonedx"],
  ...["provenance", "attestation", "attestations", "src", "source", "sources"],
  ...["deb", "rpm", "apk", "msi", "dmg", "pkg", "appimage"],
]);

function same(arch: string, words: readonly string[]): Record<string, NamedArch> {
  return Object.fromEntries(words.map((word) => [word, { arch }]));
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/**
 * Joins words that separators split: `x86_64` becomes `amd64`, and a generation stays with its architecture as `arm~7`
 * or `amd64~3`. A number that continues after a dot belongs to the version and stays separate.
 */
function joinWords(name: string): string {
  return name
    .replaceAll(/(?<=linux|darwin|macosx?|osx|mac|windows|win)[_-]?86[_-]64(?![0-9])/g, "amd64")
    .replaceAll(/[xi]86[_-]64(?![0-9])|x86\.64(?![0-9]|\.[0-9])/g, "amd64")
    .replaceAll(/x86[_-]32(?![0-9])/g, "386")
    .replaceAll(/(?<![a-z0-9])intel[_-]64(?![0-9]|\.[0-9])/g, "amd64")
    .replaceAll(/(?<![a-z0-9])lin(?=(?:x?64|x86|32)(?![a-z0-9]))/g, "linux")
    .replaceAll(/(aarch64|arm64)[_-]be(?![a-z0-9])/g, "$1be")
    .replaceAll(/(?<![a-z0-9])(aarch|arm|amd)[_-]64(?![0-9])/g, "$164")
    .replaceAll(/(?<![a-z0-9])ppcle[_-]64(?![0-9])/g, "ppc64le")
    .replaceAll(/(?<![a-z0-9])s390[_-]64(?![0-9])/g, "s390x")
    .replaceAll(/(?<![a-z0-9])(32|64)[_-]?bits?(?![a-z0-9])/g, "$1bit")
    .replaceAll(
      /(?<![a-z0-9])(linux|darwin|macosx?|osx|mac|windows|win)[_-](32|64)(?![a-z0-9]|\.[0-9])/g,
      "$1$2",
    )
    .replaceAll(/arm64[_-]v8a?(?![a-z0-9]|\.[0-9])/g, "arm64")
    .replaceAll(/amd64[_-]?v([1-4])(?![a-z0-9]|\.[0-9])/g, "amd64~$1")
    .replaceAll(
      /arm(?:32)?[_-]?v([5-7])(?:l|a|hf|hl|te|tej|e|ej|neon)?(?![a-z0-9]|\.[0-9])/g,
      "arm~$1",
    )
    .replaceAll(/(?<![a-z0-9])(linux)?arm[_-]?([5-7])(?![a-z0-9]|\.[0-9])/g, "$1arm~$2");
}

/** A word of a name, and the platform it states. */
export interface Word {
  text: string;
  os?: string;
  arch?: NamedArch;
  bits?: string;
  libc?: "glibc" | "musl" | "static";
  isDistribution?: boolean;
  /** Whether it is a filler word of a target triple. */
  isVendor?: boolean;
  /** The text directly before a platform: `myapp` in `myapplinux`. */
  prefix?: string;
}

function readWord(text: string, isFirst: boolean): Word {
  const word: Word = { text };
  const os = own(OS, text);
  const arch = readArch(text);
  const bits = text.endsWith("bit") ? own(BITS, text) : undefined;
  const libc = readLibc(text, isFirst);
  if (os !== undefined) word.os = os;
  if (arch !== undefined) word.arch = arch;
  if (bits !== undefined) word.bits = bits;
  if (libc !== undefined) word.libc = libc;
  if (DISTRIBUTION.test(text)) word.isDistribution = true;
  if (VENDORS.has(text)) word.isVendor = true;
  return (os ?? arch ?? bits ?? libc) ? word : (readGlued(text) ?? word);
}

function readArch(text: string): NamedArch | undefined {
  const [name = "", variant] = text.split("~");
  const arch = own(ARCH, name);
  if (arch !== undefined) {
    return variant === undefined ? arch : { arch: arch.arch, variant: Number(variant) };
  }
  return OTHER_ARCH.test(text) ? { arch: text } : undefined;
}

function readLibc(text: string, isFirst: boolean): Word["libc"] | undefined {
  if (MUSL.test(text)) return "musl";
  if (!isFirst && GLIBC.test(text)) return "glibc";
  return text === "static" ? "static" : undefined;
}

const GLUED =
  /^(linux|darwin|macosx|macos|osx|mac|windows|win|freebsd|openbsd|netbsd)([a-z0-9~]+)$/;

/** Parses `linux64`, `darwinarm64`, `macos11`, `linuxmusl`. */
function readGlued(text: string): Word | undefined {
  const [, prefix = "", rest = ""] = GLUED.exec(text) ?? [];
  const os = own(OS, prefix);
  if (os === undefined) return undefined;
  const arch = readArch(rest);
  if (arch !== undefined) return { text, os, arch };
  const bits = own(BITS, rest);
  if (bits !== undefined) return { text, os, bits };
  const libc = readLibc(rest, false);
  if (libc !== undefined) return { text, os, libc };
  if (os === "darwin" && UNIVERSAL.has(rest)) return { text, os, arch: { arch: "universal" } };
  return /^[0-9]+$/.test(rest) ? { text, os } : undefined;
}

// Only names that do not occur in other words by chance: "darwin" contains win, "charm64" arm64.
const BURIED_OS = /linux|darwin|macos|windows|freebsd|openbsd|netbsd/;
const BURIED_ARCH = /(?:amd64(?:~[1-4])?|aarch64|(?<![a-z])arm64)(?![0-9])/;

/** Parses `myapplinuxamd64`, `myapplinux` and `amd64linux`: a platform without separators. */
function readBuried(text: string): Partial<Word> {
  const osAt = BURIED_OS.exec(text);
  const archAt = BURIED_ARCH.exec(text);
  const prefix = text.slice(0, Math.min(osAt?.index ?? text.length, archAt?.index ?? text.length));
  const glued = osAt === null ? undefined : readGlued(text.slice(osAt.index));
  if (glued !== undefined) return { ...glued, prefix };
  const os = own(OS, osAt?.[0] ?? "");
  const arch = readArch(archAt?.[0] ?? "");
  return (os ?? arch) ? { os, arch, prefix } : {};
}

/** An embedded platform counts only if no separate word states one. */
function withBuried(words: readonly Word[], part: "os" | "arch"): readonly Word[] {
  if (words.some((word) => word[part] !== undefined)) return words;
  return words.map((word) => ({ ...readBuried(word.text), ...word }));
}

/** Splits at separators, and CamelCase words if that reveals an OS. */
function splitWords(stem: string): Word[] {
  const words: Word[] = [];
  for (const raw of joinWords(keepHumps(stem)).split(/[^a-z0-9~]+/)) {
    if (raw !== "") words.push(readWord(raw, words.length === 0));
  }
  return words;
}

export function readWords(stem: string): readonly Word[] {
  return withBuried(withBuried(splitWords(stem), "os"), "arch");
}

/** Whether a word alone states something about a platform. */
export function isPlatformWord(text: string): boolean {
  const { os, arch, bits, libc, isVendor, isDistribution } = readWord(text, false);
  return [os, arch, bits, libc, isVendor, isDistribution].some((part) => part !== undefined);
}

function keepHumps(stem: string): string {
  return stem
    .replaceAll(/[A-Za-z0-9]+/g, (word) => {
      const humps = word.split(/(?<=[a-z0-9])(?=[A-Z])/);
      const isHidden = own(OS, word.toLowerCase()) === undefined;
      return isHidden && humps.some((hump) => own(OS, hump.toLowerCase()) !== undefined)
        ? humps.join("-")
        : word;
    })
    .toLowerCase();
}

export function readArtifactWords(stem: string, knownOs?: string): ArtifactWords {
  const words = readWords(stem);
  const osAt = words.findLastIndex((word) => word.os !== undefined);
  const archAt = words.findLastIndex((word) => word.arch !== undefined);
  const distributionAt = words.findLastIndex((word) => word.isDistribution);
  // A program can be named after another system, but only at the beginning: linux-tool.exe
  const isOsStated = osAt > 0 || knownOs === undefined;
  const named = (isOsStated ? words[osAt]?.os : undefined) ?? knownOs;
  const isDistribution = named === undefined && distributionAt >= 0;
  const os = isDistribution ? "linux" : named;
  const libc = words.findLast((word) => word.libc !== undefined)?.libc;
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
  if (archAt >= 0) {
    const last = words[archAt]?.arch;
    const beside = os === "darwin" ? words[archAt - 1]?.arch : undefined;
    return [last, beside]
      .filter((arch) => arch !== undefined)
      .map((arch) => (os === "darwin" && isBareArm(arch) ? { arch: "arm64" } : arch));
  }
  if (os === "darwin") {
    const isUniversal =
      words.some(({ text }) => UNIVERSAL.has(text)) ||
      [words[osAt - 1], words[osAt + 1]].some((word) => UNIVERSAL_BESIDE_OS.has(word?.text ?? ""));
    if (isUniversal) return [{ arch: "universal" }];
    const cpu = words.map((_, at) => readMacCpu(words, at)).findLast((arch) => arch !== undefined);
    if (cpu !== undefined) return [{ arch: cpu }];
  }
  const bits = words.findLast((word) => word.bits !== undefined)?.bits;
  const maker = words.map(({ text }) => own(MAKERS, text)).findLast((arch) => arch !== undefined);
  const weak = bits ?? maker;
  return weak === undefined ? [] : [{ arch: weak }];
}

/** No Mac ever had a 32-bit ARM processor. */
function isBareArm({ arch, variant }: NamedArch): boolean {
  return arch === "arm" && variant === undefined;
}

/** After a number, `M1` is a milestone: `1.0.0-M1`. */
function readMacCpu(words: readonly Word[], at: number): string | undefined {
  const text = words[at]?.text ?? "";
  const isMilestone = /^m[0-9]$/.test(text) && /^v?[0-9]+$/.test(words[at - 1]?.text ?? "");
  return isMilestone ? undefined : own(MAC_CPU, text);
}

function readByProduct(words: readonly Word[], platformAt: number): ArtifactWords["byProduct"] {
  const at = words.findLastIndex(({ text }) => BY_PRODUCTS.has(text));
  const word = words[at]?.text;
  if (word === undefined) return undefined;
  const isText = words.every(
    ({ text }) => TEXTS.includes(text) || isPlatformWord(text) || /^v?[0-9]+$/.test(text),
  );
  return { word, isSuffix: at > platformAt, isText };
}
