import type { Rollout } from "../../../src/fleet/types.ts";
import type { Host } from "./host.ts";
import type { VirtualTime } from "./time.ts";

export interface TruthOptions {
  time: VirtualTime;
  bakeMs: number;
  memberTtlMs: number;
  hosts: ReadonlyMap<string, Host>;
}

/** How long an evaluation may take. */
const EVALUATION_MS = 2 * 60_000;

/** How long after the last moment that allowed it a host may begin: its read may have been answered late. */
const LATEST_BEGIN_MS = 15_000;

/**
 * What is so on the machines, however the store has it, and the invariants of docs/decisions/fleet.md. It receives
 * every write and every deploy, and keeps the first violation.
 */
export class Truth {
  readonly #options: TruthOptions;
  #rollout: Rollout | undefined;
  /** The last moment at which the rollout let hosts take its version. */
  #openUntil = Number.NEGATIVE_INFINITY;
  /** Versions rolled out completely, or running before the first rollout. */
  readonly complete: Set<string> = new Set();
  readonly history: string[] = [];
  /** When something last happened that is worth a line of the history. */
  changedAt = 0;
  readonly announced: Map<string, number> = new Map();
  /** Set while an operator acts, who may do what hosts may not. */
  isOperator = false;
  violation: string | undefined;

  constructor(options: TruthOptions) {
    this.#options = options;
  }

  get rollout(): Rollout | undefined {
    return this.#rollout;
  }

  /** A host begins to deploy. */
  begins(host: Host, tag: string): void {
    const rollout = this.#rollout;
    this.note(`${host.name} begins ${tag}`);
    if (host.tag === undefined && this.complete.has(tag)) return;
    if (rollout?.tag !== tag) {
      this.#violated(`${host.name} takes ${tag}, which is not rolled out`);
      return;
    }
    if (this.#isOpen()) this.#openUntil = this.#options.time.now;
    const lateMs = this.#options.time.now - this.#openUntil;
    if (lateMs > LATEST_BEGIN_MS) {
      this.#violated(`${host.name} takes ${tag} ${lateMs / 1000} s after it was ${rollout.state}`);
    }
    if (isLast(rollout)) return;
    if (!rollout.started.includes(host.name)) {
      this.#violated(`${host.name} takes ${tag} without being on record in wave ${rollout.wave}`);
    }
    const holders = this.#holders(tag).filter((one) => one !== host);
    const allowed = allowedHosts(rollout);
    if (holders.length >= allowed) {
      const names = holders.map(({ name }) => name).join(", ");
      this.#violated(
        `${host.name} takes ${tag} as well as ${names}; wave ${rollout.wave} allows ${allowed}`,
      );
    }
  }

  /** An object was written. */
  written(key: string, body: string, by: string): void {
    if (!key.endsWith("/rollout.json")) return;
    const before = this.#rollout;
    const after = JSON.parse(body) as Rollout;
    if (this.#isOpen()) this.#openUntil = this.#options.time.now;
    this.#rollout = after;
    const summary = summaryOf(after);
    if (before === undefined || summaryOf(before) !== summary) this.note(`${by}: ${summary}`);
    if (before !== undefined && after.revision <= before.revision) {
      this.#violated(`revision ${after.revision} follows ${before.revision}`);
    }
    if (before !== undefined && isSame(before, after)) this.#checkStep(before, after);
    else this.#checkBegin(before, after);
    if (after.state === "running") this.#checkLimits(after);
    if (after.state === "done") this.complete.add(after.tag);
  }

  /** A host has emitted an event. */
  emitted(event: Readonly<Record<string, unknown>>): void {
    const { type, tag, change, what, wave } = event;
    if (type !== "rollout") return;
    const name = `${tag} ${change ?? what} ${wave ?? ""}`;
    this.announced.set(name, (this.announced.get(name) ?? 0) + 1);
  }

  note(text: string): void {
    this.changedAt = this.#options.time.now;
    this.history.push(`${this.#options.time.text()} ${text}`);
  }

  #isOpen(): boolean {
    return this.#rollout?.state === "running" || this.#rollout?.state === "done";
  }

  /** Hosts that run the version, or are about to, because of the rollout. */
  #holders(tag: string): Host[] {
    return [...this.#options.hosts.values()].filter((host) => host.holds(tag));
  }

