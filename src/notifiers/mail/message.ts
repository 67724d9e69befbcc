import { userInfo } from "node:os";
import { formatDuration } from "../../core/duration.ts";
import type { HookResult } from "../../core/event.ts";
import { shorten } from "../../core/text.ts";
import type { Notification, NotifierContext } from "../driver.ts";
import { hookOf, hookTitle } from "../hook.ts";
import { LAST_ERROR_NOTE } from "../limit.ts";
import { plainText } from "../rich_text.ts";

export const DEFAULT_SUBJECT = "Dewy Notification";
/** Phones and mail lists show less. */
const MAX_SUBJECT = 150;

export interface MailText {
  subject: string;
  body: string;
}

/** The subject and the text of a mail, in the words of the Go dewy. */
export function mailText(
  notification: Notification,
  subject: string | undefined,
  { host, instance }: Pick<NotifierContext, "host" | "instance">,
): MailText {
  const hook = hookOf(notification.entry);
  const late = notification.lateAt === undefined ? "" : `[${notification.lateAt}] `;
  const text = hook === undefined ? plainText(notification.text) : `${late}${hookText(hook)}`;
  const [what = ""] = text.replace(LAST_ERROR_NOTE, "").split("\n");
  const where = instance.name === "" ? host.name : `${instance.name} on ${host.name}`;
  const shown =
    hook === undefined
      ? (subject ?? `${DEFAULT_SUBJECT}: ${shorten(what, MAX_SUBJECT)} (${where})`)
      : `Dewy ${hookStatus(hook)}`;
  return {
    subject: shown.replace(/[\s\p{Cc}]+/gu, " "),
    body: [
      `${text}\n`,
      `Host: ${host.name}`,
      `User: ${userName()}`,
      `Working dir: ${instance.directory}\n`,
      "--",
      "Dewy: https://github.com/linyows/dewy",
    ].join("\n"),
  };
}

function hookText(hook: HookResult): string {
  const outputs = Object.entries({ STDOUT: hook.stdout, STDERR: hook.stderr })
    .filter(([, output]) => output !== "")
    .map(([name, output]) => `\n\n${name}:\n${output}`);
  const exitCode = hook.timedOut ? "timeout" : (hook.exitCode ?? "signal");
  return [
    `${hookStatus(hook)}\n`,
    `Command: ${hook.command}`,
    `Exit Code: ${exitCode}`,
    `Duration: ${formatDuration(hook.durationMs)}${outputs.join("")}`,
  ].join("\n");
}

function hookStatus(hook: HookResult): string {
  return `${hookTitle(hook)} ${hook.exitCode === 0 ? "SUCCESS" : "FAILED"}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return ""; // a container may run as a user without a name
  }
}
