import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import type { WebhookOutcome } from "./handler.ts";

/** Between two polls that webhooks start. */
export const WAKE_GAP_MS = 5_000;
/** Between two reports of refused requests, or ignored ones, of a source. */
export const REPORT_GAP_MS = 60_000;

/**
 * Coalesces bursts: the first webhook wakes at once, and those that follow within the gap wake once more at its end, so
 * that a poll always begins after the last one.
 */
export function limitWakes({
  onWake,
  clock,
  signal,
}: {
  onWake(): void;
  clock: Clock;
  signal: AbortSignal;
}): () => void {
  let isInGap = false;
  let isDue = false;
  return function wake() {
    isDue = isInGap;
    if (isInGap) return;
    isInGap = true;
    onWake();
    clock.sleep(WAKE_GAP_MS, signal).then(
      () => {
        isInGap = false;
        if (isDue) wake();
      },
      () => {}, // Closed.
    );
  };
}

/** Limits the events by source and outcome; the next one says how many were left out. */
export function limitReports({
  clock,
  emit,
}: {
  clock: Clock;
  emit: EventSink;
}): (outcome: WebhookOutcome) => void {
  const reports = new Map<string, { at: number; left: number }>();
  return ({ source, outcome, reason }) => {
    const kind = `${source} ${outcome}`;
    const last = reports.get(kind);
    const now = clock.monotonic();
    const gapMs = outcome === "accepted" ? WAKE_GAP_MS : REPORT_GAP_MS;
    if (last !== undefined && now - last.at < gapMs) {
      last.left += 1;
      return;
    }
    reports.set(kind, { at: now, left: 0 });
    const reasons = [reason ?? [], last?.left ? `${last.left} more before` : []].flat();
    emit({ type: "webhook", source, outcome, reason: reasons.join("; ") || undefined });
  };
}
