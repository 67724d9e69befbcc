import {
  type AppStatus,
  type InstanceStatus,
  isStale,
  type NotifierStatus,
} from "../../control/protocol.ts";
import { ago, ahead, formatDuration, localTime, span } from "../../core/duration.ts";
import { printable, shorten } from "../../core/text.ts";
import { withoutTag } from "../../journal/entry_text.ts";
import { headedTable, textTable } from "../commands/text_table.ts";
import type { TerminalStyle } from "../terminal.ts";

const MAX_CELL = 100;
const MAX_BAD = 5;
const MAX_SIGNER = 200;

/** One line for each instance. */
export function statusTable(
  statuses: readonly InstanceStatus[],
  now: number,
  style: TerminalStyle,
): string {
  const names = new Set(statuses.map(({ name }) => name));
  const needsDirectory = names.size < statuses.length;
  const hasPages = statuses.some(({ admin }) => admin !== undefined);
  const rows = statuses.map((status) => [
    status.name,
    status.mode ?? "-",
    status.live?.tag ?? "none",
    status.live?.since === undefined ? "-" : ago(status.live.since, now),
    stateOf(status),
    lastPollCell(status, now),
    ...(needsDirectory ? [status.directory] : []),
    ...(hasPages ? [status.admin ?? "-"] : []),
    shorten(notesOf(status, now).join("; "), MAX_CELL),
  ]);
  const place = [...(needsDirectory ? ["DIRECTORY"] : []), ...(hasPages ? ["STATUS PAGE"] : [])];
  const header = ["NAME", "MODE", "VERSION", "SINCE", "STATE", "LAST POLL", ...place, "NOTES"];
  return headedTable(header, rows, style);
}

/** Everything about one instance. */
export function statusDetails(status: InstanceStatus, now: number, style: TerminalStyle): string {
  const { name, mode, directory } = status;
  const kind = mode === undefined ? "" : ` (${mode})`;
  const title = style.bold(printable(`${name}${kind} in ${directory}`));
  const rows = detailRows(status, now).filter(([, value]) => value !== "");
  return `${markOf(status, style)}${title}\n${textTable(rows, "  ")}`;
}

function detailRows(status: InstanceStatus, now: number): (readonly [string, string])[] {
  return [
    ["version", versionText(status, now)],
    ["state", stateOf(status)],
    ["problem", status.problem ?? ""],
    ["activity", activityText(status, now)],
    ...appRows(status.app, now),
    ["last poll", lastPollText(status, now)],
    ...rowsOf("rate limit", lowRateLimits(status), ({ host, remaining, limit, resetAt }) => {
      return `${remaining} of ${limit} requests left at ${host}, reset ${ahead(resetAt, now)}`;
    }),
    ["next poll", status.nextPollAt === undefined ? "" : ahead(status.nextPollAt, now)],
    ...rowsOf("window", asList(status.windowOpensAt), (at) => {
      return `closed until ${localTime(at)} (${ahead(at, now)})`;
    }),
    ...rowsOf("waiting", status.waiting, (one) => waitingText(one, now)),
    ...rowsOf("order", asList(status.order), (order) => {
      const tag = order.tag === undefined ? "" : ` ${order.tag}`;
      return `${order.kind}${tag}, asked for ${saidBy(order, now)}${orderHint(status)}`;
    }),
    ...rowsOf("pinned", asList(status.pinned), (pin) => `to ${pin.tag}, ${saidBy(pin, now)}`),
    ...rowsOf("paused", asList(status.paused), (paused) => saidBy(paused, now)),
    ...rowsOf("skipped", status.skipped, (one) => {
      return `${one.tag}${one.andEarlier ? " and earlier" : ""}, ${saidBy(one, now)}`;
    }),
    ...rowsOf("bad", status.bad.slice(-MAX_BAD).reverse(), ({ tag, reason, at }) => {
      return `${tag}: ${withoutTag(reason, tag)} (${ago(at, now)})`;
    }),
    ["", hiddenBad(status)],
    ["highest", highestText(status)],
    ["registry", status.registry ?? ""],
    ["listing", listingText(status, now)],
    ...rowsOf("signer", status.signers ?? [], ({ signer, tag }) => {
      return `${shorten(signer, MAX_SIGNER)}, since ${tag}`;
    }),
    ...rowsOf("notifiers", status.notifiers ?? [], (one) => notifierText(one, now)),
    ["status page", status.admin ?? ""],
    ["dewy", processText(status, now)],
  ];
}

