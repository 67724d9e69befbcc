import type { Outcome } from "./case.ts";

const MARKS = { passed: "yes", failed: "NO", skipped: "–" };

/**
 * A table of cases and runtimes in Markdown, with the reason of everything that was skipped. A text
 * instead of outcomes is the reason why a runtime did not run.
 */
export function matrixOf(columns: ReadonlyMap<string, readonly Outcome[] | string>): string {
  const outcomes = [...columns.values()].map((column) =>
    typeof column === "string" ? [] : column,
  );
  const [first = []] = outcomes.filter((column) => column.length > 0);
  const rows = first.map(({ area, name }) => [
    area,
    name,
    ...outcomes.map((column) => {
      const found = column.find((one) => one.area === area && one.name === name);
      return found === undefined ? "–" : MARKS[found.status];
    }),
  ]);
  const head = ["Area", "Case", ...columns.keys()];
  const table = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return [...table, "", ...reasonsOf(columns)].join("\n");
}

/** One line for each case and reason. */
function reasonsOf(columns: ReadonlyMap<string, readonly Outcome[] | string>): string[] {
  const runtimes = new Map<string, string[]>();
  const add = (why: string, runtime: string): void => {
    runtimes.set(why, [...(runtimes.get(why) ?? []), runtime]);
  };
  for (const [runtime, column] of columns) {
    if (typeof column === "string") {
      add(`Did not run: ${column}`, runtime);
      continue;
    }
    for (const { status, note = "", name } of column) {
      if (status === "failed") add(`Failed "${name}": ${note}`, runtime);
      if (status === "skipped") add(`Skipped, because ${note}: "${name}"`, runtime);
    }
  }
  return [...runtimes].map(([why, names]) => `* ${names.join(", ")}. ${why}`);
}
