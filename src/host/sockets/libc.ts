import type { Environment } from "../../core/environment.ts";

/** Calls of the C library that Deno lacks. */
interface Libc {
  closeOnExec(fd: number, on: boolean): void;
  /** Returns only if the system refuses. */
  execve(file: string, args: readonly string[], env: Environment): void;
}

/** https://docs.deno.com/api/deno/~/Deno.dlopen */
interface DenoForeign {
  dlopen(
    file: string,
    symbols: Record<string, { parameters: readonly string[]; result: string }>,
  ): { symbols: Record<string, (...args: readonly unknown[]) => number> };
  UnsafePointer: { of(bytes: Uint8Array): unknown; value(pointer: unknown): bigint };
}

const NAMES = ["libc.so.6", "libSystem.B.dylib", "libc.so"];
const F_SETFD = 2;
const FD_CLOEXEC = 1;

let opened: { libc: Libc | undefined } | undefined;

/** Returns `undefined` on Node and Bun, and where Deno may not use FFI. */
export function libc(): Libc | undefined {
  opened ??= { libc: open((globalThis as { Deno?: DenoForeign }).Deno) };
  return opened.libc;
}

function open(deno: DenoForeign | undefined): Libc | undefined {
  if (deno === undefined) return undefined;
  for (const name of NAMES) {
    try {
      const { symbols } = deno.dlopen(name, {
        fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
        execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
      });
      return {
        closeOnExec: (fd, on) => void symbols.fcntl?.(fd, F_SETFD, on ? FD_CLOEXEC : 0),
        execve: (file, args, env) => {
          const kept: Uint8Array[] = [];
          const variables = Object.entries(env).map(([key, value]) => `${key}=${value ?? ""}`);
          symbols.execve?.(
            text(file),
            textArray(deno, args, kept),
            textArray(deno, variables, kept),
          );
        },
      };
    } catch {
      // Another C library, or no permission.
    }
  }
  return undefined;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

/** An array of pointers with a null at its end; their targets must stay in `kept`. */
function textArray(deno: DenoForeign, values: readonly string[], kept: Uint8Array[]): Uint8Array {
  const pointers = new BigUint64Array(values.length + 1);
  values.forEach((value, index) => {
    const bytes = text(value);
    kept.push(bytes);
    pointers[index] = deno.UnsafePointer.value(deno.UnsafePointer.of(bytes));
  });
  const array = new Uint8Array(pointers.buffer);
  kept.push(array);
  return array;
}
