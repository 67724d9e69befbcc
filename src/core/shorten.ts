/** Truncates untrusted text to `length` characters plus `…`, so that output stays bounded. */
export function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
