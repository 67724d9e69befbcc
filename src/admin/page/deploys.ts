import { plainLine } from "../../core/text.ts";
import type { JournalEntry } from "../../journal/entry.ts";
import { entryText, withoutTag } from "../../journal/entry_text.ts";
import { card, type Html, html } from "./html.ts";
import { duration, prose, timeAgo, timeAt } from "./time.ts";
import {
  type DeployItem,
  EVENT_TEXTS,
  type EventItem,
  type Outcome,
  timelineOf,
} from "./timeline.ts";
import type { Tone } from "./verdict.ts";
import type { PageView } from "./view.ts";

/** The last deploys with the durations of their phases, and what happened between them. */
export function deploysSection({ entries, now }: PageView): Html {
  const items = timelineOf(entries);
  const longest = Math.max(1, ...items.map((one) => (one.kind === "deploy" ? one.totalMs : 0)));
  const rows = items.map((item) =>
    item.kind === "deploy" ? deployRow(item, longest, now) : eventRow(item, now),
  );
  const list = html`<ol class="timeline">${rows}</ol>`;
  return card(
    "deploys",
    "History",
    rows.length === 0 ? html`<p class="note">No entries yet.</p>` : list,
  );
}

const OUTCOMES: Readonly<Record<Outcome, readonly [tone: Tone, mark: string, text: string]>> = {
  deployed: ["good", "✓", "Deployed"],
  "rolled-back": ["bad", "↩", "Rolled back"],
  failed: ["bad", "✕", "Failed"],
  superseded: ["calm", "→", "Superseded"],
  "given-up": ["calm", "–", "Given up"],
};

function deployRow(item: DeployItem, longest: number, now: number): Html {
  const { key, outcome, entry, phases, totalMs } = item;
  const [tone, mark, text] = OUTCOMES[outcome];
  const took = totalMs > 0 && html` <span class="soft">${wordOf(item)} ${duration(totalMs)}</span>`;
  return html`<li class="deploy ${tone}" data-key="${key}"><span class="mark" aria-hidden="true">${mark}</span>
<div class="line"><h3><span class="version">${entry.tag}</span> <span class="outcome">${text}${towards(item)}</span>${took}</h3>
${when(entry, now)}</div>
${causeOf(item)}
${phases.length > 0 && [bar(phases, totalMs / longest), phaseList(phases)]}
${outputOf(item)}
</li>`;
}

function wordOf({ outcome, entry: { user } }: DeployItem): string {
  return outcome === "deployed" || user !== undefined ? "in" : "after";
}

function when({ at }: JournalEntry, now: number): Html {
  return html`<p class="when">${timeAgo(at, now)} <span class="soft">${timeAt(at, now)}</span></p>`;
}

/** Where traffic went: `to v1.2.0`, `by v1.3.0`. */
function towards({ outcome, entry: { to, by, previousTag } }: DeployItem): Html | undefined {
  const [word, tag] = {
    deployed: ["from", previousTag] as const,
    "rolled-back": ["to", to] as const,
    superseded: ["by", by] as const,
    failed: [],
    "given-up": [],
  }[outcome];
  if (tag === undefined || tag === "") return undefined;
  return html` ${word} <span class="version">${tag}</span>`;
}

const SHORT_REASON = 240;

function causeOf({ entry }: DeployItem): Html | undefined {
  const { user, message, phase, tag } = entry;
  if (user !== undefined) {
    return html`<p class="cause">by ${user}${message !== undefined && html`: <q>${message}</q>`}</p>`;
  }
  const reason = entry.reason && withoutTag(entry.reason, tag);
  if (reason === undefined || reason === "") return undefined;
  const place = phase !== undefined && html`in ${phase}: `;
  if (reason.length <= SHORT_REASON) return html`<p class="cause">${place}${reason}</p>`;
  return html`<details class="cause" data-key="cause"><summary>${place}${reason.slice(0, SHORT_REASON)}…</summary><p>${reason}</p></details>`;
}

const MIN_SHARE = 0.6;

/** Widths are attributes of SVG, because the page's content security policy forbids styles of elements. */
function bar(phases: DeployItem["phases"], share: number): Html {
  const total = Math.max(
    1,
    phases.reduce((sum, [, ms]) => sum + ms, 0),
  );
  const shown = phases.filter(([, ms]) => ms > 0);
  const wide = shown.map(([name, ms]) => [name, Math.max(MIN_SHARE, (ms / total) * 100)] as const);
  const sum = wide.reduce((all, [, width]) => all + width, 0);
  let x = 0;
  const segments = wide.map(([name, width]) => {
    const start = x;
    x += (width / sum) * 100;
    return html`<rect class="p-${name}" x="${start.toFixed(2)}%" width="${(x - start).toFixed(2)}%" height="100%"/>`;
  });
  return html`<svg class="bar" aria-hidden="true" width="${Math.max(6, share * 100).toFixed(1)}%" height="8">${segments}</svg>`;
}

const SHORT_MS = 100;

function phaseList(phases: DeployItem["phases"]): Html | undefined {
  const long = phases.filter(([, ms]) => ms >= SHORT_MS);
  if (long.length === 0) return undefined;
  const items = long.map(
    ([name, ms]) =>
      html`<li><span class="key p-${name}" aria-hidden="true"></span>${name} <b>${duration(ms)}</b></li>`,
  );
  return html`<ul class="phases" aria-label="Phases">${items}</ul>`;
}

function outputOf({ entry, hooks }: DeployItem): readonly Html[] {
  const outputs = [
    ...hooks.map((hook) => [`Output of the ${hook.when}-deploy hook`, hook] as const),
    ["Last lines of the app", entry] as const,
  ];
  return outputs.flatMap(([title, { lastLines = [] }]) =>
    lastLines.length === 0 ? [] : [outputDetails(title, lastLines)],
  );
}

function outputDetails(title: string, lines: readonly string[]): Html {
  return html`<details data-key="${title}"><summary>${title}</summary><pre>${lines.map(plainLine).join("\n")}</pre></details>`;
}

function eventRow({ key, entry, count }: EventItem, now: number): Html {
  const [tone, text] = EVENT_TEXTS[entry.event] ?? ["calm", entry.event];
  const version = entry.tag !== undefined && html` <span class="version">${entry.tag}</span>`;
  const times = count > 1 && html` <span class="count">${count} times</span>`;
  return html`<li class="event ${tone}" data-key="${key}"><span class="mark" aria-hidden="true"></span>
<div class="line"><p><b>${text}</b>${version}${times} <span class="soft">${prose(entryText(entry), now)}</span></p>
${when(entry, now)}</div>
${linesOf(entry)}
</li>`;
}

function linesOf({ lastLines = [] }: JournalEntry): Html | undefined {
  return lastLines.length === 0 ? undefined : outputDetails("Last lines of its output", lastLines);
}
