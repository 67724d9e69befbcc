import type { CommandContext } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import type { Explanation } from "../../core/types.ts";
import { formatPlatform } from "../../platform/platform.ts";
import type { AskConfig } from "../flags/ask.ts";
import { compileWindows, type DeployWindows } from "../flags/windows.ts";
import { type TerminalStyle, terminalStyle } from "../terminal.ts";
import { agedTags, ageJson, resolveAged } from "./age.ts";
import { toAnswer } from "./answer.ts";
import { type Answer, resolutionText, verdictOf } from "./check.ts";
import { choiceMark, textTable } from "./text_table.ts";

export async function runExplain(config: AskConfig, context: CommandContext): Promise<number> {
  const registry = await openConfigured(config, context);
  const { minAgeMs } = config;
  const now = context.clock.now();
  const windows = await compileWindows(config.windows);
  const options = { explain: true, signal: context.signals.stop };
  const { resolution: full, age } = await resolveAged(registry, options, { minAgeMs, now });
  const { explanation, ...resolution } = full;
  if (explanation === undefined) throw new TypeError("the registry does not explain its answers");
  const tags = age === undefined ? explanation.tags : agedTags(explanation.tags, age);
  const verdict = await verdictOf(resolution, registry, config, context);
  const shown: Explained = {
    ...{ ...explanation, tags, resolution, verdict },
    ...(age && { age }),
    ...(windows && { window: windowState(windows, now) }),
  };
  context.stdout.write(
    config.json
      ? `${JSON.stringify(explanationJson(shown))}\n`
      : explanationText(shown, terminalStyle(context.stdout, context.env)),
  );
  return 0;
}

interface WindowState {
  isOpen: boolean;
  /** When that changes; `undefined` if a window is always open. */
  until: Date | undefined;
}

export interface Explained extends Explanation, Pick<Answer, "age" | "verdict"> {
  /** Absent without windows. */
  window?: WindowState;
}

function windowState(windows: DeployWindows, now: number): WindowState {
  const opensAt = windows.opensAt(now);
  const changesAt = opensAt ?? windows.closesAt(now);
  return {
    isOpen: opensAt === undefined,
    until: changesAt === undefined ? undefined : new Date(changesAt),
  };
}

/** The JSON of `dewy explain`: docs/operations.md describes its fields. */
export function explanationJson({ age, verdict, window, resolution, ...explanation }: Explained) {
  return {
    ...explanation,
    resolution: toAnswer(resolution),
    ...(age && ageJson(age)),
    ...(verdict && { verification: verdict.json }),
    ...(window && {
      window: { open: window.isOpen, until: window.until?.toISOString() ?? null },
    }),
  };
}

/** Formats an explanation; the choice is marked with `*`, and on a terminal with `✓` and `✗`. */
export function explanationText(explained: Explained, style: TerminalStyle): string {
  const { registry, platform, tags, artifacts, window } = explained;
  const sections = [
    textTable([
      ["registry", registry],
      ["platform", formatPlatform(platform)],
      ...(window === undefined ? [] : [["window", windowText(window)]]),
    ]),
    candidates(
      "tags",
      tags.map(({ tag, ...rest }) => ({ name: tag, ...rest })),
      style,
    ),
    candidates("artifacts", artifacts, style),
    `${style.bold("answer")}\n${resolutionText(explained, platform, style)}`,
  ];
  return sections.join("\n");
}

function windowText({ isOpen, until }: WindowState): string {
  if (until === undefined) return "always open";
  return `${isOpen ? "open" : "closed"} until ${until.toISOString()}`;
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
