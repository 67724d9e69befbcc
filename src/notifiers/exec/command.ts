import { ConfigError, HostError } from "../../core/error.ts";
import { shorten } from "../../core/text.ts";
import { run } from "../../host/process/run.ts";
import type { Notification, NotifierContext } from "../driver.ts";
import { type Report, reportOf } from "../report.ts";

/** A backstop: the outbox aborts earlier. */
const TIMEOUT_MS = 60_000;
const MAX_REASON = 200;
/** Linux limits a variable to 128 KiB. */
const MAX_TEXT = 16_000;

/** Runs a command as hooks are run, with the report as JSON on its standard input. */
export async function runCommand(
  command: string,
  notification: Notification,
  context: NotifierContext,
  signal: AbortSignal,
): Promise<void> {
  const report = reportOf(notification, context);
  const { exitCode, stderr } = await run({
    command: ["/bin/sh", "-c", command],
    cwd: context.instance.directory,
    env: { ...context.programEnv, ...variablesOf(report) },
    input: `${JSON.stringify(report)}\n`,
    timeoutMs: TIMEOUT_MS,
    signal,
  });
  if (exitCode === 0) return;
  const end = exitCode === null ? "was ended by a signal" : `exited with code ${exitCode}`;
  const [lastLine = ""] = stderr.trim().split("\n").slice(-1);
  const reason = lastLine === "" ? "" : `: ${shorten(lastLine, MAX_REASON)}`;
  const message = `Cannot notify with exec:…: the command ${end}${reason}`;
  // https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02: not found, not executable.
  if (exitCode === 126 || exitCode === 127) throw new ConfigError(message);
  throw new HostError(message);
}

/** For short scripts. A variable cannot contain NUL. */
function variablesOf({ id, event, kind, text, host, app, mode, entry }: Report) {
  return {
    DEWY_NOTIFICATION: id,
    DEWY_EVENT: event,
    DEWY_KIND: kind,
    DEWY_TEXT: shorten(text.replaceAll("\0", ""), MAX_TEXT),
    DEWY_HOST: host,
    DEWY_APP: app,
    DEWY_COMMAND: mode,
    DEWY_TAG: entry.tag ?? "",
  };
}
