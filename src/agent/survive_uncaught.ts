import type { CommandContext } from "./context.ts";
import { describeUnexpected } from "./crash_text.ts";

/** An error that repeats is reported at most once in this time, in milliseconds. */
const REPEAT_MS = 60_000;
/** Kinds of errors that are told apart; all further ones count as one. */
const MAX_KINDS = 20;

/**
 * Keeps an agent running when an error is thrown that nothing catches, such as one that a dependency emits without a
 * listener: what runs under dewy must not lose its supervisor for that. Each kind of error is reported when it first
 * occurs, and then at most once a minute, so that an error in a fast loop floods neither log nor notifier.
 *
 * @param world the process, its environment and what listens to events.
 */
export function surviveUncaught({
  env,
  emit,
  clock,
  survive,
}: Pick<CommandContext, "env" | "emit" | "clock" | "survive">): void {
  const kinds = new Map<string, { count: number; reportedAt: number }>();
  survive((error) => {
    const text = describeUnexpected(error, env);
    // Ports, process ids and times differ from one occurrence to the next.
    const wanted = text.replaceAll(/\d+/g, "0");
    const kind = kinds.has(wanted) || kinds.size < MAX_KINDS ? wanted : "";
    const now = clock.monotonic();
    const seen = kinds.get(kind) ?? { count: 0, reportedAt: Number.NEGATIVE_INFINITY };
    seen.count += 1;
    kinds.set(kind, seen);
    if (now - seen.reportedAt < REPEAT_MS) return;
    seen.reportedAt = now;
    emit({ type: "uncaught", error: text, count: seen.count });
    const stack = error instanceof Error ? error.stack : undefined;
    if (stack !== undefined) emit({ type: "uncaught-stack", stack });
  });
}
