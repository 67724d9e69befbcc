import type { CommandContext } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import { formatBytes } from "../../core/bytes.ts";
import type { Platform, Resolution } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import { formatPlatform } from "../../platform/platform.ts";
import type { AskConfig } from "../flags/ask.ts";
import { toAnswer } from "./answer.ts";
import { textTable } from "./text_table.ts";

/** The exit code of an answer that cannot be deployed. */
const NOT_READY = 2;

/**
 * `dewy check`: prints the newest version for this machine.
 *
 * @param config what was asked.
 * @returns 0 when a version is ready, else 2.
 * @throws DewyError when the registry refuses or cannot be reached.
 */
export async function runCheck(config: AskConfig, context: CommandContext): Promise<number> {
  const registry = await openConfigured(config, context);
  const resolution = await registry.resolve({ signal: context.signals.stop });
  context.stdout.write(
    config.json
      ? `${JSON.stringify(toAnswer(resolution))}\n`
      : resolutionText(resolution, context.io.platform),
  );
  return resolution.kind === "ready" ? 0 : NOT_READY;
}

/**
 * Writes an answer for people.
 *
 * @param resolution the registry's answer.
 * @param platform the machine it was asked for.
 * @returns aligned lines.
 */
export function resolutionText(resolution: Resolution, platform: Platform): string {
  switch (resolution.kind) {
    case "ready": {
      const { release, artifact, notes = [] } = resolution;
      return textTable(
        present([
          ["version", release.tag],
          ["artifact", artifact.name],
          ["url", redactUrl(artifact.url)],
          ["size", artifact.size === undefined ? undefined : formatBytes(artifact.size)],
          ["digest", artifact.digest],
          ["published", release.createdAt?.toISOString()],
          ["slot", release.slot],
          ["platform", formatPlatform(platform)],
          ...notes.map((note) => ["note", note] as const),
        ]),
      );
    }
    case "pending":
      return textTable(
        present([
          ["pending", resolution.tag],
          ["reason", resolution.message ?? "it has no artifact for this platform so far"],
          ["published", resolution.since?.toISOString()],
          ["platform", formatPlatform(platform)],
        ]),
      );
    case "none":
      return textTable(
        present([
          ["none", resolution.reason],
          ["reason", resolution.message],
          ["platform", formatPlatform(platform)],
        ]),
      );
  }
}

function present(rows: readonly (readonly [string, string | undefined])[]): [string, string][] {
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
}
