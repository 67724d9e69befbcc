/**
 * Makes one line of a text from outside: what a terminal or an editor would obey becomes a blank.
 *
 * @param text any text.
 * @param maxLength the length it may have, in UTF-16 units; the rest is cut off and marked with `…`.
 * @returns the line.
 */
export function plainText(text: string, maxLength: number): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, " ").trim();
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 1)}…`;
}

/**
 * Returns whether a text from outside is a file name: without a path, control characters and surrogates.
 *
 * @param name any text.
 */
export function isFileName(name: string): boolean {
  return name.length <= 255 && plainText(name, 255) === name && !/[\\/]|^\.{0,2}$/.test(name);
}

/**
 * Says whether a name from outside is short and plain: no blanks, no control characters, no path.
 *
 * @param name an operating system, an architecture, a command.
 * @returns whether it can be used.
 */
export function isPlainName(name: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,31}$/i.test(name);
}
