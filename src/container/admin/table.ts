import { printable } from "../../core/text.ts";
import type { AdminContainer } from "./container.ts";

const GAP = 4;

export function byName(containers: readonly AdminContainer[]): readonly AdminContainer[] {
  return [...containers].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

/** The state comes last, because scripts for the Go dewy count columns. */
export function containerTable(containers: readonly AdminContainer[]): string {
  if (containers.length === 0) return "No containers found.\n";
  const hasStates = containers.some(({ state }) => state !== undefined);
  const columns = hasStates ? 4 : 3;
  const rows = [
    ["UPSTREAM", "DEPLOY TIME", "NAME", "STATE"],
    ...containers.map(({ ip_port, deployed_at, name, state = "" }) => [
      ip_port,
      dateTime(deployed_at),
      name,
      state,
    ]),
  ].map((row) => row.slice(0, columns).map((cell) => printable(cell)));
  const width = (column: number): number =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)) + GAP;
  const widths = Array.from({ length: columns - 1 }, (_, column) => width(column));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("")
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join("");
}

/** Formats `2026-05-01T12:00:00Z` as `2026-05-01 12:00:00`, without converting the time zone. */
function dateTime(text: string): string {
  return text.slice(0, "2026-05-01T12:00:00".length).replace("T", " ");
}
