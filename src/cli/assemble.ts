import { type CommandContext, type DriverTables, isolated } from "../agent/context.ts";
import { type Redactor, redactorOf } from "../agent/redactor.ts";
import { systemClock } from "../core/clock.ts";
import type { Environment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import { type EventSink, fanOut } from "../core/event.ts";
import { redactUrl } from "../core/url.ts";
import { createHostIo } from "../host/io.ts";
import type { ProcessIo } from "../host/process/io.ts";
import type { Notifications } from "../notifiers/open.ts";
import type { CollectedUrls } from "../notifiers/urls.ts";
import type { RegistryContext, RegistryTable } from "../registries/driver.ts";
import { splitRegistryUrl } from "../registries/load.ts";
import { type Config, isAsking, isDeploying } from "./config.ts";
import { compileWindows } from "./flags/windows.ts";
import { formatJson, formatStory, formatText } from "./log/format.ts";
import { createLogger } from "./log/log.ts";
import { createProgressLine, type ProgressLine } from "./log/progress_line.ts";
import { isDumb, terminalStyle } from "./terminal.ts";
import { VERSION } from "./version.ts";

/** Builds the context of a command: the network, the drivers and the subscribers of events. */
export async function assemble(
  config: Config,
  io: ProcessIo,
  tables: DriverTables,
): Promise<{ context: CommandContext; close(): Promise<void> }> {
  if ("registry" in config) checkRegistry(config, tables.registries);
  // An invalid window ends dewy before anything is written.
  if ("windows" in config) await compileWindows(config.windows);
  const clock = systemClock;
  const urls = await notifierUrls(config, io, tables.notifiers);
  const known = redactorOf(tables.registries, tables.notifiers, tables.caches);
  const redactor: Redactor = (...environments) => known(...environments, urls?.secrets ?? {});
  const canRedraw = io.stderr.isTerminal && !isDumb(io.env);
  const progress = createProgressLine({ ...io.stderr, isTerminal: canRedraw }, clock.now);
  const sinks: EventSink[] = [progress.sink, logger(config, io, progress, redactor)];
  const own = await ownLines(config, io, redactor);
  if (own !== undefined) sinks.push(own.sink);
  // The network emits events itself.
  const emit: EventSink = (event) => fanOut(sinks)(event);
  const hostIo = await createHostIo({
    env: io.env,
    caFile: "caFile" in config ? config.caFile : undefined,
    platform: "platform" in config ? config.platform : undefined,
    clock,
    emit,
  });
  const notifications = await open(urls, config, hostIo, { tables, redactor });
  const context: CommandContext = {
    ...io,
    clock,
    fetch: hostIo.fetch,
    emit,
    subscribe: (sink) => {
      sinks.push(sink);
      return () => void sinks.splice(sinks.indexOf(sink), 1);
    },
    notifications,
    io: hostIo,
    ...tables,
    redactor,
    version: VERSION,
    ...(own && { ownLines: own.last }),
  };
  return {
    context,
    /** Removes the progress line. */
    close: async () => {
      progress.clear();
      // For a command that ended before its agent began.
      await notifications?.close(0);
    },
  };
}

/** A deploy at a terminal is logged as a story; services and scripts get the format and level they ask for. */
function logger(
  config: Config,
  io: ProcessIo,
  progress: ProgressLine,
  redactor: Redactor,
): EventSink {
  const isWatched = io.stderr.isTerminal && isDeploying(config);
  const isStory = isWatched && config.logLevel === undefined && config.logFormat === undefined;
  const format = config.logFormat === "json" ? formatJson : formatText;
  return createLogger({
    level: config.logLevel ?? (isWatched || config.command === "registry" ? "info" : "error"),
    format: isStory ? formatStory(terminalStyle(io.stderr, io.env)) : format,
    write: progress.write,
    now: systemClock.now,
    redact: redactor(io.env),
  });
}

/** What the log shows, or would show at level `info`. */
async function ownLines(config: Config, io: ProcessIo, redactor: Redactor) {
  if (!("admin" in config) || config.admin === undefined) return undefined;
  const { OwnLines } = await import("../admin/own_lines.ts");
  const lines = new OwnLines();
  const sink = createLogger({
    level: config.logLevel ?? "info",
    format: formatText,
    write: lines.write,
    now: systemClock.now,
    redact: redactor(io.env),
  });
  return { sink, last: () => lines.last() };
}

interface NotifierUrls extends CollectedUrls {
  /** As an environment, for the redactor. */
  secrets: Environment;
}

async function notifierUrls(
  config: Config,
  { env }: ProcessIo,
  table: DriverTables["notifiers"],
): Promise<NotifierUrls | undefined> {
  const isWanted =
    isDeploying(config) &&
    !config.dryRun &&
    (config.notifiers.length > 0 || config.notifierFiles.length > 0 || env.DEWY_NOTIFIER);
  if (!isWanted) return undefined;
  const { collectNotifierUrls, secretsIn } = await import("../notifiers/urls.ts");
  const urls = await collectNotifierUrls(config, env);
  return { ...urls, secrets: { NOTIFIER_SECRETS: secretsIn(urls.texts, table).join("\n") } };
}

/** An invalid URL ends dewy before anything is written. */
async function open(
  urls: NotifierUrls | undefined,
  config: Config,
  context: RegistryContext,
  { tables, redactor }: { tables: DriverTables; redactor: Redactor },
): Promise<Notifications | undefined> {
  if (urls === undefined || !isDeploying(config)) return undefined;
  const { texts, origins, publicFiles, emptyFiles } = urls;
  const warn = (message: string, file: string, hint: string): void =>
    context.emit({ type: "warning", important: true, message, fields: { file, hint } });
  for (const file of publicFiles) {
    warn("Every user can read the URLs of notifiers", file, "chmod o-r");
  }
  for (const file of emptyFiles) warn("No notifications: no URL in the file", file, "one per line");
  if (texts.length === 0) return undefined;
  const { openNotifiers } = await import("../notifiers/open.ts");
  const { hostIdentity } = await import("../host/host_identity.ts");
  const registry = redactUrl(config.registry);
  const { fleet } = config;
  const instance = { name: "", mode: config.command, directory: "", registry, fleet: fleet?.name };
  const programEnv = isolated(context.env, tables);
  const { caFile } = config;
  const redact = redactor(context.env);
  const own = { ...context, host: hostIdentity(), instance, caFile, programEnv, redact };
  return openNotifiers(texts, tables.notifiers, own, origins);
}

/** Refuses a registry that the command cannot use, and names the one that can. */
function checkRegistry(
  config: Extract<Config, { registry: string }>,
  registries: RegistryTable,
): void {
  const { command, registry } = config;
  const flag = command === "registry" ? "--upstream" : "--registry";
  const { scheme } = splitRegistryUrl(registry, registries, flag);
  if (isAsking(command) || !Object.hasOwn(registries, scheme)) return;
  const shown = `${flag} "${redactUrl(registry)}"`;
  const { commands: fitting = [], artifact } = registries[scheme] ?? {};
  if (command !== "registry") {
    // It needs files, as assets does.
    if (fitting.includes(command === "upgrade" ? "assets" : command)) return;
    const names = fitting.map((name) => `\`dewy ${name}\``).join(" or ");
    throw new ConfigError(
      `Cannot use ${shown} with dewy ${command}: use ${names} for ${scheme}://`,
    );
  }
  if (!fitting.includes("assets")) {
    throw new ConfigError(
      `Cannot use ${shown} with dewy registry: it serves files, and ${scheme}:// has images, which machines pull themselves`,
    );
  }
  if (config.direct && artifact?.isRemote === false) {
    throw new ConfigError(
      `Cannot use --direct with ${shown}: other machines cannot reach ${scheme}:// URLs`,
    );
  }
}
