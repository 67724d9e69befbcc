import type { DewyEvent } from "./event.ts";
import type { Redact } from "./secret.ts";

// C0, DEL, C1, and marks that reorder text: terminals and editors interpret them instead of showing them.
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: matching control characters is the purpose.
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Makes text from outside safe for a terminal: control characters are shown as escapes, not obeyed. */
export function printable(text: string, keep = ""): string {
  return text.replaceAll(UNPRINTABLE, (character) =>
    keep.includes(character) ? character : escapeOf(character),
  );
}

function escapeOf(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\r") return "\\r";
  if (character === "\t") return "\\t";
  const code = character.charCodeAt(0);
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** Truncates untrusted text to `length` characters plus `…`, so that output stays bounded. */
export function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}

/** `2026-05-04 07:00 UTC`. */
export function utcMinute(time: Date): string {
  return `${time.toISOString().slice(0, "2026-05-04T07:00".length).replace("T", " ")} UTC`;
}

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

/** Returns the candidate that the word is most likely a typo of; `undefined` if none is close. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return bestDistance <= Math.max(2, Math.floor(word.length / 3)) ? best : undefined;
}

/** Optimal string alignment distance: insertions, deletions, substitutions and transpositions. */
function editDistance(a: string, b: string): number {
  let twoAgo: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(
        at(previous, j) + 1,
        at(row, j - 1) + 1,
        at(previous, j - 1) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, at(twoAgo, j - 2) + 1);
      }
      row.push(cost);
    }
    twoAgo = previous;
    previous = row;
  }
  return at(previous, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}

/** `rollout of v1.2.0 in fleet web halted at wave 1 of 3: failed on web-7: …` */
export function rolloutText(event: Extract<DewyEvent, { type: "rollout" }>): string {
  const { fleet, tag, change, wave, waves, hosts, of, reason } = event;
  const name = `rollout of ${tag} in fleet ${fleet}`;
  const because = reason === undefined ? "" : `: ${reason}`;
  switch (change) {
    case "began":
    case "wave":
      return `${name} ${change === "began" ? "began" : "goes on"}: wave ${wave} of ${waves}, ${hosts} of ${of} hosts`;
    case "done":
      return `${name} is done: ${of} hosts`;
    case "resumed":
      return `${name} resumed at wave ${wave} of ${waves}${because}`;
    case "halted":
    case "aborted":
      return `${name} ${change} at wave ${wave} of ${waves}${because}; dewy fleet status shows every host`;
  }
}
