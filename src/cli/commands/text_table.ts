import { printable, shorten } from "../../core/text.ts";
import type { TerminalStyle } from "../terminal.ts";

/** The last column has URLs, which must stay whole. */
const MAX_CELL_LENGTH = 256;
const MAX_LAST_LENGTH = 8192;

/** Aligns rows in columns; the last column is not padded. Control characters in names from outside are escaped. */
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

/** A table with a header; `paint` colours its other lines. */
export function headedTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  style: TerminalStyle,
  paint = (line: string, _row: number): string => line,
): string {
  const [first = "", ...lines] = textTable([header, ...rows]).split("\n");
  return [style.bold(first), ...lines.map(paint)].join("\n");
}

export function choiceMark(isChosen: boolean, style: TerminalStyle): string {
  return isChosen ? style.green("✓") : style.red("✗");
}
