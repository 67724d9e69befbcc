import * as v from "valibot";
import { AbortedError, HostError } from "../../core/error.ts";
import type { LabelFilter } from "./engine.ts";
import type { EngineCommand } from "./engine_command.ts";
import { type EngineDialect, filterArgs } from "./engine_dialect.ts";
import { parse } from "./engine_schema.ts";

/** The stream is opened anew now and then, so that one which a killed dewy left behind ends by itself. */
const SESSION_S = 600;
/** How much later than asked for an engine may end the stream. */
const GRACE_S = 30;

// Docker's, and Podman's.
const Event = v.object({
  Actor: v.nullish(v.object({ ID: v.string() })),
  ID: v.nullish(v.string()),
  Action: v.nullish(v.string()),
  Status: v.nullish(v.string()),
});

/**
 * Follows an engine's events until the signal comes.
 *
 * @param dialect the engine's.
 * @param command runs it.
 * @param labels what the containers must have.
 * @param onEvent called with the identifier of a container and what happened to it: `die`, `kill`, …
 * @param signal ends it; no process is left then.
 * @throws HostError when the engine ends the stream.
 */
export async function watchEvents(
  dialect: EngineDialect,
  command: EngineCommand,
  labels: LabelFilter,
  onEvent: (id: string, action: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for (let since = now(); !signal.aborted; ) {
    const until = since + SESSION_S;
    await watchOnce(dialect, command, { labels, since, until, onEvent, signal });
    since = until;
  }
}

interface Session {
  labels: LabelFilter;
  /** Seconds since the Unix epoch. */
  since: number;
  /** Seconds since the Unix epoch. */
  until: number;
  onEvent: (id: string, action: string) => void;
  signal: AbortSignal;
}

async function watchOnce(
  dialect: EngineDialect,
  command: EngineCommand,
  { labels, since, until, onEvent, signal }: Session,
): Promise<void> {
  let broken: unknown;
  const stop = new AbortController();
  const filters = dialect.eventFilters.flatMap((filter) => ["--filter", filter]);
  const call = {
    args: [
      "events",
      ...["--since", String(since), "--until", String(until)],
      ...filters,
      ...filterArgs(labels),
      ...["--format", dialect.eventFormat],
    ],
    action: "watch containers",
    timeoutMs: (SESSION_S + GRACE_S) * 1000,
    signal: AbortSignal.any([signal, stop.signal]),
    onLine(line: string): void {
      try {
        const event = parse(Event, line, dialect.name);
        onEvent(event.Actor?.ID ?? event.ID ?? "", event.Action ?? event.Status ?? "");
      } catch (error) {
        broken ??= error;
        stop.abort();
      }
    },
  };
  try {
    const result = await command.run(call);
    if (result.exitCode !== 0 && !result.timedOut) throw command.failure(call, result);
    if (now() < until - GRACE_S) {
      throw new HostError(`Cannot watch containers: ${dialect.name} ended the stream of events`);
    }
  } catch (error) {
    if (signal.aborted && error instanceof AbortedError) return;
    throw broken ?? error;
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
