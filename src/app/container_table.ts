import type { AdminContainer } from "../admin/admin_container.ts";
import { printable } from "./printable.ts";

const GAP = 4;

/**
 * Sorts containers by their names.
 *
 * @param containers the containers, in any order.
 * @returns the same, sorted.
 */
export function byName(containers: readonly AdminContainer[]): readonly AdminContainer[] {
  return [...containers].sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

/**
 * Writes containers for people.
 *
 * @param containers the containers, in the order to show them.
 * @returns a table, or that there are none.
 */
export function containerTable(containers: readonly AdminContainer[]): string {
  if (containers.length === 0) return "No containers found.\n";
  const rows = [
    ["UPSTREAM", "DEPLOY TIME", "NAME"],
    ...containers.map(({ ip_port, deployed_at, name }) => [ip_port, dateTime(deployed_at), name]),
  ].map((row) => row.map((cell) => printable(cell)));
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => cell.padEnd(column < 2 ? (widths[column] ?? 0) + GAP : 0)).join("");
  return rows.map((row) => `${line(row)}\n`).join("");
}

/** `2026-05-01T12:00:00Z` is `2026-05-01 12:00:00`, in the zone in which it was written. */
function dateTime(text: string): string {
  return text.slice(0, "2026-05-01T12:00:00".length).replace("T", " ");
}
