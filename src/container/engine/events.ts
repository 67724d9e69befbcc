import * as v from "valibot";
import { AbortedError, HostError } from "../../core/error.ts";
import type { EngineCommand } from "./command.ts";
import { type EngineDialect, filterArgs } from "./dialect.ts";
import type { LabelFilter } from "./engine.ts";
import { parseOutput } from "./schema.ts";

interface EventSubscription {
  dialect: EngineDialect;
  command: EngineCommand;
  labels: LabelFilter;
  /** Called with the container's ID and the action: `die`, `kill`, … */
  onEvent(id: string, action: string): void;
  signal: AbortSignal;
}

/** The stream is limited, so that the engine's process ends by itself if dewy is killed. */
const SESSION_S = 600;
/** How much later than requested the engine may end the stream. */
const GRACE_S = 30;

// The fields of Docker and those of Podman.
const Event = v.object({
  Actor: v.nullish(v.object({ ID: v.string() })),
  ID: v.nullish(v.string()),
  Action: v.nullish(v.string()),
  Status: v.nullish(v.string()),
});

export async function watchEvents(subscription: EventSubscription): Promise<void> {
  for (let since = now(); !subscription.signal.aborted; ) {
    const until = since + SESSION_S;
    await watchOnce(subscription, since, until);
    since = until;
  }
}

/** The times are in seconds since the Unix epoch. */
async function watchOnce(
  { dialect, command, labels, onEvent, signal }: EventSubscription,
  since: number,
  until: number,
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
        const event = parseOutput(Event, line, dialect.name);
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
      throw new HostError(`Cannot watch containers: ${dialect.name} ended the event stream`);
    }
  } catch (error) {
    if (signal.aborted && error instanceof AbortedError) return;
    throw broken ?? error;
  }
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
