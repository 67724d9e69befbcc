import { type InstanceStatus, isStale } from "../../control/protocol.ts";
import { type Html, html, type Part } from "./html.ts";
import { iconUrl } from "./icon.ts";
import { timeAgo, timeAhead, timeAt, timeFor } from "./time.ts";
import { changeOf, type Phase, type Tone, verdictOf } from "./verdict.ts";
import type { PageView } from "./view.ts";

/** The title of the tab: the state first, because tabs are narrow. */
export function titleOf(status: InstanceStatus): string {
  const version = status.live === undefined ? "" : ` ${status.live.tag}`;
  return `${verdictOf(status).text} · ${status.name}${version}`;
}

/** The verdict, the live version, the deploy under way, and what the reader should know first. */
export function summarySection({ status, now }: PageView): Html {
  const { tone, text } = verdictOf(status);
  return html`<section id="summary" class="card hero ${tone}" aria-labelledby="verdict"
 data-title="${titleOf(status)}" data-icon="${iconUrl(tone)}" data-news="${text}">
<div class="verdict"><h2 id="verdict">${text}</h2>
${liveOf(status, now)}</div>
${stepsOf(status, now)}
${noticesOf(status, now)}
${factsOf(status, now)}
</section>`;
}

function liveOf({ live }: InstanceStatus, now: number): Html {
  if (live === undefined) return html`<p class="live">No version is live.</p>`;
  const { tag, since } = live;
  const age =
    since !== undefined &&
    html` <span class="soft">for ${timeFor(since, now)}, since ${timeAt(since, now)}</span>`;
  return html`<p class="live"><span class="version">${tag}</span>${age}</p>`;
}

const STEPS: Readonly<Record<Phase, string>> = {
  stage: "Stage",
  before: "Before hook",
  activate: "Activate",
  verify: "Verify",
  bake: "Bake",
  commit: "Commit",
  after: "After hook",
};

function stepsOf(status: InstanceStatus, now: number): Html | undefined {
  const change = changeOf(status);
  if (change === undefined) return undefined;
  const { since } = status.phase;
  const steps = change.phases.map((name, index) => {
    if (index < change.at) {
      return html`<li class="done">${STEPS[name]}<span class="hidden"> (done)</span></li>`;
    }
    if (index > change.at) return html`<li>${STEPS[name]}</li>`;
    return html`<li class="now" aria-current="step">${STEPS[name]}${since !== undefined && html` ${timeFor(since, now)}`}</li>`;
  });
  return html`<ol class="steps" aria-label="Phases of ${change.text}">${steps}</ol>`;
}

function noticesOf(status: InstanceStatus, now: number): Html | undefined {
  const notices = [...troubles(status, now), ...decisions(status, now)].filter((one) => one);
  return notices.length === 0
    ? undefined
    : html`<ul class="notices" aria-label="Notices">${notices}</ul>`;
}

/** Returns the tag of a template. */
function notice(key: string, tone: Tone) {
  return (...text: Parameters<typeof html>): Html =>
    html`<li class="${tone}" data-key="${key}">${html(...text)}</li>`;
}

const POLL_TROUBLES: Readonly<Record<string, string>> = {
  unreachable: "The registry did not answer",
  failed: "The last deploy failed",
  problem: "The last poll found nothing to deploy",
};

function troubles(status: InstanceStatus, now: number): readonly Part[] {
  const { problem, phase, lastPoll: poll, notifiers = [] } = status;
  const trouble = POLL_TROUBLES[poll?.outcome ?? ""];
  return [
    problem !== undefined && notice("problem", "bad")`${problem}`,
    phase.name === "interrupted" &&
      notice(
        "interrupted",
        "warn",
      )`dewy ended while it switched to <b>${phase.tag}</b>; its next start finishes or undoes that`,
    poll &&
      trouble &&
      notice(
        "poll",
        "warn",
      )`<b>${trouble}</b> ${timeAgo(poll.at, now)}${poll.error && `: ${poll.error}`}`,
    ...notifiers
      .filter(({ state }) => state === "failing")
      .map(({ notifier, waiting, error }) => {
        const text = `${waiting} for ${notifier}${error === undefined ? "" : `, ${error}`}`;
        return notice(`notifier-${notifier}`, "warn")`<b>Notifications wait</b>: ${text}`;
      }),
    isStale(status, now) &&
      notice(
        "listing",
        "warn",
      )`<b>The registry may be frozen</b>: its listing last changed ${timeAgo(status.listing?.changedAt ?? "", now)}`,
  ];
}

function decisions(status: InstanceStatus, now: number): readonly Part[] {
  const { order, paused, pinned, windowOpensAt: opensAt } = status;
  return [
    order &&
      notice("order", "busy")`<b>Ordered: ${order.kind} ${order.tag}</b> ${saidBy(order, now)}`,
    paused && notice("paused", "warn")`<b>Paused</b> ${saidBy(paused, now)}`,
    pinned && notice("pinned", "calm")`<b>Pinned to ${pinned.tag}</b> ${saidBy(pinned, now)}`,
    opensAt &&
      notice(
        "window",
        "calm",
      )`<b>No deploy window is open</b>; the next one opens ${timeAhead(opensAt, now)}, at ${timeAt(opensAt, now)}`,
  ];
}

interface Said {
  user: string;
  message?: string | undefined;
  at: string;
}

/** `by alice 3 min ago: “checkout fails”`. */
export function saidBy({ user, message, at }: Said, now: number): Html {
  return html`by ${user} ${timeAgo(at, now)}${message !== undefined && html`: <q>${message}</q>`}`;
}

function factsOf(status: InstanceStatus, now: number): Html {
  const { process: running, directory, registry, lastPoll, nextPollAt, listing } = status;
  const next = nextPollAt !== undefined && html`, next ${timeAhead(nextPollAt, now)}`;
  const facts: Readonly<Record<string, Html | undefined>> = {
    Registry: registry === undefined ? undefined : html`<code>${registry}</code>`,
    Polled: lastPoll && html`${timeAgo(lastPoll.at, now)}${next}`,
    "Listing changed": listing && html`${timeAgo(listing.changedAt, now)}`,
    Directory: html`<code>${directory}</code>`,
    dewy: running && html`${running.dewy}, pid ${running.pid}, up ${timeFor(running.since, now)}`,
  };
  const items = Object.entries(facts).map(
    ([name, value]) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  );
  return html`<dl class="facts">${items}</dl>`;
}
