import { printable } from "./printable.ts";

/**
 * Sets rows in columns; names from outside cannot reach the terminal as control characters.
 *
 * @param rows the cells; the last column is not padded.
 * @param indent what each line begins with.
 * @returns the lines, each with its newline.
 */
export function textTable(rows: readonly (readonly string[])[], indent = ""): string {
  const cells = rows.map((row) => row.map((cell) => printable(cell)));
  const widths: number[] = [];
  for (const row of cells) {
    row.forEach((cell, column) => {
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
