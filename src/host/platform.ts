import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { machine } from "node:os";
import type { Platform } from "../core/types.ts";
import { normalizePlatform, runtimePlatform } from "../platform/platform.ts";

type Libc = Platform["libc"];

/**
 * Detects the platform of this machine, including what only a host knows: the variant of an ARM
 * processor and the C library of a Linux system.
 *
 * @returns The platform in Go's spelling. `libc` is missing outside of Linux, and on a system with
 * static programs only.
 *
 * @example
 * ```ts
 * import { selectArtifact } from "dewy";
 * import { hostPlatform } from "dewy/host";
 *
 * const { os, arch } = hostPlatform();
 * const name = `app_${os}_${arch}.tar.gz`;
 * if (selectArtifact([name], hostPlatform()) !== name) throw new Error(name);
 * ```
 */
export function hostPlatform(): Platform {
  const platform = runtimePlatform();
  const variant = platform.arch === "arm" ? armVariant(machine()) : undefined;
  const libc = platform.os === "linux" ? systemLibc() : undefined;
  return normalizePlatform({ ...platform, variant, libc });
}

/** `uname -m` is `aarch64` or `armv8l` if a 32-bit program runs on a 64-bit kernel. */
export function armVariant(unameMachine: string): string | undefined {
  if (/^(aarch64|arm64|armv8)/.test(unameMachine)) return "v7";
  return /^arm(v[5-7])/.exec(unameMachine)?.[1];
}

/** The shell is built for the system itself; a runtime can be static or bring its own libc. */
function systemLibc(): Libc {
  return (
    programLibc("/bin/sh") ??
    programLibc("/usr/bin/env") ??
    programLibc(process.execPath) ??
    loaderLibc()
  );
}

/** https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html#interpreter */
export function interpreterLibc(programStart: Uint8Array): Libc {
  const text = new TextDecoder("latin1").decode(programStart);
  if (!text.startsWith("\x7fELF")) return undefined;
  if (/\/ld-musl-[\w.-]+\0/.test(text)) return "musl";
  return /\/ld(-linux[\w.-]*|64)\.so\.\d+\0/.test(text) ? "glibc" : undefined;
}

function programLibc(path: string): Libc {
  try {
    const file = openSync(path, "r");
    try {
      const bytes = new Uint8Array(4096);
      return interpreterLibc(bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0)));
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined; // A system without this program.
  }
}

function loaderLibc(): Libc {
  try {
    const names = readdirSync("/lib");
    if (names.some((name) => name.startsWith("ld-musl-"))) return "musl";
    return names.some((name) => name.startsWith("ld-linux")) ? "glibc" : undefined;
  } catch {
    return undefined;
  }
}
