import { createHmac } from "node:crypto";
import { CredentialError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { NotifierContext } from "../driver.ts";

export const SECRET_VARIABLE = "DEWY_WEBHOOK_NOTIFIER_SECRET";

type Sign = (body: string) => Promise<{ "x-dewy-signature-256"?: string }>;

/** The file is read again for each request, so that a secret can be replaced while dewy runs. */
export function createSigner(
  file: string,
  { env, readTextFile }: Pick<NotifierContext, "env" | "readTextFile">,
): Sign {
  const readSecret = async (): Promise<string | undefined> => {
    if (file === "" || readTextFile === undefined) return env[SECRET_VARIABLE];
    const text = await readTextFile(file).catch((cause: unknown) => {
      throw new CredentialError(`Cannot sign a notification: ${messageOf(cause)}`, { cause });
    });
    if (text.trim() === "") {
      throw new CredentialError(`Cannot sign a notification: "${file}" is empty`);
    }
    return text.trim();
  };
  return async (body) => {
    const secret = await readSecret();
    if (secret === undefined) return {};
    const hex = createHmac("sha256", secret).update(body).digest("hex");
    return { "x-dewy-signature-256": `sha256=${hex}` };
  };
}
