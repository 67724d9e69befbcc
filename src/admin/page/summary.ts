import type { InstanceStatus } from "../../control/protocol.ts";
import { type Html, html } from "./html.ts";
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

interface Notice {
  key: string;
  tone: Tone;
  text: Html;
}

function noticesOf(status: InstanceStatus, now: number): Html | undefined {
  const notices = [...troubles(status, now), ...decisions(status, now)];
  if (notices.length === 0) return undefined;
  const items = notices.map(
    ({ key, tone, text }) => html`<li class="${tone}" data-key="${key}">${text}</li>`,
  );
  return html`<ul class="notices" aria-label="Notices">${items}</ul>`;
}

const POLL_TROUBLES: Readonly<Record<string, string>> = {
  unreachable: "The registry did not answer",
  failed: "The last deploy failed",
  problem: "The last poll found nothing to deploy",
};

function troubles({ problem, phase, lastPoll, notifiers = [] }: InstanceStatus, now: number) {
  const found: Notice[] = [];
  if (problem !== undefined) found.push({ key: "problem", tone: "bad", text: html`${problem}` });
  if (phase.name === "interrupted") {
    const text = html`dewy ended while it switched to <b>${phase.tag}</b>; its next start finishes or undoes that`;
    found.push({ key: "interrupted", tone: "warn", text });
  }
  const trouble = POLL_TROUBLES[lastPoll?.outcome ?? ""];
  if (trouble !== undefined && lastPoll !== undefined) {
    const { at, error } = lastPoll;
    const text = html`<b>${trouble}</b> ${timeAgo(at, now)}${error !== undefined && html`: ${error}`}`;
    found.push({ key: "poll", tone: "warn", text });
  }
  for (const { notifier, state, waiting, error } of notifiers) {
    if (state !== "failing") continue;
    const text = html`<b>Notifications wait</b>: ${waiting} for ${notifier}${error !== undefined && html`, ${error}`}`;
    found.push({ key: `notifier-${notifier}`, tone: "warn", text });
  }
  return found;
}

function decisions({ order, paused, pinned, windowOpensAt }: InstanceStatus, now: number) {
  const found: Notice[] = [];
  if (order !== undefined) {
    const text = html`<b>Ordered: ${order.kind} ${order.tag}</b> ${saidBy(order, now)}`;
    found.push({ key: "order", tone: "busy", text });
  }
  if (paused !== undefined) {
    found.push({ key: "paused", tone: "warn", text: html`<b>Paused</b> ${saidBy(paused, now)}` });
  }
  if (pinned !== undefined) {
    const text = html`<b>Pinned to ${pinned.tag}</b> ${saidBy(pinned, now)}`;
    found.push({ key: "pinned", tone: "calm", text });
  }
  if (windowOpensAt !== undefined) {
    const text = html`<b>No deploy window is open</b>; the next one opens ${timeAhead(windowOpensAt, now)}, at ${timeAt(windowOpensAt, now)}`;
    found.push({ key: "window", tone: "calm", text });
  }
  return found;
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

function factsOf(
  { process: running, directory, registry, lastPoll, nextPollAt }: InstanceStatus,
  now: number,
): Html {
  const facts: [name: string, value: Html][] = [];
  if (registry !== undefined) facts.push(["Registry", html`<code>${registry}</code>`]);
  if (lastPoll !== undefined) {
    const next = nextPollAt !== undefined && html`, next ${timeAhead(nextPollAt, now)}`;
    facts.push(["Polled", html`${timeAgo(lastPoll.at, now)}${next}`]);
  }
  facts.push(["Directory", html`<code>${directory}</code>`]);
  if (running !== undefined) {
    const { dewy, pid, since } = running;
    facts.push(["dewy", html`${dewy}, pid ${pid}, up ${timeFor(since, now)}`]);
  }
  return html`<dl class="facts">${facts.map(
    ([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`,
  )}</dl>`;
}
