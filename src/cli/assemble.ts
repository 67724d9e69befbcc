import type { CommandContext, DriverTables } from "../agent/context.ts";
import { type Redactor, redactorOf } from "../agent/redactor.ts";
import { systemClock } from "../core/clock.ts";
import { type EventSink, fanOut } from "../core/event.ts";
import { createHostIo } from "../host/io.ts";
import type { ProcessIo } from "../host/process/io.ts";
import type { RegistryContext } from "../registries/driver.ts";
import { checkCommandFits } from "./command_fit.ts";
import { type Config, isDeploying } from "./config.ts";
import { formatHuman, formatJson, formatText } from "./log/format.ts";
import { createLogger } from "./log/log.ts";
import { createProgressLine, type ProgressLine } from "./log/progress_line.ts";
import { VERSION } from "./version.ts";

/** A world, and what must be ended with it. */
export interface Assembled {
  /** What the command gets. */
  context: CommandContext;
  /** Ends the subscribers: the progress line goes, the last notifications leave. */
  close(): Promise<void>;
}

/** How long the end of dewy waits for a notifier. */
const FLUSH_MS = 5000;

/**
 * Builds the world of a command: the network, the drivers, and who listens to events.
 *
 * @param config what the command is told.
 * @param io the process.
 * @returns the world.
 * @throws ConfigError for a registry of another command, a notifier or a CA file that cannot be used.
 */
export async function assemble(
  config: Config,
  io: ProcessIo,
  tables: DriverTables,
): Promise<Assembled> {
  if ("registry" in config) checkCommandFits(config.command, config.registry, tables.registries);
  const clock = systemClock;
  const redactor = redactorOf(tables.registries, tables.notifiers);
  const progress = createProgressLine(io.stderr, clock.now);
  const sinks: EventSink[] = [progress.sink, logger(config, io, progress, redactor)];
  // Subscribers that come later, such as the notifier, need the network, which itself tells events.
  const emit: EventSink = (event) => fanOut(sinks)(event);
  const hostIo = await createHostIo({
    env: io.env,
    caFile: "caFile" in config ? config.caFile : undefined,
    platform: "platform" in config ? config.platform : undefined,
    clock,
    emit,
  });
  const closeNotifier = await subscribeNotifier(config, hostIo, sinks, tables.notifiers, redactor);
  const context: CommandContext = {
    ...io,
    clock,
    fetch: hostIo.fetch,
    emit,
    io: hostIo,
    ...tables,
    redactor,
    version: VERSION,
  };
  return {
    context,
    close: async () => {
      progress.clear();
      await closeNotifier();
    },
  };
}

/** Someone who watches a deploy at a terminal wants to see it; a service asks for what it wants. */
function logger(
  config: Config,
  io: ProcessIo,
  progress: ProgressLine,
  redactor: Redactor,
): EventSink {
  const watches = io.stderr.isTerminal && isDeploying(config);
  const isHuman = watches && config.logLevel === undefined && config.logFormat === undefined;
  const machine = config.logFormat === "json" ? formatJson : formatText;
  return createLogger({
    level: config.logLevel ?? (watches || config.command === "registry" ? "info" : "error"),
    format: isHuman ? formatHuman : machine,
    write: progress.write,
    now: systemClock.now,
    redact: redactor(io.env),
  });
}

async function subscribeNotifier(
  config: Config,
  io: RegistryContext,
  sinks: EventSink[],
  notifiers: DriverTables["notifiers"],
  redactor: Redactor,
): Promise<() => Promise<void>> {
  if (!isDeploying(config) || config.notifier === undefined) return async () => {};
  const { openNotifier } = await import("../notifiers/open.ts");
  const { hostIdentity } = await import("../host/host_identity.ts");
  const notifierIo = { ...io, host: hostIdentity() };
  const notifications = openNotifier(config.notifier, notifiers, notifierIo, redactor(io.env));
  sinks.push(notifications.sink);
  return () => notifications.close(FLUSH_MS);
}
