import { plainLine } from "../../core/text.ts";
import { card, type Html, html } from "./html.ts";
import { timeClock } from "./time.ts";
import type { PageView } from "./view.ts";

/** The last lines of the app; absent if the reader may not see them. */
export function appLogSection({ appLines }: PageView): Html {
  return logSection("app-log", "Output of the app", appLines?.map(appLine));
}

/** The last lines of dewy's own log. */
export function ownLogSection({ ownLines }: PageView): Html {
  return logSection("dewy-log", "Log of dewy", ownLines?.map(ownLine));
}

function logSection(id: string, title: string, lines: readonly Html[] | undefined): Html {
  const log = html`<div class="log" role="region" aria-labelledby="${id}-title" tabindex="0"><pre>${lines}</pre></div>`;
  const body = lines?.length === 0 ? html`<p class="note">No output yet.</p>` : log;
  return card(id, title, lines && body);
}

const LEVELS = [
  ["bad", /\b(?:ERROR|FATAL|PANIC)\b|level["=: ]+(?:error|fatal|panic)/],
  ["warn", /\bWARN(?:ING)?\b|level["=: ]+warn/],
] as const;

function appLine(line: string): Html {
  const tone = LEVELS.find(([, pattern]) => pattern.test(line))?.[0];
  return html`<span class="${tone}">${plainLine(line)}\n</span>`;
}

const OWN_LINE = /^time=(\S+) level=(\S+) msg=(?:"((?:[^"\\]|\\.)*)"|(\S+))(.*)$/;

/** The time in the reader's time zone, the message, and its fields less prominent. */
function ownLine(line: string): Html {
  const [, at = "", level = "", quoted, word, fields] = OWN_LINE.exec(line) ?? [];
  const message = quoted ?? word;
  if (message === undefined) return appLine(line);
  const tone = level === "ERROR" ? "bad" : level === "WARN" && "warn";
  return html`<span class="${tone}">${timeClock(at)} ${tone && `${level} `}${message}<span class="soft">${fields}</span>\n</span>`;
}
