import { CredentialError, RemoteError } from "../../core/error.ts";
import { createHttpClient } from "../../http/client.ts";
import type { Notification, NotifierIo } from "../driver.ts";
import { slackAttachment } from "./attachment.ts";
import { SLACK_API, type SlackLocator } from "./locator.ts";

const ICON = "https://raw.githubusercontent.com/linyows/dewy/main/misc/dewy-icon.512.png";

/** Posts a notification, as a reply in a thread if `threadTs` is not empty. */
export type SlackClient = (
  notification: Notification,
  threadTs: string,
  signal: AbortSignal,
) => Promise<void>;

export function slackClient(locator: SlackLocator, token: string, io: NotifierIo): SlackClient {
  const http = createHttpClient({ ...io, retries: 0 });
  const address = `${(io.env.SLACK_API_URL || SLACK_API).replace(/\/*$/, "/")}chat.postMessage`;
  return async (notification, threadTs, signal) => {
    const attachment = slackAttachment(notification, locator, io.host, io.clock.now());
    const form = new URLSearchParams({
      channel: locator.channel,
      username: "Dewy",
      icon_url: ICON,
      attachments: JSON.stringify([attachment]),
      ...(threadTs === "" ? {} : { thread_ts: threadTs }),
      ...(threadTs !== "" && notification.kind === "error" ? { reply_broadcast: "true" } : {}),
    });
    // https://api.slack.com/methods/chat.postMessage
    const { text } = await http.text({
      method: "POST",
      url: address,
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
const PASSING_ERRORS = new Set([
  "ratelimited",
  "internal_error",
  "fatal_error",
  "service_unavailable",
]);

/** Slack answers 200 and says inside whether it worked. https://api.slack.com/web#responses */
function checkAnswer(text: string, channel: string): void {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw new RemoteError("Cannot send to Slack: the answer is not JSON", {
      cause,
      retryable: false,
    });
  }
  const { ok, error } = (answer ?? {}) as { ok?: unknown; error?: unknown };
  if (ok === true) return;
  const code = typeof error === "string" ? error : "unknown error";
  const message = `Cannot send to Slack channel "${channel}": ${code}`;
  if (CREDENTIAL_ERRORS.has(code)) throw new CredentialError(`${message}; check SLACK_TOKEN`);
  throw new RemoteError(message, { retryable: PASSING_ERRORS.has(code) });
}
