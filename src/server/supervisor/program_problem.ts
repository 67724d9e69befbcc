import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

export type ProgramProblem =
  | { kind: "not-in-path" }
  | { kind: "missing" | "directory" | "not-executable"; path: string }
  | { kind: "no-interpreter"; path: string; interpreter: string };

export function programProblem(
  name: string,
  cwd: string,
  searchPath: string | undefined,
): ProgramProblem | undefined {
  const path = findProgram(name, cwd, searchPath);
  if (path === undefined) return { kind: "not-in-path" };
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return { kind: "missing", path };
  if (status.isDirectory()) return { kind: "directory", path };
  if (!isExecutableFile(path)) return { kind: "not-executable", path };
  const { interpreter, throughEnv } = readProgramFile(path);
  if (interpreter?.startsWith("/") === true && !exists(interpreter)) {
    return { kind: "no-interpreter", path, interpreter };
  }
  if (throughEnv === undefined || findProgram(throughEnv, cwd, searchPath) !== undefined) {
    return undefined;
  }
  return { kind: "no-interpreter", path, interpreter: throughEnv };
}

/**
 * Finds the file of a program as a shell does. The path may not exist; `undefined` for a name without a slash that is not in
 * `searchPath`.
 */
export function findProgram(
  name: string,
  cwd: string,
  searchPath = "/usr/bin:/bin",
): string | undefined {
  if (name.includes("/")) return resolveAgainst(cwd, name);
  const candidates = searchPath.split(":").map((directory) => join(resolve(cwd, directory), name));
  return candidates.find(isExecutableFile) ?? candidates.find(exists);
}

/** Not normalized, because `current` is a symbolic link: `current/..` is not its parent. */
function resolveAgainst(cwd: string, path: string): string {
  return path.startsWith("/") ? path : `${cwd}/${path}`;
}

export function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

export interface ProgramFile {
  /** The program after `#!`, or the loader of an ELF file. */
  readonly interpreter?: string | undefined;
  /** The program that `env` looks up in `PATH`: `python3` in `#!/usr/bin/env python3`. */
  readonly throughEnv?: string | undefined;
  readonly architecture?: string;
}

const HEAD_BYTES = 8_192;

/** Reads the first bytes of a program; empty for a file that cannot be read. */
export function readProgramFile(path: string): ProgramFile {
  try {
    const head = readHead(path);
    if (head.toString("latin1", 0, 2) !== "#!") return readElf(head);
    return readShebang(head.toString("latin1"));
  } catch {
    return {};
  }
}

function readShebang(text: string): ProgramFile {
  const interpreter = /^#!\s*(\S+)/.exec(text)?.[1];
  // Other options and assignments of env may change the lookup.
  return {
    interpreter,
    throughEnv: /^#!\s*\S*\/env\s+(?:-S\s+)?([\w.+][\w.+-]*)(?:\s|$)/.exec(text)?.[1],
  };
}

function readHead(path: string): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  const fd = openSync(path, "r");
  try {
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}

const LITTLE_ENDIAN = 1;
const PT_INTERP = 3;
/** https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html, e_machine */
const MACHINES: Readonly<Record<number, string>> = {
  3: "ia32",
  22: "s390x",
  40: "arm",
  62: "x64",
  183: "arm64",
  243: "riscv64",
  258: "loong64",
};

/** https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html. Throws for a truncated file. */
function readElf(head: Buffer): ProgramFile {
  if (head.toString("latin1", 0, 4) !== "\x7fELF" || head[5] !== LITTLE_ENDIAN) return {};
  const is64 = head[4] === 2;
  const word = (at: number): number =>
    is64 ? Number(head.readBigUInt64LE(at)) : head.readUInt32LE(at);
  const architecture = MACHINES[head.readUInt16LE(18)] ?? `ELF machine ${head.readUInt16LE(18)}`;
  const [table, size, count] = is64
    ? [word(32), head.readUInt16LE(54), head.readUInt16LE(56)]
    : [word(28), head.readUInt16LE(42), head.readUInt16LE(44)];
  for (let at = table; at < table + size * count; at += size) {
    if (head.readUInt32LE(at) !== PT_INTERP) continue;
    const start = word(at + (is64 ? 8 : 4));
    const end = start + word(at + (is64 ? 32 : 16));
    return { architecture, interpreter: head.toString("latin1", start, end).replace(/\0.*$/s, "") };
  }
  return { architecture };
}
