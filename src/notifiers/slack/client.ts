import { CredentialError, RemoteError } from "../../core/error.ts";
import { createHttpClient } from "../../http/client.ts";
import { SENDER } from "../card.ts";
import type { Notification, NotifierContext } from "../driver.ts";
import { slackMessage } from "./attachment.ts";
import { SLACK_API, type SlackLocator } from "./locator.ts";

/** Posts a notification, with `threadTs` as a reply in that thread. */
export type SlackClient = (
  notification: Notification,
  threadTs: string | undefined,
  signal: AbortSignal,
) => Promise<void>;

export function slackClient(
  locator: SlackLocator,
  token: string,
  context: NotifierContext,
): SlackClient {
  const http = createHttpClient({ ...context, retries: 0 });
  const base = (context.env.SLACK_API_URL || SLACK_API).replace(/\/*$/, "/");
  return async (notification, threadTs, signal) => {
    const message = slackMessage(notification, locator, context.host);
    const form = new URLSearchParams({
      channel: locator.channel,
      username: SENDER.name,
      icon_url: SENDER.icon,
      attachments: JSON.stringify(message.attachments),
    });
    if (message.text !== undefined) form.set("text", message.text);
    if (threadTs !== undefined) {
      form.set("thread_ts", threadTs);
      if (notification.kind === "error") form.set("reply_broadcast", "true");
    }
    // https://api.slack.com/methods/chat.postMessage
    const { text } = await http.text({
      method: "POST",
      url: `${base}chat.postMessage`,
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
      },
      body: form.toString(),
      signal,
    });
    checkAnswer(text, locator.channel);
  };
}

const CREDENTIAL_ERRORS = new Set([
  "invalid_auth",
  "not_authed",
  "account_inactive",
  "token_revoked",
  "token_expired",
  "missing_scope",
]);
/** Until an operator invites the bot, or makes the channel. */
const CHANNEL_ERRORS = new Set(["channel_not_found", "not_in_channel", "is_archived"]);
const TEMPORARY_ERRORS = new Set([
  "ratelimited",
  "internal_error",
  "fatal_error",
  "service_unavailable",
]);

/** Slack responds with 200 to failures as well; the body distinguishes them. https://api.slack.com/web#responses */
function checkAnswer(text: string, channel: string): void {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw new RemoteError("Cannot send to Slack: the response is not JSON", {
      cause,
      retryable: false,
    });
  }
  const { ok, error } = (answer ?? {}) as { ok?: unknown; error?: unknown };
  if (ok === true) return;
  const code = typeof error === "string" ? error : "unknown error";
  const message = `Cannot send to Slack channel "${channel}": ${code}`;
  if (CREDENTIAL_ERRORS.has(code)) throw new CredentialError(`${message}; check SLACK_TOKEN`);
  if (CHANNEL_ERRORS.has(code)) {
    throw new RemoteError(`${message}; invite the bot to it`, {
      fault: "operator",
      retryable: false,
    });
  }
  throw new RemoteError(message, { retryable: TEMPORARY_ERRORS.has(code) });
}
