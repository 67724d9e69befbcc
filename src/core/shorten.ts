/**
 * Cuts a name from outside, so that no output grows without bound.
 *
 * @param text the name.
 * @param length how many characters are kept at most.
 * @returns the text, with `…` at its end if it was cut.
 */
export function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
