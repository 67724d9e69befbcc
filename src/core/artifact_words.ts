/**
 * What the name of a release file says about the machine it is for. Names are read word by word, never
 * by substring, so `arm` is not found in `charm` nor `win` in `darwin`.
 *
 * @module
 */

/** An architecture, as a file name states it. */
export interface NamedArch {
  /** In Go's spelling; `universal` runs on every Mac. */
  arch: string;
  /** The generation: 5 to 7 of arm, 1 to 4 of amd64. */
  variant?: number;
  /** The generation is what Debian means by the word; other distributions mean an older one. */
  isVariantVague?: boolean;
}

/** Everything a file name says. */
export interface ArtifactWords {
  /** In Go's spelling. */
  os: string | undefined;
  /** One, or for macOS several where one file holds several. */
  arches: readonly NamedArch[];
  /** `static` runs with any C library. */
  libc: "glibc" | "musl" | "static" | undefined;
  /** A word that tells of a by-product (`symbols`, `sbom`), and whether it follows the platform. */
  byProduct: { word: string; isSuffix: boolean } | undefined;
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
};

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
  ...same("wasm", ["wasm", "wasm32"]),
};

/** Weaker words: they count only where no architecture is named. */
const BITS: Readonly<Record<string, string>> = {
  "64": "amd64",
  "64bit": "amd64",
  "32": "386",
  "32bit": "386",
};
const MAC_CPU: Readonly<Record<string, string>> = {
  intel: "amd64",
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

const BY_PRODUCTS = new Set([
  "debug",
  "dbg",
  "dbgsym",
  "dbgsyms",
  "debuginfo",
  "debugsymbols",
  "symbols",
  "symbol",
  "pdb",
  "dsym",
  "dsyms",
  "profile",
  "sbom",
  "spdx",
  "cyclonedx",
  "provenance",
  "attestation",
  "attestations",
  "checksum",
  "checksums",
  "sha1",
  "sha256",
  "sha512",
  "sha256sum",
  "sha256sums",
  "sha512sum",
  "sha512sums",
  "md5",
  "signature",
  "signatures",
  "sig",
  "asc",
  "src",
  "source",
  "sources",
  "deb",
  "rpm",
  "apk",
  "msi",
  "dmg",
  "pkg",
  "appimage",
]);

function same(arch: string, words: readonly string[]): Record<string, NamedArch> {
  return Object.fromEntries(words.map((word) => [word, { arch }]));
}

function own<T>(table: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}

/**
 * Joins what separators and suffixes tear apart, so that one word is one thing: `x86_64` becomes
 * `amd64`, and a generation stays with its architecture as `arm~7` or `amd64~3`. A number that goes on
 * after a dot is the application's version and stays alone.
 */
function joinWords(name: string): string {
  return name
    .replaceAll(/x86[_-]64(?![0-9])/g, "amd64")
    .replaceAll(/x86[_-]32(?![0-9])/g, "386")
    .replaceAll(/(?<![a-z0-9])(aarch|arm|amd)[_-]64(?![0-9])/g, "$164")
    .replaceAll(/(?<![a-z0-9])ppcle[_-]64(?![0-9])/g, "ppc64le")
    .replaceAll(/(?<![a-z0-9])s390[_-]64(?![0-9])/g, "s390x")
    .replaceAll(/(?<![a-z0-9])(32|64)[_-]?bits?(?![a-z0-9])/g, "$1bit")
    .replaceAll(/arm64[_-]v8a?(?![a-z0-9]|\.[0-9])/g, "arm64")
    .replaceAll(/amd64[_-]?v([1-4])(?![a-z0-9]|\.[0-9])/g, "amd64~$1")
    .replaceAll(
      /arm(?:32)?[_-]?v([5-7])(?:l|a|hf|hl|te|tej|e|ej|neon)?(?![a-z0-9]|\.[0-9])/g,
      "arm~$1",
    )
    .replaceAll(/(?<![a-z0-9])(linux)?arm[_-]?([5-7])(?![a-z0-9]|\.[0-9])/g, "$1arm~$2");
}

interface Word {
  text: string;
  os?: string;
  arch?: NamedArch;
  bits?: string;
  libc?: "glibc" | "musl" | "static";
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
  return (os ?? arch ?? bits ?? libc) ? word : (readGlued(text) ?? word);
}

function readArch(text: string): NamedArch | undefined {
  const [name = "", variant] = text.split("~");
  const arch = own(ARCH, name);
  return arch === undefined || variant === undefined
    ? arch
    : { arch: arch.arch, variant: Number(variant) };
}

function readLibc(text: string, isFirst: boolean): Word["libc"] | undefined {
  if (MUSL.test(text)) return "musl";
  if (!isFirst && GLIBC.test(text)) return "glibc";
  return text === "static" ? "static" : undefined;
}

const GLUED =
  /^(linux|darwin|macosx|macos|osx|mac|windows|win|freebsd|openbsd|netbsd)([a-z0-9~]+)$/;

/** Reads `linux64`, `darwinarm64`, `macos11`, `linuxmusl`. */
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

// Only names that no other word has by chance: "darwin" has a win, and "charm64" an arm64.
const BURIED_OS = /linux|darwin|macos|windows|freebsd|openbsd|netbsd/;
const BURIED_ARCH = /(?:amd64(?:~[1-4])?|aarch64|(?<![a-z])arm64)(?![0-9])/;

/** Reads `myapplinuxamd64`, `myapplinux` and `amd64linux`: a platform without a separator beside it. */
function readBuried(text: string): Partial<Word> {
  const found = BURIED_OS.exec(text);
  const glued = found === null ? undefined : readGlued(text.slice(found.index));
  if (glued !== undefined) return glued;
  const os = own(OS, found?.[0] ?? "");
  const arch = readArch(BURIED_ARCH.exec(text)?.[0] ?? "");
  return { ...(os === undefined ? {} : { os }), ...(arch === undefined ? {} : { arch }) };
}

/** What is buried counts only where no word of its own says it. */
function withBuried(words: readonly Word[], part: "os" | "arch"): readonly Word[] {
  if (words.some((word) => word[part] !== undefined)) return words;
  return words.map((word) => ({ ...readBuried(word.text), ...word }));
}

/** Splits at separators; a word in CamelCase is split further where that brings an OS to light. */
function readWords(stem: string): Word[] {
  const words: Word[] = [];
  for (const raw of joinWords(keepHumps(stem)).split(/[^a-z0-9~]+/)) {
    if (raw !== "") words.push(readWord(raw, words.length === 0));
  }
  return words;
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

/**
 * Reads the name of a release file.
 *
 * @param stem the name without its archive extension.
 * @returns what it says; where it names several systems or architectures, the last counts, because the
 * application's own name comes first.
 */
export function readArtifactWords(stem: string): ArtifactWords {
  const words = withBuried(withBuried(readWords(stem), "os"), "arch");
  const osAt = words.findLastIndex((word) => word.os !== undefined);
  const os = words[osAt]?.os;
  const archAt = words.findLastIndex((word) => word.arch !== undefined);
  return {
    os,
    arches: readArches(words, os, osAt, archAt),
    libc: words.findLast((word) => word.libc !== undefined)?.libc,
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
    return [last, beside].filter((arch) => arch !== undefined);
  }
  if (os === "darwin") {
    const isUniversal =
      words.some(({ text }) => UNIVERSAL.has(text)) ||
      [words[osAt - 1], words[osAt + 1]].some((word) => UNIVERSAL_BESIDE_OS.has(word?.text ?? ""));
    if (isUniversal) return [{ arch: "universal" }];
    const cpu = words.map(({ text }) => own(MAC_CPU, text)).findLast((arch) => arch !== undefined);
    if (cpu !== undefined) return [{ arch: cpu }];
  }
  const bits = words.findLast((word) => word.bits !== undefined)?.bits;
  return bits === undefined ? [] : [{ arch: bits }];
}

function readByProduct(words: readonly Word[], platformAt: number): ArtifactWords["byProduct"] {
  const at = words.findLastIndex(({ text }) => BY_PRODUCTS.has(text));
  const word = words[at]?.text;
  return word === undefined ? undefined : { word, isSuffix: at > platformAt };
}
