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
