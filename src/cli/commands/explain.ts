import type { CommandContext } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import type { Explanation } from "../../core/types.ts";
import { formatPlatform } from "../../platform/platform.ts";
import { explainRegistry } from "../../registries/open.ts";
import type { AskConfig } from "../flags/ask.ts";
import { type TerminalStyle, terminalStyle } from "../terminal.ts";
import { toAnswer } from "./answer.ts";
import { resolutionText } from "./check.ts";
import { choiceMark, textTable } from "./text_table.ts";

export async function runExplain(config: AskConfig, context: CommandContext): Promise<number> {
  const registry = await openConfigured(config, context);
  const explanation = await explainRegistry(registry, { signal: context.signals.stop });
  context.stdout.write(
    config.json
      ? `${JSON.stringify({ ...explanation, resolution: toAnswer(explanation.resolution) })}\n`
      : explanationText(explanation, terminalStyle(context.stdout, context.env)),
  );
  return 0;
}

/** Formats an explanation; the choice is marked with `*`, and on a terminal with `✓` and `✗`. */
export function explanationText(explanation: Explanation, style: TerminalStyle): string {
  const { registry, platform, tags, artifacts, resolution } = explanation;
  const sections = [
    textTable([
      ["registry", registry],
      ["platform", formatPlatform(platform)],
    ]),
    candidates(
      "tags",
      tags.map(({ tag, ...rest }) => ({ name: tag, ...rest })),
      style,
    ),
    candidates("artifacts", artifacts, style),
    `${style.bold("answer")}\n${resolutionText(resolution, platform, style)}`,
  ];
  return sections.join("\n");
}

function candidates(
  title: string,
  rows: readonly { name: string; chosen: boolean; reason: string }[],
  style: TerminalStyle,
): string {
  const table = textTable(
    rows.map(({ name, chosen, reason }) => [chosen ? "*" : " ", name, reason]),
  );
  // Marked line by line behind the table, which would escape the colours.
  const lines = table.split("\n").map((line, index) => {
    const row = rows[index];
    if (row === undefined || !style.isTerminal) return line;
    const text = row.chosen ? line.slice(1) : style.dim(line.slice(1));
    return `${choiceMark(row.chosen, style)}${text}`;
  });
  return `${style.bold(`${title} (${rows.length})`)}\n${lines.join("\n")}`;
}
