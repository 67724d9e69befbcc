/** The parts of a message to a chat service, and how they are shortened to fit. */
import { formatDuration } from "../core/duration.ts";
import { printable } from "../core/text.ts";
import type { Notification } from "./driver.ts";
import { hookOf } from "./hook.ts";
import { mapText, plainText, type RichText, type Span } from "./rich_text.ts";

/** The sender's name and picture. */
export const SENDER = {
  name: "Dewy",
  icon: "https://raw.githubusercontent.com/linyows/dewy/main/misc/dewy-icon.512.png",
};

export type Tone = "good" | "bad" | "neutral";

const TONES: Readonly<Record<Notification["kind"], Tone>> = {
  message: "neutral",
  success: "good",
  error: "bad",
  "hook-passed": "good",
  "hook-failed": "bad",
};

export const TONE_COLORS = { good: "#36a64f", bad: "#dd0000" } as const;

export function toneOf({ kind }: Notification): Tone {
  return TONES[kind];
}

/** Whether the `mention` option applies. */
export function isFailure(notification: Notification): boolean {
  return toneOf(notification) === "bad";
}

/** The text with the output of a hook. Control characters are shown as escapes. */
export function fullText({ text, entry }: Notification): RichText {
  const hook = hookOf(entry);
  if (hook === undefined) return shown(text);
  const duration = `\nDuration: ${formatDuration(hook.durationMs)}`;
  return shown([
    ...text,
    ...output("Stdout", hook.stdout),
    ...output("Stderr", hook.stderr),
    duration,
  ]);
}

function output(name: string, text: string): Span[] {
  return text === "" ? [] : ["\n", { bold: name }, { lines: text.split("\n") }];
}

function shown(text: RichText): RichText {
  return mapText(text, (part) => printable(part, "\n\t"));
}

const MIN_PART = 100;

/**
 * Shortens the parts of a text until it fits into a message, visibly: of output the end remains, of everything else the
 * start.
 *
 * @param most the length that no text exceeds which fits.
 */
export function fitText(text: RichText, most: number, fits: (text: RichText) => boolean): RichText {
  for (let length = most; length > MIN_PART; length = Math.floor(length * 0.8)) {
    const cut = (part: string, isOutput: boolean) => (isOutput ? cutStart : cutEnd)(part, length);
    const shorter = mapText(text, cut);
    if (fits(shorter)) return shorter;
  }
  return [cutEnd(plainText(text), MIN_PART)];
}

/** Keeps the start, if possible up to the end of a line, and says how much is missing. */
export function cutEnd(text: string, length: number): string {
  if (text.length <= length) return text;
  const kept = headOf(text, length);
  const mark = text[kept.length] === "\n" ? "\n" : "";
  return `${kept}${mark}… (${text.length - kept.length} more characters truncated)`;
}

/** The start of a text, if possible up to the end of a line. */
export function headOf(text: string, length: number): string {
  const head = text.slice(0, length);
  const lineEnd = head.lastIndexOf("\n");
  return lineEnd > 0 ? head.slice(0, lineEnd) : wholeCharacters(head);
}

/** Keeps the end, if possible from the start of a line, and says how much is missing. */
export function cutStart(text: string, length: number): string {
  if (text.length <= length) return text;
  const tail = text.slice(-length);
  const lineStart = tail.indexOf("\n") + 1;
  const kept =
    lineStart > 0 && lineStart < tail.length ? tail.slice(lineStart) : wholeCharacters(tail);
  return `… (${text.length - kept.length} characters truncated)\n${kept}`;
}

/** Without the half of a surrogate pair at its ends. */
function wholeCharacters(text: string): string {
  return text.replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, "");
}
