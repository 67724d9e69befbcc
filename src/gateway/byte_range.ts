/** The first and the last byte of a part, from 0. */
export interface ByteRange {
  start: number;
  /** Included. */
  end: number;
}

/**
 * Reads a `Range` header. Several ranges, other units and what cannot be read count as none: the whole is sent.
 * https://www.rfc-editor.org/rfc/rfc9110#section-14.2
 *
 * @param header the header's value; `null` when there is none.
 * @param size the bytes there are.
 * @returns the part; `undefined` for the whole; `unsatisfiable` when it lies beyond the end.
 */
export function readRange(
  header: string | null,
  size: number,
): ByteRange | "unsatisfiable" | undefined {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return undefined;
  if (start >= size) return "unsatisfiable";
  return { start, end: last === "" ? size - 1 : Math.min(Number(last), size - 1) };
}
