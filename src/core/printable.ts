// C0, DEL, C1, and the marks that reorder text: what a terminal or an editor would obey instead of show.
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;

/**
 * Makes text from outside safe for a terminal: control characters are shown as escapes, not obeyed.
 *
 * @param text a tag, a file name, an error message.
 * @param keep control characters to leave as they are, such as a newline.
 * @returns the text to print.
 */
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
