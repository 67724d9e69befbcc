/**
 * The machine this process runs on.
 *
 * @module
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { machine } from "node:os";
import { execPath } from "node:process";
import type { Platform } from "../core/types.ts";
import { normalizePlatform, runtimePlatform } from "../platform/platform.ts";

type Libc = NonNullable<Platform["libc"]>;

/**
 * Finds the platform of this machine: what the library knows through `globalThis`, and what only a host can tell,
 * the variant of an ARM processor and the C library of a Linux system.
 *
 * @returns the platform in Go's spelling; without `libc` where it is not Linux or nothing tells (a system of static
 * programs only).
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
  return normalizePlatform({
    ...platform,
    ...(variant === undefined ? {} : { variant }),
    ...(libc === undefined ? {} : { libc }),
  });
}

/**
 * Reads the variant out of `uname -m`.
 *
 * @param unameMachine `armv6l`, `armv7l`, or `aarch64` and `armv8l` where a 32-bit program runs on a 64-bit kernel.
 * @returns `v5`, `v6` or `v7`; `undefined` when it does not say.
 */
export function armVariant(unameMachine: string): string | undefined {
  if (/^(aarch64|arm64|armv8)/.test(unameMachine)) return "v7";
  return /^arm(v[5-7])/.exec(unameMachine)?.[1];
}

/** The shell is what the system itself was built with; a runtime can be static or brought along. */
function systemLibc(): Libc | undefined {
  return (
    programLibc("/bin/sh") ?? programLibc("/usr/bin/env") ?? programLibc(execPath) ?? loaderLibc()
  );
}

function programLibc(path: string): Libc | undefined {
  const start = readStart(path);
  return start === undefined ? undefined : interpreterLibc(start);
}

/**
 * Tells the C library by the dynamic loader that a program asks for.
 * https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html#interpreter
 *
 * @param programStart the first bytes of an executable file; the loader's path stands right after the headers.
 * @returns the C library; `undefined` for a static program and for anything else.
 */
export function interpreterLibc(programStart: Uint8Array): Libc | undefined {
  const text = new TextDecoder("latin1").decode(programStart);
  if (!text.startsWith("\x7fELF")) return undefined;
  if (/\/ld-musl-[\w.-]+\0/.test(text)) return "musl";
  return /\/ld(-linux[\w.-]*|64)\.so\.\d+\0/.test(text) ? "glibc" : undefined;
}

function readStart(path: string): Uint8Array | undefined {
  try {
    const file = openSync(path, "r");
    try {
      const bytes = new Uint8Array(4096);
      return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined; // A system without this program; another one may tell.
  }
}

function loaderLibc(): Libc | undefined {
  try {
    const names = readdirSync("/lib");
    if (names.some((name) => name.startsWith("ld-musl-"))) return "musl";
    return names.some((name) => name.startsWith("ld-linux")) ? "glibc" : undefined;
  } catch {
    return undefined;
  }
}
