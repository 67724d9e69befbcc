/**
 * Builds the single binary of this machine before any test of it runs.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { ROOT } from "../runtime/runtimes.ts";

/** The name of this machine's target in .ci/binaries.mjs. */
export const HERE: string = `linux_${process.arch === "x64" ? "amd64" : process.arch}`;
/** The binary for this machine. */
export const BINARY: string = binaryOf(HERE);

export function binaryOf(target: string): string {
  return join(ROOT, "build", `dewy_${target}`);
}

export async function build(...targets: readonly string[]): Promise<void> {
  const bun = join(ROOT, "node_modules", ".bin", "bun");
  await promisify(execFile)(bun, [join(ROOT, ".ci", "binaries.mjs"), ...targets]);
}

/** Called by vitest. */
export async function setup(): Promise<void> {
  await build(HERE);
}
