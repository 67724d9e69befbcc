import type { InstanceStatus } from "../../control/protocol.ts";
import { withoutTag } from "../../journal/entry_text.ts";
import { card, type Html, html } from "./html.ts";
import { saidBy } from "./summary.ts";
import { prose, timeAgo, timeAhead, timeAt } from "./time.ts";
import type { PageView } from "./view.ts";

const MAX_BAD = 5;

/** The versions that do not come, or not yet, and why. */
export function versionsSection({ status, now }: PageView): Html {
  const lists = {
    Waiting: status.waiting.map((one) => waitingItem(one, now)),
    Skipped: status.skipped.map((one) => skippedItem(one, now)),
    Bad: badItems(status, now),
  };
  const shown = Object.entries(lists).filter(([, items]) => items.length > 0);
  const parts = shown.map(
    ([title, items]) =>
      html`<div data-key="${title}"><h3>${title}</h3><ul class="versions">${items}</ul></div>`,
  );
  return card("versions", "Held back", parts.length === 0 ? undefined : parts);
}

type Waiting = InstanceStatus["waiting"][number];

function waitingItem({ tag, reason, until }: Waiting, now: number): Html {
  const end = until !== undefined && html`; until ${timeAt(until, now)} (${timeAhead(until, now)})`;
  return html`<li data-key="${tag}"><span class="version">${tag}</span> <span>${prose(reason, now)}${end}</span></li>`;
}

function skippedItem(one: InstanceStatus["skipped"][number], now: number): Html {
  const { tag, andEarlier } = one;
  return html`<li data-key="${tag}"><span class="version">${tag}</span> <span>${
    andEarlier && "and earlier, "
  }${saidBy(one, now)}</span></li>`;
}

function badItems({ bad }: InstanceStatus, now: number): Html[] {
  const items = bad
    .slice(-MAX_BAD)
    .reverse()
    .map(
      ({ tag, reason, at }) =>
        html`<li data-key="${tag}"><span class="version">${tag}</span> <span>${withoutTag(reason, tag)}, ${timeAgo(at, now)}</span></li>`,
    );
  const older = bad.length - MAX_BAD;
  return older > 0 ? [...items, html`<li class="soft">and ${older} earlier</li>`] : items;
}
