import { lstat, readlink, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { AppStatus, InstanceStatus, Mode, NotifierStatus } from "../control/protocol.ts";
import type { Clock } from "../core/clock.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { type DeployState, findRelease } from "../deploy/state.ts";
import { statePath } from "../host/files/own_paths.ts";
import { readState } from "../host/files/state_file.ts";

export interface StatusSubject {
  name: string;
  mode?: Mode | undefined;
  /** The real path of the working directory. */
  directory: string;
}

/** The status of an instance as its directory tells it: everything but what only a running process knows. */
export async function directoryStatus(subject: StatusSubject): Promise<InstanceStatus> {
  const { name, mode, directory: root } = subject;
  const [state, link] = await Promise.all([readState(statePath(root)), readLink(root)]);
  return {
    name,
    ...(mode === undefined ? {} : { mode }),
    directory: root,
    ...(link === undefined ? {} : { live: liveOf(root, link, state) }),
    phase: interruptedPhase(state),
    waiting: [],
    ...(state.highest === undefined ? {} : { highest: state.highest }),
    ...(state.listing && { listing: { changedAt: state.listing.changedAt } }),
    bad: state.bad.map(({ tag, reason, at }) => ({ tag, reason, at })),
    skipped: (state.skipped ?? []).map(({ andEarlier, ...one }) => ({
      ...decisionOf(one),
      tag: one.tag,
      ...(andEarlier ? { andEarlier } : {}),
    })),
    ...(state.pinned && { pinned: { ...decisionOf(state.pinned), tag: state.pinned.tag } }),
    ...(state.paused && { paused: decisionOf(state.paused) }),
    ...(state.signers && { signers: state.signers.map((one) => ({ ...one })) }),
    ...(state.order && { order: orderOf(state.order) }),
  };
}

interface Link {
  name: string;
  since: Date;
}

/** Each switch makes a new link, whose time is when its target went live. */
async function readLink(root: string): Promise<Link | undefined> {
  const path = join(root, "current");
  try {
    const [status, target] = [await lstat(path), await readlink(path)];
    const isThere = (await stat(path)).isDirectory();
    return isThere ? { name: basename(target), since: status.mtime } : undefined;
  } catch {
    return undefined;
  }
}

function liveOf(root: string, { name, since }: Link, state: DeployState) {
  return {
    tag: findRelease(state, name)?.tag ?? name,
    directory: join(root, "releases", name),
    since: since.toISOString(),
  };
}

/** A dewy that was killed during a switch finishes or undoes it at its next start. */
function interruptedPhase(state: DeployState): InstanceStatus["phase"] {
  const tag = switchingTag(state);
  return tag === undefined ? { name: "stopped" } : { name: "interrupted", tag };
}

function switchingTag(state: DeployState): string | undefined {
  return findRelease(state, state.switching?.to)?.tag;
}

interface Said {
  user: string;
  message?: string | undefined;
  at: string;
}

function decisionOf({ user, message, at }: Said) {
  return { user, at, ...(message === undefined ? {} : { message }) };
}

function orderOf(order: NonNullable<DeployState["order"]>): NonNullable<InstanceStatus["order"]> {
  const { kind } = order;
  return { ...decisionOf(order), kind, ...(kind === "restart" ? {} : { tag: order.tag }) };
}

export interface RunningSubject extends StatusSubject {
  /** Redacted. */
  registry: string;
  /** This process. */
  process: { pid: number; dewy: string; since: string };
  /** The address of the status page, if it is open. */
  admin?: string | undefined;
  live: LiveStatus;
  /** When the next deploy window opens, in milliseconds since the epoch; `undefined` if it is open. */
  opensAt?: (() => number | undefined) | undefined;
  maxStalenessMs?: number | undefined;
  appStatus?: (() => AppStatus) | undefined;
  notifiers?: (() => NotifierStatus[]) | undefined;
  /** Removes the secrets of this process from errors and reasons. */
  redact(text: string): string;
}

/** The status of the instance that runs in this process. */
export async function runningStatus(subject: RunningSubject): Promise<InstanceStatus> {
  const { registry, process, admin, live, opensAt, maxStalenessMs } = subject;
  const { appStatus, notifiers, redact } = subject;
  const opens = opensAt?.();
  const known = await directoryStatus(subject);
  const status = {
    ...known,
    listing: known.listing && { ...known.listing, maxMs: maxStalenessMs },
    registry,
    process,
    admin,
    app: appStatus?.(),
    notifiers: notifiers?.(),
    windowOpensAt: opens === undefined ? undefined : new Date(opens).toISOString(),
  };
  return redactStatus({ ...status, ...live.report(status) }, redact);
}

/** Errors quote what others have said, such as the output of the app. */
export function redactStatus(
  status: InstanceStatus,
  redact: (text: string) => string,
): InstanceStatus {
  const { lastPoll, polls, waiting, bad } = status;
  const shown = (poll: Poll): Poll => ({ ...poll, error: poll.error && redact(poll.error) });
  return {
    ...status,
    lastPoll: lastPoll && shown(lastPoll),
    polls: polls?.map(shown),
    waiting: waiting.map((one) => ({ ...one, reason: redact(one.reason) })),
    bad: bad.map((one) => ({ ...one, reason: redact(one.reason) })),
  };
}

type Poll = NonNullable<InstanceStatus["polls"]>[number];
type RateLimit = NonNullable<InstanceStatus["rateLimits"]>[number];
type Waiting = InstanceStatus["waiting"][number];

interface Work {
  name: string;
  since: number;
  /** Whether the version has become ready. */
  isReady?: boolean;
}

const KEPT_POLLS = 30;
/** The phases in which the state has a switch to the version. */
const SWITCHED: ReadonlySet<string> = new Set(["verify", "bake", "commit"]);
const AFTER_TAKE_OVER: ReadonlySet<string> = new Set(["bake", "commit", "after"]);

/**
 * What only a running process knows: what it does, how the last poll ended, and what waits for what. It has to receive
 * every event, also the repeated ones; it ignores an event that it receives twice.
 */
export class LiveStatus {
  readonly #clock: Clock;
  /** What is done with each version, the latest last. */
  readonly #work = new Map<string, Work>();
  readonly #received = new WeakSet<DewyEvent>();
  /** The version that took over last. */
  #tookOver: { tag: string; at: string } | undefined;
  #isStopping = false;
  #polls: readonly Poll[] = [];
  readonly #rateLimits = new Map<string, RateLimit>();
  #nextPollAt: Date | undefined;
  #waiting: readonly Waiting[] = [];
  /** Reported since the last poll ended; by tag. */
  readonly #reported = new Map<string, Waiting>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly sink: EventSink = (event) => this.#receive(event);

  /** @param status That of the directory, without which an event could not be known to be outdated. */
  report(status: InstanceStatus) {
    const lastPoll = this.#polls.at(-1);
    const rateLimits = this.#currentRateLimits();
    return {
      ...this.#live(status),
      phase: this.#phase(status),
      lastPoll,
      polls: lastPoll && [...this.#polls],
      rateLimits: rateLimits.length === 0 ? undefined : rateLimits,
      nextPollAt: this.#nextPollAt?.toISOString(),
      waiting: this.#currentWaiting(status),
    };
  }

  /**
   * The link also moves for a version that never becomes ready, and back. If no other version has taken over since this
   * process started, the live one has been live at least as long.
   */
  #live({ live, process: running }: InstanceStatus): Pick<InstanceStatus, "live"> {
    if (live === undefined) return {};
    const [since, start] = [live.since ?? "", running?.since ?? ""];
    if (this.#tookOver === undefined) {
      return start !== "" && start < since ? { live: { ...live, since: start } } : { live };
    }
    return { live: this.#tookOver.tag === live.tag ? { ...live, since: this.#tookOver.at } : live };
  }

  #phase({ phase: { tag: switching } }: InstanceStatus): InstanceStatus["phase"] {
    if (this.#isStopping) return { name: "stopping" };
    const work = [...this.#work].findLast(
      ([tag, { name }]) => !SWITCHED.has(name) || tag === switching,
    );
    if (work !== undefined) {
      const [tag, { name, since }] = work;
      return { name, tag, since: new Date(since).toISOString() };
    }
    return { name: this.#isPolling() ? "polling" : "idle" };
  }

  /** After the poll of `--once`, there is no next one. */
  #isPolling(): boolean {
    if (this.#polls.length === 0) return true;
    return this.#nextPollAt !== undefined && this.#nextPollAt.getTime() <= this.#clock.now();
  }

  #currentWaiting({ pinned, paused, live }: InstanceStatus): Waiting[] {
    const earlier = this.#waiting.filter(({ tag }) => !this.#reported.has(tag));
    return [...earlier, ...this.#reported.values()].filter(({ tag, why }) => {
      const isLifted =
        (why === "pinned" && pinned === undefined) || (why === "paused" && paused === undefined);
      return !isLifted && tag !== live?.tag;
    });
  }

  #receive(event: DewyEvent): void {
    if (this.#received.has(event)) return;
    this.#received.add(event);
    switch (event.type) {
      case "phase-started":
        this.#begin(event.phase, event.tag);
        return;
      case "phase":
        this.#finish(event.phase, event.tag);
        return;
      case "waiting":
        this.#reported.set(event.tag, waitingOf(event));
        return;
      case "rate-limit":
        this.#rateLimits.set(event.host, rateLimitOf(event));
        return;
      case "polled":
        this.#endPoll(event);
        return;
      case "deployed":
        this.#forgetWaiting(event.tag);
        this.#work.delete(event.tag);
        return;
      case "stopping":
        this.#isStopping = true;
        return;
      case "rolled-back":
        if (this.#hasServed(event.tag)) this.#takeOver(event.to);
        this.#work.delete(event.tag);
        return;
      case "superseded":
      case "given-up":
      case "would-deploy":
        this.#work.delete(event.tag);
        return;
      case "failed":
        if (event.tag !== undefined) this.#work.delete(event.tag);
        return;
    }
  }

  #begin(phase: string, tag: string): void {
    this.#work.delete(tag);
    this.#work.set(tag, { name: phase, since: this.#clock.now() });
  }

  #finish(phase: string, tag: string): void {
    const work = this.#work.get(tag);
    if (work === undefined) return;
    if (phase === "verify") {
      work.isReady = true;
      this.#takeOver(tag);
    }
    if (phase === "commit") this.#work.set(tag, { name: "after", since: this.#clock.now() });
  }

  #takeOver(tag: string): void {
    this.#tookOver = { tag, at: new Date(this.#clock.now()).toISOString() };
  }

  /** A version that is still in `verify` has not become ready. */
  #hasServed(tag: string): boolean {
    const work = this.#work.get(tag);
    return work === undefined || AFTER_TAKE_OVER.has(work.name) || work.isReady === true;
  }

  #endPoll({ outcome, error, nextAt }: Extract<DewyEvent, { type: "polled" }>): void {
    const at = new Date(this.#clock.now()).toISOString();
    this.#polls = [...this.#polls, { at, outcome, error }].slice(-KEPT_POLLS);
    this.#nextPollAt = nextAt;
    // A poll that did not reach the registry says nothing about the versions that it has.
    if (outcome !== "unreachable") {
      this.#waiting = [...this.#reported.values()];
      this.#reported.clear();
    }
    // A deploy that was given up without an event has ended with its poll; later phases outlast it.
    for (const [tag, { name, isReady }] of [...this.#work]) {
      if (!AFTER_TAKE_OVER.has(name) && !isReady) this.#work.delete(tag);
    }
  }

  /** What was said before a reset says nothing about the time after it. */
  #currentRateLimits(): RateLimit[] {
    const now = this.#clock.now();
    return [...this.#rateLimits.values()].filter(({ resetAt }) => Date.parse(resetAt) > now);
  }

  #forgetWaiting(tag: string): void {
    this.#reported.delete(tag);
    this.#waiting = this.#waiting.filter((one) => one.tag !== tag);
  }
}

function rateLimitOf(event: Extract<DewyEvent, { type: "rate-limit" }>): RateLimit {
  const { host, remaining, limit, resetAt } = event;
  return { host, remaining, limit, resetAt: resetAt.toISOString() };
}

function waitingOf({ tag, why, reason, until }: Extract<DewyEvent, { type: "waiting" }>): Waiting {
  return { tag, why, reason, ...(until === undefined ? {} : { until: until.toISOString() }) };
}
