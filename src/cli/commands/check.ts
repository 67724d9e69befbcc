import type { CommandContext } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import { formatBytes } from "../../core/bytes.ts";
import type { Platform, Resolution } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import { formatPlatform } from "../../platform/platform.ts";
import type { AskConfig } from "../flags/ask.ts";
import { type TerminalStyle, terminalStyle } from "../terminal.ts";
import { type Aged, ageJson, ageRows, resolveAged } from "./age.ts";
import { toAnswer } from "./answer.ts";
import { choiceMark, textTable } from "./text_table.ts";

/** The exit code if there is nothing to deploy. */
export const NOT_READY = 2;

export async function runCheck(config: AskConfig, context: CommandContext): Promise<number> {
  const registry = await openConfigured(config, context);
  const { minAgeMs } = config;
  const now = context.clock.now();
  const answer = await resolveAged(registry, { signal: context.signals.stop }, { minAgeMs, now });
  writeResolution(answer, config, context);
  return answer.resolution.kind === "ready" ? 0 : NOT_READY;
}

export function writeResolution(
  answer: Aged,
  { json }: Pick<AskConfig, "json">,
  { io, stdout, env }: CommandContext,
): void {
  const { resolution, age } = answer;
  stdout.write(
    json
      ? `${JSON.stringify({ ...toAnswer(resolution), ...(age && ageJson(age)) })}\n`
      : resolutionText(answer, io.platform, terminalStyle(stdout, env)),
  );
}

/** Formats a resolution as aligned lines; on a terminal, the first one has a mark. */
export function resolutionText(
  { resolution, age }: Aged,
  platform: Platform,
  style: TerminalStyle,
): string {
  const { notes = [] } = resolution.kind === "ready" ? resolution : {};
  const rows = [
    ...resolutionRows(resolution),
    ...(age === undefined ? [] : ageRows(resolution, age)),
    ["platform", formatPlatform(platform)],
    ...notes.map((note) => ["note", note]),
  ];
  const table = textTable(
    rows.flatMap(([name = "", value]) => (value === undefined ? [] : [[name, value]])),
    style.isTerminal ? "  " : "",
  );
  if (!style.isTerminal) return table;
  return `${choiceMark(resolution.kind === "ready", style)}${table.slice(1)}`;
}

function resolutionRows(resolution: Resolution): [name: string, value: string | undefined][] {
  switch (resolution.kind) {
    case "ready": {
      const { release, artifact } = resolution;
      return [
        ["version", release.tag],
        ["artifact", artifact.name],
        ["url", redactUrl(artifact.url)],
        ["size", artifact.size === undefined ? undefined : formatBytes(artifact.size)],
        ["digest", artifact.digest],
        ["published", release.createdAt?.toISOString()],
        ["slot", release.slot],
      ];
    }
    case "pending":
      return [
        ["pending", resolution.tag],
        ["reason", resolution.message ?? "there is no artifact for this platform yet"],
        ["published", resolution.since?.toISOString()],
      ];
    case "none":
      return [
        ["version", `none (${resolution.reason})`],
        ["reason", resolution.message],
      ];
  }
}
