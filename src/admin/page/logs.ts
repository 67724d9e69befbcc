import { printable } from "../../core/text.ts";
import { type Html, html } from "./html.ts";
import type { PageView } from "./view.ts";

/** The last lines of the app; absent if the reader may not see them. */
export function appLogSection({ appLines }: PageView): Html {
  return logSection("app-log", "Output of the app", appLines);
}

/** The last lines of dewy's own log. */
export function ownLogSection({ ownLines }: PageView): Html {
  return logSection("dewy-log", "Log of dewy", ownLines);
}

function logSection(id: string, title: string, lines: readonly string[] | undefined): Html {
  if (lines === undefined) return html`<section id="${id}" hidden></section>`;
  const text =
    lines.length === 0
      ? html`<p class="note">No output yet.</p>`
      : html`<div class="log" role="region" aria-labelledby="${id}-title" tabindex="0"><pre>${lines.map(
          (line) => html`<span class="${levelOf(line)}">${plainLine(line)}\n</span>`,
        )}</pre></div>`;
  return html`<section id="${id}" class="card" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${text}
</section>`;
}

const LEVELS = [
  ["bad", /\b(?:ERROR|FATAL|PANIC)\b|level["=: ]+(?:error|fatal|panic)/],
  ["warn", /\bWARN(?:ING)?\b|level["=: ]+warn/],
] as const;

function levelOf(line: string): string | undefined {
  return LEVELS.find(([, pattern]) => pattern.test(line))?.[0];
}

// ECMA-48: control sequences, strings such as OSC with their end, and other escapes.
const ESCAPES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: matching control characters is the purpose.
  /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[PX\]^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]/g;

/** A line without colours; what would still control a terminal is shown as an escape. */
export function plainLine(line: string): string {
  return printable(line.replaceAll(ESCAPES, "").replace(/[\r\n]+$/, ""), "\t");
}