function notifierText(one: NotifierStatus, now: number): string {
  const { notifier, state, error = "", since, retryAt, waiting, lost } = one;
  const lasted = since === undefined ? "" : ` for ${span(now - Date.parse(since))}`;
  const next = retryAt === undefined ? "" : `, next attempt ${ahead(retryAt, now)}`;
  const notes = [
    state === "fine" ? "ok" : `failing${lasted}: ${error}${next}`,
    ...(waiting > 0 ? [`${waiting} waiting`] : []),
    ...(lost > 0 ? [`${lost} given up since dewy started`] : []),
  ];
  return `${notifier}: ${notes.join("; ")}`;
}

/** The highest version, if another one is live: with `--no-downgrade`, nothing below it comes by itself. */
function highestText({ highest = "", live }: InstanceStatus): string {
  return highest === live?.tag ? "" : highest;
}

function listingText({ listing }: InstanceStatus, now: number): string {
  if (listing === undefined) return "";
  const { changedAt, maxMs = 0 } = listing;
  const warning = `; the registry may be frozen: --max-staleness is ${formatDuration(maxMs)}`;
  return `last changed ${ago(changedAt, now)}${isStale({ listing }, now) ? warning : ""}`;
}

function hiddenBad({ bad }: InstanceStatus): string {
  return bad.length > MAX_BAD ? `and ${bad.length - MAX_BAD} older ones (--json shows them)` : "";
}

function rowsOf<T>(
  label: string,
  list: readonly T[],
  line: (one: T) => string,
): (readonly [string, string])[] {
  return list.map((one, index) => [index === 0 ? label : "", line(one)] as const);
}

function asList<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}

function versionText({ live }: InstanceStatus, now: number): string {
  if (live === undefined) return "none";
  if (live.since === undefined) return live.tag;
  return `${live.tag}, since ${localTime(live.since)} (${ago(live.since, now)})`;
}

function stateOf({ problem, process: running, app, live, phase, mode }: InstanceStatus): string {
  if (running === undefined) return phase.name === "unknown" ? "unknown" : "dewy does not run";
  if (problem !== undefined) return "does not answer";
  if (phase.name === "stopping") return "stopping";
  const switching = PHASES[phase.name];
  const doing = switching === undefined ? "" : `${switching} ${phase.tag ?? ""}`.trimEnd();
  const isUp = mode === "assets" && live !== undefined;
  const health = healthOf(app) ?? (isUp ? "deployed" : "no version");
  return doing === "" ? health : `${health}, ${doing}`;
}

const SIMPLE_PHASES: ReadonlySet<string> = new Set(["idle", "polling", "stopping"]);
const PHASES: Readonly<Record<string, string>> = {
  stage: "staging",
  before: "before-deploy hook of",
  activate: "activating",
  verify: "verifying",
  bake: "baking",
  commit: "committing",
  after: "after-deploy hook of",
};

function healthOf(app: AppStatus | undefined): string | undefined {
  if (app === undefined) return undefined;
  const { health, replicas, wanted } = app;
  if (wanted === undefined) return health;
  const serving = replicas?.filter(({ state }) => state === "serving").length ?? 0;
  return `${health} (${serving} of ${wanted})`;
}

function markOf({ problem, process: running, app }: InstanceStatus, style: TerminalStyle): string {
  if (!style.isTerminal) return "";
  if (problem !== undefined || running === undefined) return `${style.yellow("!")} `;
  const isWell = app === undefined || app.health === "serving";
  return `${isWell ? style.green("✓") : style.red("✗")} `;
}

function activityText({ phase }: InstanceStatus, now: number): string {
  const tag = phase.tag ?? "";
  if (phase.name === "interrupted") {
    return `dewy ended while it switched to ${tag}; its next start finishes or undoes that`;
  }
  if (SIMPLE_PHASES.has(phase.name)) return phase.name;
  const text = PHASES[phase.name];
  if (text === undefined) return "";
  const since = phase.since === undefined ? "" : ` for ${span(now - Date.parse(phase.since))}`;
  return `${text} ${tag}${since}`;
}

