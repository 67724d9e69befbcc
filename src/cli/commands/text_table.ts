import { printable } from "../../core/printable.ts";
import { shorten } from "../../core/shorten.ts";

/** Columns are as wide as their widest cell; the last one has URLs, which must stay whole. */
const MAX_CELL_LENGTH = 256;
const MAX_LAST_LENGTH = 8192;

/**
 * Sets rows in columns; names from outside cannot reach the terminal as control characters.
 *
 * @param rows the cells; the last column is not padded.
 * @param indent what each line begins with.
 * @returns the lines, each with its newline.
 */
export function textTable(rows: readonly (readonly string[])[], indent = ""): string {
  const cells = rows.map((row) =>
    row.map((cell, column) => {
      const isLast = column === row.length - 1;
      return printable(shorten(cell, isLast ? MAX_LAST_LENGTH : MAX_CELL_LENGTH));
    }),
  );
  const widths: number[] = [];
  for (const row of cells) {
    row.slice(0, -1).forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return cells
    .map((row) => {
      const padded = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
      return `${indent}${padded.join("  ").trimEnd()}\n`;
    })
    .join("");
}
