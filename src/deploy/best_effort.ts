import type { Context } from "../core/context.ts";
import { AbortedError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";

/** How long a best-effort step may still take once dewy is stopping. */
const STOP_GRACE_MS = 5_000;

export async function bestEffort(
  { emit }: Pick<Context, "emit">,
  what: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    emit({ type: "warning", message: `Cannot ${what}`, fields: { error: messageOf(error) } });
  }
}

/** Waits for work, but only briefly once dewy is stopping: the work may ignore every signal. */
export async function untilStopped(
  work: Promise<void>,
  { clock }: Pick<Context, "clock">,
  signal: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { signal: done.signal });
  });
  const timeout = stopped.then(async () => {
    await clock.sleep(STOP_GRACE_MS, done.signal);
    throw new AbortedError("it took too long while dewy was stopping");
  });
  try {
    await Promise.race([work, timeout]);
  } finally {
    done.abort();
    timeout.catch(() => {});
  }
}
