import { createTransport } from "nodemailer";
import { RemoteError } from "../../core/error.ts";
import { readTrustedCertificates, withRuntimeRoots } from "../../host/net/trust.ts";
import type { Notification, NotifierContext } from "../driver.ts";
import { mailError, replyOf, type SmtpError } from "./errors.ts";
import { type MailLocator, requiresTls } from "./locator.ts";
import { mailText } from "./message.ts";

/** Each step of a connection; the notifier's own timeout is shorter. */
const STEP_TIMEOUT_MS = 30_000;

type Transport = ReturnType<typeof createTransport>;

/** Sends notifications, each over a connection of its own. */
export class MailClient {
  readonly #locator: MailLocator;
  readonly #context: NotifierContext;
  readonly #transport: Promise<Transport>;
  /** The recipients who have the current mail already: a retry must not send it to them again. */
  #accepted = { id: "", addresses: new Set<string>() };

  constructor(locator: MailLocator, context: NotifierContext) {
    this.#locator = locator;
    this.#context = context;
    this.#transport = openTransport(locator, context);
  }

  async send(notification: Notification, signal: AbortSignal): Promise<void> {
    const { id } = notification;
    if (this.#accepted.id !== id) this.#accepted = { id, addresses: new Set() };
    const to = this.#locator.to.filter((address) => !this.#accepted.addresses.has(address));
    const transport = await this.#transport;
    const sent = await transport
      .sendMail({ ...this.#mail(notification), envelope: { from: this.#locator.from, to }, signal })
      .catch((error: SmtpError) => {
        throw mailError(error, this.#locator, signal);
      });
    for (const address of sent.accepted) this.#accepted.addresses.add(String(address));
    this.#checkRejected(sent.rejectedErrors ?? []);
  }

  #mail(notification: Notification) {
    const { from = "", fromName, to, subject } = this.#locator;
    const { subject: shown, body } = mailText(notification, subject, this.#context);
    const at = new Date(notification.entry.at);
    return {
      from: { name: fromName, address: from },
      to: to.map((address) => ({ name: "", address })),
      subject: shown,
      text: body,
      date: at,
      // The same for every attempt, so that mail programs can recognise duplicates.
      messageId: `<${notification.id}@dewy>`,
      // https://www.rfc-editor.org/rfc/rfc3834#section-5: no out-of-office replies
      headers: { "Auto-Submitted": "auto-generated" },
      xMailer: "dewy",
      disableFileAccess: true,
      disableUrlAccess: true,
    };
  }

  /** Some recipients have it. Those who may get it later are tried again, the others are reported. */
  #checkRejected(errors: readonly SmtpError[]): void {
    const later = errors.find(({ permanent }) => permanent !== true);
    if (later !== undefined) {
      throw new RemoteError(
        `Cannot send mail to "${later.recipient}": ${replyOf(later, this.#locator)}`,
      );
    }
    for (const error of errors) {
      this.#context.emit({
        type: "warning",
        message: "Mail refused for one of several recipients",
        fields: { recipient: error.recipient ?? "", reason: replyOf(error, this.#locator) },
      });
    }
  }
}

async function openTransport(locator: MailLocator, context: NotifierContext): Promise<Transport> {
  const { host, port, implicitTls, username = "", password } = locator;
  const certificates = await readTrustedCertificates(context.env, context.caFile, context.emit);
  const isStrict = requiresTls(locator);
  return createTransport({
    host,
    port,
    secure: implicitTls,
    requireTLS: isStrict,
    ...(password !== undefined && { auth: { user: username, pass: password } }),
    tls: {
      // Where no TLS at all is allowed, TLS that is not verified is no worse.
      rejectUnauthorized: isStrict,
      ...(certificates.length > 0 && { ca: withRuntimeRoots(certificates) }),
    },
    connectionTimeout: STEP_TIMEOUT_MS,
    greetingTimeout: STEP_TIMEOUT_MS,
    socketTimeout: STEP_TIMEOUT_MS,
  });
}
