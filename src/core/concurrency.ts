import type { Clock } from "./clock.ts";

export type Exclusively = <T>(work: () => Promise<T>) => Promise<T>;

/** Returns a queue for work that must not overlap. */
export function exclusive(): Exclusively {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work, work);
    last = result.catch(() => {});
    return result;
  };
}

/** Shares one answer, or one failure, among all calls until `ms` after it was asked for. */
export function cached<T>(
  ask: () => Promise<T>,
  { ms, clock }: { ms: number; clock: Clock },
): () => Promise<T> {
  let answer: Promise<T> | undefined;
  let freshUntil = 0;
  return () => {
    const now = clock.monotonic();
    if (answer === undefined || now >= freshUntil) {
      freshUntil = Number.POSITIVE_INFINITY;
      answer = ask().finally(() => {
        freshUntil = now + ms;
      });
    }
    return answer;
  };
}