function appRows(app: AppStatus | undefined, now: number): (readonly [string, string])[] {
  if (app === undefined) return [];
  const since = (at?: string): string => (at === undefined ? "" : `, started ${ago(at, now)}`);
  return [
    ...rowsOf("generations", servingFirst(app.generations ?? []), (one) => {
      const number = one.number === undefined ? "" : `${one.number}: `;
      return `${number}${one.tag}, ${one.state}, pid ${one.pid}${since(one.since)}`;
    }),
    ...rowsOf("replicas", servingFirst(app.replicas ?? []), (one) => {
      const address = one.address === undefined ? "" : `, ${one.address}`;
      return `${one.container}: ${one.tag}, ${one.state}${address}${since(one.since)}`;
    }),
    ["restarts", app.restarts ? `${app.restarts} since dewy started` : ""],
  ];
}

function servingFirst<T extends { state: string }>(list: readonly T[]): readonly T[] {
  const rank = ({ state }: T): number => (state === "serving" ? 0 : 1);
  return [...list].sort((a, b) => rank(a) - rank(b));
}

const OUTCOMES: Readonly<Record<string, string>> = {
  fine: "ok",
  waiting: "ok",
  problem: "nothing to deploy",
  failed: "the deploy failed",
  unreachable: "the registry did not answer",
};

function lastPollText({ lastPoll }: InstanceStatus, now: number): string {
  if (lastPoll === undefined) return "";
  const { at, outcome, error } = lastPoll;
  const reason = error === undefined ? "" : `: ${error}`;
  return `${ago(at, now)}, ${OUTCOMES[outcome] ?? outcome}${reason}`;
}

/** A limit below this share may soon hold up polls. */
const LOW = 0.1;

function lowRateLimits({ rateLimits = [] }: InstanceStatus) {
  return rateLimits.filter(({ remaining, limit }) => remaining < limit * LOW);
}

function lastPollCell({ lastPoll }: InstanceStatus, now: number): string {
  if (lastPoll === undefined) return "-";
  const isFine = lastPoll.outcome === "fine" || lastPoll.outcome === "waiting";
  return `${ago(lastPoll.at, now)}${isFine ? "" : `, ${lastPoll.outcome}`}`;
}

type Waiting = InstanceStatus["waiting"][number];

function waitingText({ tag, reason, until }: Waiting, now: number): string {
  const end = until === undefined ? "" : `, until ${localTime(until)} (${ahead(until, now)})`;
  return `${tag}: ${reason}${end}`;
}

interface Said {
  user: string;
  message?: string | undefined;
  at: string;
}

/** `by alice, 3 min ago: "checkout fails"`. */
function saidBy({ user, message, at }: Said, now: number): string {
  const why = message === undefined ? "" : `: "${message}"`;
  return `by ${user}, ${ago(at, now)}${why}`;
}

function orderHint({ process: running }: InstanceStatus): string {
  return running === undefined ? "; carried out at the next start" : "";
}

function processText({ process: running }: InstanceStatus, now: number): string {
  if (running === undefined) return "";
  return `${running.dewy}, pid ${running.pid}, started ${ago(running.since, now)}`;
}

/** Notes about an instance in addition to its state. */
function notesOf(status: InstanceStatus, now: number): string[] {
  const { problem, waiting, pinned, paused, order, bad, notifiers = [] } = status;
  return [
    ...asList(problem),
    ...asList(order).map(({ kind, tag }) => `ordered: ${kind} ${tag ?? ""}`.trimEnd()),
    ...waiting.map(({ tag, reason }) => `${tag} waits: ${reason}`),
    ...asList(paused).map(({ user }) => `paused by ${user}`),
    ...asList(pinned).map(({ tag, user }) => `pinned to ${tag} by ${user}`),
    ...(isStale(status, now) ? ["the registry may be frozen"] : []),
    ...notifiers
      .filter(({ state, waiting }) => state === "failing" && waiting > 0)
      .map(({ notifier }) => `${notifier} fails`),
    ...bad.slice(-1).flatMap(({ tag, at }) => (isRecent(at, status, now) ? [`${tag} is bad`] : [])),
  ];
}

const RECENT_MS = 86_400_000;

/** Older marks say nothing about the version that is live now. */
function isRecent(at: string, { live }: InstanceStatus, now: number): boolean {
  const time = Date.parse(at);
  return now - time < RECENT_MS || time > Date.parse(live?.since ?? at);
}
