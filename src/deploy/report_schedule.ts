import type { DewyError, ErrorCode } from "../core/error.ts";
import { backoffMs, requestedPauseMs } from "./backoff.ts";
import type { PendingReport } from "./state.ts";

const FIRST_PAUSE_MS = 60_000;

/** When the reports of this process are due, and what it has warned of. */
export class ReportSchedule {
  /** The reports that a deploy is about to send itself. */
  readonly #claimed = new Set<string>();
  /** The codes of permanent failures since the last delivery. */
  readonly #announced = new Set<ErrorCode>();
  #failures = 0;
  #dueAt = Number.NEGATIVE_INFINITY;
  readonly #random: () => number;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  claim(report: PendingReport): void {
    this.#claimed.add(reportKey(report));
  }

  unclaim(report: PendingReport): void {
    this.#claimed.delete(reportKey(report));
  }

  isClaimed(report: PendingReport): boolean {
    return this.#claimed.has(reportKey(report));
  }

  isDue(now: number): boolean {
    return now >= this.#dueAt;
  }

  delivered(isRecord: boolean): void {
    this.#failures = 0;
    this.#dueAt = Number.NEGATIVE_INFINITY;
    // Registries of files accept reports of failed deploys without writing anything.
    if (isRecord) this.#announced.clear();
  }

  postpone(error: unknown, now: number): void {
    this.#failures += 1;
    const pauseMs = backoffMs(FIRST_PAUSE_MS, this.#failures, this.#random);
    this.#dueAt = now + Math.max(pauseMs, requestedPauseMs(error, this.#random));
  }

  /** Returns whether a permanent failure is news. */
  isNews({ code }: DewyError): boolean {
    if (this.#announced.has(code)) return false;
    this.#announced.add(code);
    return true;
  }

  /** Distinguishes machines of one name, and processes of one machine, that deploy in the same millisecond. */
  nanoseconds(): number {
    return Math.floor(this.#random() * 1_000_000);
  }
}

export function reportKey({ at, nanoseconds, tag }: PendingReport): string {
  return `${at} ${nanoseconds} ${tag}`;
}