  #checkBegin(before: Rollout | undefined, after: Rollout): void {
    if (before === undefined) {
      if (after.previous !== undefined) this.complete.add(after.previous);
    } else if (before.state === "running") {
      if (before.next !== after.tag)
        this.#violated(`${after.tag} replaces ${before.tag}, which runs`);
      if (before.started.length > 0) this.#checkWave(before);
    } else if (before.tag === after.tag && !this.isOperator) {
      this.#violated(`${after.tag} begins again, which was ${before.state}`);
    }
    const previous = before?.state === "done" ? before.tag : before?.previous;
    if (before !== undefined && previous !== undefined && after.previous !== previous) {
      this.#violated(`${after.tag} begins with ${after.previous} before it, not ${previous}`);
    }
    if (after.wave !== 0 || after.state !== "running" || after.started.length > 0) {
      this.#violated(`${after.tag} begins in wave ${after.wave}`);
    }
    if (new Set(after.hosts).size !== after.hosts.length) this.#violated("a host is ranked twice");
  }

  #checkStep(before: Rollout, after: Rollout): void {
    const kept = (rollout: Rollout): string =>
      JSON.stringify([rollout.hosts, rollout.waves, rollout.previous, rollout.registry]);
    if (kept(before) !== kept(after)) this.#violated(`the rollout of ${after.tag} was changed`);
    const move = `${before.state}-${after.state}`;
    const moves = ["running-halted", "running-done"];
    const operators = ["halted-running", "halted-aborted", "running-aborted", "running-halted"];
    const isMove = before.state !== after.state;
    if (isMove && !moves.includes(move) && !(this.isOperator && operators.includes(move))) {
      this.#violated(`${after.tag} goes from ${before.state} to ${after.state}`);
    }
    const left = before.started.filter((host) => !after.started.includes(host));
    if (!this.isOperator && left.some((host) => this.#options.hosts.get(host)?.holds(after.tag))) {
      this.#violated("a host that started is not on record any more");
    }
    const failed = new Set(after.failed.map(({ host }) => host));
    if (!this.isOperator && before.failed.some(({ host }) => !failed.has(host))) {
      this.#violated("a host that failed is not on record any more");
    }
    if (after.wave < before.wave || after.wave > before.wave + 1) {
      this.#violated(`wave ${after.wave} follows ${before.wave}`);
    }
    if (after.wave > before.wave || move === "running-done") this.#checkWave(before);
  }

  #checkLimits(rollout: Rollout): void {
    const { started, failed, lost, forgiven, maxFailures } = rollout;
    const bad = new Set([...failed.map(({ host }) => host), ...lost]);
    for (const host of forgiven) bad.delete(host);
    if (bad.size > maxFailures) {
      this.#violated(`${rollout.tag} runs although it failed on ${[...bad].join(", ")}`);
    }
    const ended = new Set(failed.map(({ host }) => host));
    const open = started.filter((host) => !ended.has(host));
    if (!isLast(rollout) && open.length > allowedHosts(rollout)) {
      this.#violated(`wave ${rollout.wave} allows ${allowedHosts(rollout)}: ${open.join(", ")}`);
    }
  }

  /** A wave has ended: one host of it has finished its bake, and all of it that are members have. */
  #checkWave(rollout: Rollout): void {
    const { tag, passed, hosts } = rollout;
    const all = [...this.#options.hosts.values()];
    const wave = `wave ${rollout.wave} of ${tag}`;
    if (!all.some((host) => host.hasProven(tag))) this.#violated(`${wave} ends without a bake`);
    const failed = new Set(rollout.failed.map(({ host }) => host));
    const ranked = hosts.filter((host) => !passed.includes(host)).slice(0, allowedHosts(rollout));
    for (const host of all) {
      if (failed.has(host.name) || host.hasProven(tag)) continue;
      const isDue = isLast(rollout) || ranked.includes(host.name);
      const isSteady = host.isOffered(tag) && host.steadyMs() > 2 * this.#options.memberTtlMs;
      const hasRecord = host.hasRecordSince(this.#options.memberTtlMs / 2);
      // In the last wave a host may have begun after the evaluation has read its record.
      const isNew = isLast(rollout) && this.#options.time.now - host.beganAt < EVALUATION_MS;
      if (isNew) continue;
      if (host.holds(tag) && hasRecord) this.#violated(`${wave} ends while ${host.name} bakes`);
      else if (isDue && isSteady) this.#violated(`${wave} ends without ${host.name}`);
    }
  }

  #violated(text: string): void {
    this.note(`VIOLATED: ${text}`);
    this.violation ??= text;
  }
}

/** How many hosts may have the version: the issue's words, not the code's. */
function allowedHosts({ waves, wave, hosts }: Rollout): number {
  const size = waves[wave];
  if (size === undefined || wave >= waves.length - 1) return Number.POSITIVE_INFINITY;
  const wanted = "hosts" in size ? size.hosts : Math.ceil((size.percent / 100) * hosts.length);
  return Math.min(hosts.length, Math.max(1, wanted));
}

function isLast({ wave, waves }: Rollout): boolean {
  return wave >= waves.length - 1;
}

function isSame(before: Rollout, after: Rollout): boolean {
  const isNew = after.wave === 0 && after.started.length === 0 && before.state !== "running";
  return before.tag === after.tag && !(isNew && after.state === "running" && before.wave > 0);
}

function summaryOf({
  tag,
  state,
  wave,
  started,
  failed,
  lost,
  passed,
  next,
  reason,
}: Rollout): string {
  const names = (title: string, hosts: readonly string[]): string =>
    hosts.length === 0 ? "" : ` ${title} ${hosts.length > 5 ? hosts.length : hosts.join("+")}`;
  const failures = names(
    "failed",
    failed.map(({ host }) => host),
  );
  const lists =
    names("started", started) + failures + names("lost", lost) + names("passed", passed);
  return `${tag} ${state} wave ${wave}${lists}${next ? ` next ${next}` : ""}${reason ? ` (${reason})` : ""}`;
}
