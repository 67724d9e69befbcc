import type { Platform } from "../core/types.ts";

// Node's, Deno's, uname's and LLVM's names after Go's. https://go.dev/doc/install/source#environment
/** The names of each operating system, in file names too. */
export const OS_NAMES = ["darwin macos macosx osx mac", "windows win", "solaris sunos"];
/** The names of each architecture, in file names too. */
export const ARCH_NAMES = [
  "amd64 x64",
  "386 ia32 x86 i386 i486 i586 i686",
  "arm64 aarch64 armv8",
  "mipsle mipsel",
  "mips64le mips64el",
  "ppc64le ppc64el powerpc64le",
  "ppc64 powerpc64",
  "riscv64 riscv64gc",
  "loong64 loongarch64",
];

/** Maps each word of a line to the first one. */
function firstWords(lines: readonly string[]): ReadonlyMap<string, string> {
  const table = new Map<string, string>();
  for (const line of lines) {
    const [first = "", ...others] = line.split(" ");
    for (const other of others) table.set(other, first);
  }
  return table;
}

// In a file name, win32 also states the architecture, armv8l is not arm64, and a separator splits x86_64.
const GO_OS = firstWords([...OS_NAMES, "windows win32"]);
const GO_ARCH = firstWords([...ARCH_NAMES, "amd64 x86_64 x86-64", "arm64 armv8l"]);
const ARM_WITH_VARIANT = /^arm(?:32)?(v[5-7])[a-z]*$/;

/**
 * Converts a platform to Go's spelling: `x64` to `amd64`, `win32` to `windows`, `armv7l` to `arm` with variant `v7`.
 *
 * @example
 * ```ts
 * import { normalizePlatform } from "dewy/platform";
 *
 * const { os, arch } = normalizePlatform({ os: "win32", arch: "x64" });
 * if (`${os}/${arch}` !== "windows/amd64") throw new Error(`${os}/${arch}`);
 * ```
 */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase();
  const { arch, variant } = normalizeArch(platform.arch.toLowerCase());
  const given = normalizeVariant(platform.variant) ?? variant;
  return { os: GO_OS.get(os) ?? os, arch, variant: given, libc: platform.libc };
}

function normalizeArch(arch: string): { arch: string; variant?: string } {
  const known = GO_ARCH.get(arch);
  if (known !== undefined) return { arch: known };
  const [, variant] = ARM_WITH_VARIANT.exec(arch) ?? [];
  if (variant !== undefined) return { arch: "arm", variant };
  if (arch === "armhf") return { arch: "arm", variant: "v7" };
  if (arch === "armel") return { arch: "arm", variant: "v5" };
  return { arch };
}

function normalizeVariant(variant: string | undefined): string | undefined {
  if (variant === undefined || variant === "") return undefined;
  const lower = variant.toLowerCase();
  return /^[0-9]/.test(lower) ? `v${lower}` : lower;
}

interface Runtime {
  process?: {
    platform?: unknown;
    arch?: unknown;
    config?: { variables?: { arm_version?: unknown } };
  };
  Deno?: { build?: { os?: unknown; arch?: unknown } };
  navigator?: { platform?: unknown };
}

/**
 * Detects the platform of this runtime through `globalThis`, without the C library, which the host adds. Defaults to
 * `linux/amd64` if the runtime does not state it, as in serverless functions.
 *
 * @example
 * ```ts
 * import { runtimePlatform } from "dewy/platform";
 *
 * const { os } = runtimePlatform();
 * if (os === "win32") throw new Error("not in Go's spelling");
 * ```
 */
export function runtimePlatform(): Platform {
  const { process, Deno, navigator } = globalThis as Runtime;
  if (isText(Deno?.build?.os) && isText(Deno.build.arch)) {
    return normalizePlatform({ os: Deno.build.os, arch: Deno.build.arch });
  }
  if (isText(process?.platform) && isText(process.arch)) {
    const armVersion = process.arch === "arm" ? process.config?.variables?.arm_version : undefined;
    return normalizePlatform({
      os: process.platform,
      arch: process.arch,
      variant: armVersion === undefined ? undefined : String(armVersion),
    });
  }
  return fromNavigator(isText(navigator?.platform) ? navigator.platform : "");
}

// https://html.spec.whatwg.org/multipage/system-state.html#dom-navigator-platform: "Linux x86_64", "MacIntel", "Win32"
function fromNavigator(text: string): Platform {
  const [os = "", arch = ""] = text.split(" ");
  if (/^linux$/i.test(os)) return normalizePlatform({ os: "linux", arch: arch || "amd64" });
  if (/^mac/i.test(os)) return { os: "darwin", arch: /arm/i.test(os) ? "arm64" : "amd64" };
  if (/^win/i.test(os)) return { os: "windows", arch: "amd64" };
  return { os: "linux", arch: "amd64" };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Formats a platform for messages: `linux/arm/v7`. */
export function formatPlatform(platform: Platform): string {
  const { os, arch, variant, libc } = platform;
  return `${os}/${arch}${variant === undefined ? "" : `/${variant}`}${libc === undefined ? "" : ` (${libc})`}`;
}
