import type { CommandContext } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import type { Explanation } from "../../core/types.ts";
import { formatPlatform } from "../../platform/platform.ts";
import { explainRegistry } from "../../registries/open.ts";
import type { AskConfig } from "../flags/ask.ts";
import { toAnswer } from "./answer.ts";
import { resolutionText } from "./check.ts";
import { textTable } from "./text_table.ts";

/**
 * `dewy explain`: prints every candidate, chosen or the reason why not.
 *
 * @param config what was asked.
 * @returns 0: the question was answered, whatever the answer.
 * @throws DewyError when the registry refuses or cannot be reached.
 */
export async function runExplain(config: AskConfig, context: CommandContext): Promise<number> {
  const registry = await openConfigured(config, context);
  const explanation = await explainRegistry(registry, { signal: context.signals.stop });
  context.stdout.write(
    config.json
      ? `${JSON.stringify({ ...explanation, resolution: toAnswer(explanation.resolution) })}\n`
      : explanationText(explanation),
  );
  return 0;
}

/**
 * Writes an explanation for people; what was chosen is marked with `*`.
 *
 * @param explanation every candidate.
 * @returns lines.
 */
export function explanationText(explanation: Explanation): string {
  const { registry, platform, tags, artifacts, resolution } = explanation;
  const sections = [
    textTable([
      ["registry", registry],
      ["platform", formatPlatform(platform)],
    ]),
    `tags (${tags.length})\n${textTable(tags.map(({ tag, chosen, reason }) => [mark(chosen), tag, reason]))}`,
    `artifacts (${artifacts.length})\n${textTable(artifacts.map(({ name, chosen, reason }) => [mark(chosen), name, reason]))}`,
    `answer\n${resolutionText(resolution, platform)}`,
  ];
  return sections.join("\n");
}

function mark(chosen: boolean): string {
  return chosen ? "*" : " ";
}
