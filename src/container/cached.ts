import type { Clock } from "../core/clock.ts";

/** Shares one answer, or one failure, among all calls until `ms` after it was asked for. */
export function cached<T>(
  ask: () => Promise<T>,
  { ms, clock }: { ms: number; clock: Clock },
): () => Promise<T> {
  let answer: Promise<T> | undefined;
  let isRunning = false;
  let askedAt = 0;
  return () => {
    if (answer === undefined || (!isRunning && clock.monotonic() - askedAt >= ms)) {
      askedAt = clock.monotonic();
      isRunning = true;
      answer = ask().finally(() => {
        isRunning = false;
      });
      answer.catch(() => {});
    }
    return answer;
  };
}
