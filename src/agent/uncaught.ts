import type { Environment } from "../core/environment.ts";
import { printable } from "../core/text.ts";
import type { CommandContext } from "./context.ts";
import { redactor } from "./redactor.ts";

/** The line that is printed for an unexpected error that ends dewy. Secrets in `env` are masked. */
export function crashText(error: unknown, env: Environment): string {
  return `Error: ${printable(redactor(env)(describe(error)))}; this is a bug in dewy\n`;
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

const REPEAT_MS = 60_000;
/** Kinds of errors that are counted separately; all further kinds count as one. */
const MAX_KINDS = 20;

/**
 * Keeps an agent running after an uncaught error, such as one that a dependency emits without a listener: the app must
 * not lose its supervisor because of it. Each kind of error is reported at most once a minute, so that an error in a
 * fast loop floods neither log nor notifier.
 */
export function surviveUncaught({
  env,
  emit,
  clock,
  redactor: redactorOf,
  keepRunning,
}: Pick<CommandContext, "env" | "emit" | "clock" | "redactor" | "keepRunning">): void {
  const redact = redactorOf(env);
  const kinds = new Map<string, { count: number; reportedAt: number }>();
  keepRunning((error) => {
    const text = redact(describe(error));
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
