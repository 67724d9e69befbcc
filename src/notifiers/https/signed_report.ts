import { createHmac } from "node:crypto";
import { CredentialError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Notification, NotifierContext } from "../driver.ts";
import type { Post } from "../post_json.ts";
import { reportOf } from "../report.ts";

/** A report, signed if there is a secret. */
export async function signedReport(
  notification: Notification,
  secretFile: string,
  context: NotifierContext,
): Promise<Post> {
  const body = JSON.stringify(reportOf(notification, context));
  const secret = await readSecret(secretFile, context);
  const hex = secret && createHmac("sha256", secret).update(body).digest("hex");
  const headers = {
    "x-dewy-event": notification.entry.event,
    "x-dewy-delivery": notification.id,
    ...(hex !== undefined && { "x-dewy-signature-256": `sha256=${hex}` }),
  };
  return { body, headers };
}

/** The file is read again for each request, so that a secret can be replaced while dewy runs. */
async function readSecret(
  file: string,
  { env, readTextFile }: Pick<NotifierContext, "env" | "readTextFile">,
): Promise<string | undefined> {
  if (file === "") return env.DEWY_WEBHOOK_NOTIFIER_SECRET || undefined;
  const text = await readTextFile?.(file).catch((cause: unknown) => {
    throw new CredentialError(`Cannot sign a notification: ${messageOf(cause)}`, { cause });
  });
  const secret = text?.trim() ?? "";
  if (secret === "") throw new CredentialError(`Cannot sign a notification: "${file}" is empty`);
  return secret;
}
