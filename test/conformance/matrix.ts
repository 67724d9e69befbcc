import type { Outcome } from "./case.ts";

const MARKS = { passed: "yes", failed: "NO", skipped: "–" };

/**
 * A table of cases and runtimes in Markdown, with the reason of everything that was skipped. A text
 * instead of outcomes is the reason why a runtime did not run.
 */
export function matrixOf(columns: ReadonlyMap<string, readonly Outcome[] | string>): string {
  const names = [...columns.keys()];
  const outcomes = [...columns.values()].map((column) =>
    typeof column === "string" ? [] : column,
  );
  const [first = []] = outcomes.filter((column) => column.length > 0);
  const rows = first.map(({ area, name }) => {
    const marks = outcomes.map((column) => {
      const found = column.find((one) => one.area === area && one.name === name);
      return found === undefined ? "–" : MARKS[found.status];
    });
    return row([area, name, ...marks]);
  });
  const reasons = new Set(
    [...columns].flatMap(([runtime, column]) =>
      typeof column === "string"
        ? [`${runtime} did not run: ${column}`]
        : column.flatMap(({ status, note, name }) =>
            status === "passed" ? [] : [`${runtime} ${status} "${name}": ${note}`],
          ),
    ),
  );
  const head = ["Area", "Case", ...names];
  return [
    row(head),
    row(head.map(() => "---")),
    ...rows,
    "",
    ...[...reasons].map((one) => `- ${one}`),
  ].join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
