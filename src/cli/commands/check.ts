import type { CommandContext } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import { formatBytes } from "../../core/bytes.ts";
import type { Platform, Registry, Resolution } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import { formatPlatform } from "../../platform/platform.ts";
import type { AskConfig } from "../flags/ask.ts";
import { type TerminalStyle, terminalStyle } from "../terminal.ts";
import { type Aged, ageJson, ageRows, resolveAged } from "./age.ts";
import { toAnswer } from "./answer.ts";
import { choiceMark, textTable } from "./text_table.ts";
import type { Verdict } from "./verdict.ts";

/** The exit code if there is nothing to deploy. */
export const NOT_READY = 2;

export async function runCheck(config: AskConfig, context: CommandContext): Promise<number> {
  const registry = await openConfigured(config, context);
  const { minAgeMs } = config;
  const now = context.clock.now();
  const answer = await resolveAged(registry, { signal: context.signals.stop }, { minAgeMs, now });
  const verdict = await verdictOf(answer.resolution, registry, config, context);
  writeResolution({ ...answer, verdict }, config, context);
  return answer.resolution.kind === "ready" && !verdict?.isRefused ? 0 : NOT_READY;
}

export interface Answer extends Aged {
  /** Absent without `--verify`. */
  verdict?: Verdict | undefined;
}

/** Only `--verify` costs a download, and its modules. */
export async function verdictOf(
  resolution: Resolution,
  registry: Registry,
  config: AskConfig,
  context: CommandContext,
): Promise<Verdict | undefined> {
  if (config.verify.length === 0) return undefined;
  const { judge } = await import("./verdict.ts");
  return judge(resolution, registry, config, context);
}

export function writeResolution(
  answer: Answer,
  { json }: Pick<AskConfig, "json">,
  { io, stdout, env }: CommandContext,
): void {
  const { resolution, age, verdict } = answer;
  const more = { ...(age && ageJson(age)), ...(verdict && { verification: verdict.json }) };
  stdout.write(
    json
      ? `${JSON.stringify({ ...toAnswer(resolution), ...more })}\n`
      : resolutionText(answer, io.platform, terminalStyle(stdout, env)),
  );
}

/** Formats a resolution as aligned lines; on a terminal, the first one has a mark. */
export function resolutionText(
  { resolution, age, verdict }: Answer,
  platform: Platform,
  style: TerminalStyle,
): string {
  const { notes = [] } = resolution.kind === "ready" ? resolution : {};
  const rows = [
    ...resolutionRows(resolution),
    ...(age === undefined ? [] : ageRows(resolution, age)),
    ...(verdict?.rows ?? []),
    ["platform", formatPlatform(platform)],
    ...notes.map((note) => ["note", note]),
  ];
  const table = textTable(
    rows.flatMap(([name = "", value]) => (value === undefined ? [] : [[name, value]])),
    style.isTerminal ? "  " : "",
  );
  if (!style.isTerminal) return table;
  return `${choiceMark(resolution.kind === "ready" && !verdict?.isRefused, style)}${table.slice(1)}`;
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
