import { bytesToBase64 } from "../../core/encoding.ts";
import { CredentialError, type DewyError, RemoteError } from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import { shorten } from "../../core/text.ts";
import { stoppedError } from "../../core/timeout.ts";
import { networkCause } from "../../http/network_cause.ts";
import type { MailLocator } from "./locator.ts";

/** What nodemailer throws. https://nodemailer.com/errors */
export interface SmtpError extends Error {
  /** `EAUTH`, `ETLS`, `ESOCKET`, … */
  code?: string | undefined;
  /** The system's code, such as `ECONNREFUSED`. */
  originalCode?: string | undefined;
  /** The server's reply, and its code. */
  response?: string | undefined;
  responseCode?: number | undefined;
  /** Whether the reply refuses the mail for good. */
  permanent?: boolean | undefined;
  recipient?: string | undefined;
}

const MAX_REPLY = 200;
/** https://www.rfc-editor.org/rfc/rfc4954#section-6 */
const AUTHENTICATION_REQUIRED = 530;

/** Converts what nodemailer threw. Whatever the operator can solve, and every 4xx reply, leaves the mail to a retry. */
export function mailError(error: SmtpError, locator: MailLocator, signal: AbortSignal): DewyError {
  if (signal.aborted) return stoppedError("the delivery of a mail", signal.reason);
  const server = `mail server "${locator.host}:${locator.port}"`;
  const reply = replyOf(error, locator);
  const cause = error;
  if (error.code === "ETLS" && error.responseCode !== undefined) {
    return new RemoteError(
      `Cannot use the ${server}: it does not offer STARTTLS: ${reply}; use port 465 or smtps:// for implicit TLS, or tls=false`,
      { cause, fault: "operator" },
    );
  }
  if (isAboutCredentials(error)) {
    const advice =
      locator.username === undefined
        ? "set MAIL_USERNAME and MAIL_PASSWORD"
        : "check MAIL_USERNAME and MAIL_PASSWORD";
    return new CredentialError(`Cannot sign in to the ${server}: ${reply}; ${advice}`, { cause });
  }
  if (error.responseCode !== undefined) {
    const message = `Cannot send mail over the ${server}: ${reply}`;
    return new RemoteError(message, { cause, retryable: error.permanent !== true });
  }
  const { name, message, originalCode } = error;
  const { reason, retryable } = networkCause({ name, message, code: originalCode });
  return new RemoteError(`Cannot reach the ${server}: ${reason}`, {
    cause,
    ...(!retryable && { fault: "operator" }),
  });
}

/** The server's reply on one line, without what it may repeat of the credentials. */
export function replyOf(error: SmtpError, { username = "", password = "" }: MailLocator): string {
  const plain = bytesToBase64(new TextEncoder().encode(`\0${username}\0${password}`));
  const login = bytesToBase64(new TextEncoder().encode(password));
  const text = redactText(error.response ?? error.message, [password, plain, login]);
  return shorten(text.replace(/[\s\p{Cc}]+/gu, " ").trim(), MAX_REPLY);
}

/** A server that cannot check the password right now replies with 454. */
function isAboutCredentials({ code, responseCode }: SmtpError): boolean {
  if (responseCode === AUTHENTICATION_REQUIRED) return true;
  return code === "EAUTH" && (responseCode === undefined || responseCode >= 500);
}
