import { basename } from "node:path";
import type { ControlHandler } from "../control/conversations.ts";
import { type InstanceStatus, Mode } from "../control/protocol.ts";
import { openControl } from "../control/server.ts";
import { type EventSink, fanOut } from "../core/event.ts";
import { withTimeout } from "../core/timeout.ts";
import { redactUrl } from "../core/url.ts";
import type { VersionPolicy } from "../deploy/choose.ts";
import type { JournalEntry } from "../journal/entry.ts";
import { Journal } from "../journal/journal.ts";
import type { CommandContext } from "./context.ts";
import { LiveStatus, runningStatus } from "./instance_status.ts";
import type { Agent } from "./types.ts";

/** How long the last notifications may take when dewy stops. */
const NOTIFY_MS = 5_000;

type Subscribe = NonNullable<CommandContext["subscribe"]>;

/** The events of a command, for subscribers that come and go. */
export interface EventHub {
  emit: EventSink;
  subscribe: Subscribe;
}

/** Where the command has no subscribers of its own, only the events that pass the hub reach them. */
export function eventHub({
  emit,
  subscribe,
}: Pick<CommandContext, "emit" | "subscribe">): EventHub {
  if (subscribe !== undefined) return { emit, subscribe };
  const sinks = new Set<EventSink>();
  return {
    emit: (event) => fanOut([emit, ...sinks])(event),
    subscribe: (sink) => {
      sinks.add(sink);
      return () => void sinks.delete(sink);
    },
  };
}

/** The journal and the status of an agent, and the socket over which commands reach it. */
export interface OpenInstance {
  status(): Promise<InstanceStatus>;
  /** Adds the address of the status page to the status. */
  showAdmin(url: string | undefined): void;
  /** Opens the socket. */
  listen(steer: ControlHandler["steer"]): Promise<void>;
  /** Closes the socket, once commands have been answered. */
  hangUp(): Promise<void>;
  /** Sends the last notifications, and writes the rest of the journal. */
  close(): Promise<void>;
  /** Receives the events that the others receive only once. */
  repeated: EventSink;
}

export function openInstance(
  agent: Agent,
  { opensAt, maxStalenessMs }: Pick<VersionPolicy, "opensAt" | "maxStalenessMs">,
  hub: EventHub,
  command: CommandContext,
): OpenInstance {
  const { config, root, supervision, name = basename(root) } = agent;
  const { clock, env, version, notifications } = command;
  const redact = command.redactor(env);
  const live = new LiveStatus(clock);
  const onEntry = (entry: JournalEntry): void => notifications?.push(entry);
  const journal = new Journal({ root, emit: hub.emit, clock, redact, onEntry });
  notifications?.start({ name, directory: root });
  const unsubscribe = [hub.subscribe(journal.sink), hub.subscribe(live.sink)];
  const mode = Mode.options.find((one) => one === config.command);
  const since = new Date(clock.now()).toISOString();
  const subject = {
    name,
    mode,
    directory: root,
    registry: redactUrl(config.registry),
    process: { pid: process.pid, dewy: version, since },
    live,
    opensAt: () => opensAt?.(clock.now()),
    maxStalenessMs,
    appStatus: supervision?.appStatus?.bind(supervision),
    notifiers: notifications?.status.bind(notifications),
    redact,
  };
  let admin: string | undefined;
  const status = (): Promise<InstanceStatus> => runningStatus({ ...subject, admin });
  let control: { close(): Promise<void> } | undefined;
  return {
    status,
    showAdmin(url) {
      admin = url;
    },
    async listen(steer) {
      if (mode === undefined) return;
      const handler: ControlHandler = { status, steer };
      control = await openControl({ root, name, mode, version, handler, env, emit: hub.emit });
    },
    hangUp: async () => control?.close(),
    async close() {
      const notified = journal.settled().then(() => notifications?.close(NOTIFY_MS));
      // A disk that hangs must not keep dewy from ending.
      await withTimeout(notified, { clock, ms: 2 * NOTIFY_MS, what: "disk" }).catch(() => {});
      for (const one of unsubscribe) one();
      await journal.close();
    },
    repeated: live.sink,
  };
}
