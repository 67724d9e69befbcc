import type { InstanceStatus, NotifierStatus } from "../../control/protocol.ts";
import { card, type Html, html } from "./html.ts";
import { timeAgo, timeAhead, timeFor } from "./time.ts";
import type { PageView } from "./view.ts";

type Poll = NonNullable<InstanceStatus["polls"]>[number];

const OUTCOMES: Readonly<Record<string, readonly [tone: string, text: string]>> = {
  fine: ["good", "fine"],
  waiting: ["good", "fine, a version waits"],
  problem: ["warn", "nothing to deploy"],
  failed: ["bad", "the deploy failed"],
  unreachable: ["bad", "no answer"],
};

/** The last polls, and what the registry's API still allows. The summary has the error of the last one. */
export function pollsSection({ status, now }: PageView): Html {
  const { lastPoll, nextPollAt, rateLimits = [] } = status;
  const polls = status.polls ?? (lastPoll === undefined ? [] : [lastPoll]);
  if (polls.length === 0 && rateLimits.length === 0) return card("polls", "Polls", undefined);
  const next = nextPollAt !== undefined && html`; next ${timeAhead(nextPollAt, now)}`;
  const limits = rateLimits.map((one) => rateLimit(one, now));
  return card("polls", "Polls", [
    polls.length > 0 && strip(polls),
    lastPoll && html`<p>Last ${timeAgo(lastPoll.at, now)}: ${outcomeText(lastPoll)}${next}.</p>`,
    limits.length > 0 && html`<h3>Rate limits</h3><ul class="limits">${limits}</ul>`,
  ]);
}

function outcomeText({ outcome }: Poll): string {
  return OUTCOMES[outcome]?.[1] ?? outcome;
}

const BAR = 10;

/** One bar for each poll; a poll that failed is shorter and has another colour. */
function strip(polls: readonly Poll[]): Html {
  const fine = polls.filter(({ outcome }) => outcome === "fine" || outcome === "waiting").length;
  const bars = polls.map((poll, index) => {
    const [tone] = OUTCOMES[poll.outcome] ?? ["warn"];
    const height = tone === "good" ? 18 : 10;
    return html`<rect class="${tone}" x="${index * BAR}" y="${20 - height}" width="${BAR - 3}" height="${height}" rx="1.5"><title>${poll.at}: ${poll.error ?? outcomeText(poll)}</title></rect>`;
  });
  const text = `${fine} of the last ${polls.length} polls were fine`;
  return html`<svg class="strip" role="img" aria-label="${text}" viewBox="0 0 ${polls.length * BAR} 20" width="${polls.length * BAR}" height="20">${bars}</svg>`;
}

type RateLimit = NonNullable<InstanceStatus["rateLimits"]>[number];

const LOW = 0.1;

function rateLimit({ host, remaining, limit, resetAt }: RateLimit, now: number): Html {
  const share = limit > 0 ? Math.min(1, Math.max(0, remaining / limit)) : 0;
  const count = (value: number): string => value.toLocaleString("en-US");
  return html`<li data-key="${host}"><span>${host}: <b>${count(remaining)}</b> of ${count(limit)} requests left, reset ${timeAhead(resetAt, now)}</span>
<svg class="meter" aria-hidden="true" width="100%" height="4"><rect class="track" width="100%" height="4"/><rect class="${share < LOW ? "bad" : "good"}" width="${(share * 100).toFixed(1)}%" height="4"/></svg></li>`;
}

/** Whether notifications are delivered. */
export function notifiersSection({ status: { notifiers = [] }, now }: PageView): Html {
  const items = notifiers.map((one) => notifierItem(one, now));
  const list = html`<ul class="notifiers">${items}</ul>`;
  return card("notifiers", "Notifiers", items.length === 0 ? undefined : list);
}

function notifierItem(status: NotifierStatus, now: number): Html {
  const { notifier, state, error, since, waiting, lost } = status;
  const isFailing = state === "failing";
  const notes = [
    isFailing && since !== undefined && html`for ${timeFor(since, now)}`,
    waiting > 0 && `${waiting} waiting`,
    lost > 0 && `${lost} lost`,
    error,
  ].filter((note) => note !== false && note !== undefined);
  const text = notes.map((note, index) => [index > 0 && ", ", note]);
  return html`<li data-key="${notifier}"><code>${notifier}</code> <span class="state ${isFailing ? "warn" : "good"}">${state}</span>${
    notes.length > 0 && html` <span class="soft">${text}</span>`
  }</li>`;
}
