/**
 * The output of programs as people read it on a page or in a terminal.
 *
 * @module
 */
import type { Redact } from "./secret.ts";
import { printable } from "./text.ts";

const MAX_LINES = 200;
const MAX_BYTES = 64 * 1024;
const MAX_CHARACTERS = 4_096;

/** Colours and movements of the cursor, titles and links of a terminal, and other sequences: ECMA-48. */
const ESCAPES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: matching control characters is the purpose.
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|[PX\]^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])/g;

/** Removes secrets, escape sequences and control characters from the last lines of a program. */
export function outputForPeople(lines: readonly string[], redact: Redact): readonly string[] {
  // A secret may have an escape sequence in it.
  return lastWithin(lines.slice(-MAX_LINES).map((line) => redact(plainLine(line))));
}

/** The last lines that fit into 200 lines and 64 KiB. */
export function lastWithin(lines: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let bytes = 0;
  for (const line of lines.slice(-MAX_LINES).reverse()) {
    const cut = line.slice(0, MAX_CHARACTERS);
    bytes += new TextEncoder().encode(cut).byteLength + 1;
    if (bytes > MAX_BYTES) break;
    kept.push(cut);
  }
  return kept.reverse();
}

/** One line without escape sequences. A progress bar returns to the start of its line and overwrites it. */
export function plainLine(line: string): string {
  const text = line.replaceAll(ESCAPES, "").replace(/\r+$/, "");
  return printable(text.slice(text.lastIndexOf("\r") + 1), "\t");
}
