/**
 * The single binaries, which `npm run test:binaries` builds.
 *
 * @module
 */
import { join } from "node:path";
import process from "node:process";
import { ROOT } from "../runtime/runtimes.ts";

/** The name of this machine's target in .ci/binaries.mjs. */
export const HERE: string = `linux_${process.arch === "x64" ? "amd64" : process.arch}`;
/** The binary for this machine. */
export const BINARY: string = binaryOf(HERE);

export function binaryOf(target: string): string {
  return join(ROOT, "build", `dewy_${target}`);
}
