import { createHmac } from "node:crypto";
import { CredentialError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Notification, NotifierContext } from "../driver.ts";
import { reportOf } from "../report.ts";
import { jsonPoster, type Webhook } from "../webhook.ts";

/** Returns a function that posts a report, signed if there is a secret. */
export function webhookClient({ target, options }: Webhook, context: NotifierContext) {
  const sign = createSigner(options.text("secret-file"), context);
  const advice = "check its URL and the secret";
  const post = jsonPoster({ name: "the webhook", target, advice }, context);
  return async (notification: Notification, signal: AbortSignal): Promise<void> => {
    const body = JSON.stringify(reportOf(notification, context));
    await post(body, signal, {
      "x-dewy-event": notification.entry.event,
      "x-dewy-delivery": notification.id,
      ...(await sign(body)),
    });
  };
}

type Sign = (body: string) => Promise<{ "x-dewy-signature-256"?: string }>;

/** The file is read again for each request, so that a secret can be replaced while dewy runs. */
function createSigner(
  file: string,
  { env, readTextFile }: Pick<NotifierContext, "env" | "readTextFile">,
): Sign {
  const readSecret = async (): Promise<string | undefined> => {
    if (file === "") return env.DEWY_WEBHOOK_NOTIFIER_SECRET;
    const text = await readTextFile?.(file).catch((cause: unknown) => {
      throw new CredentialError(`Cannot sign a notification: ${messageOf(cause)}`, { cause });
    });
    const secret = text?.trim() ?? "";
    if (secret === "") throw new CredentialError(`Cannot sign a notification: "${file}" is empty`);
    return secret;
  };
  return async (body) => {
    const secret = await readSecret();
    if (secret === undefined) return {};
    const hex = createHmac("sha256", secret).update(body).digest("hex");
    return { "x-dewy-signature-256": `sha256=${hex}` };
  };
}
