import type { Environment } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import { printable, shorten } from "../../core/text.ts";
import { decodePath, type OptionSpec, option, readQuery, type SplitUrl } from "../../core/url.ts";
import { QUIET } from "../driver.ts";

export const SYNTAX = "smtp://<host>[:port]/<to>";
const SUBMISSION_PORT = 587;
const IMPLICIT_TLS_PORT = 465;

export const OPTIONS: readonly OptionSpec[] = [
  option("to", "Recipients, separated by commas, if not in the path"),
  option("from", "Sender; defaults to `MAIL_FROM`, and then to the user name"),
  option("subject", "Subject of all mails except hook results; defaults to what happened"),
  option("username", "User name; defaults to `MAIL_USERNAME`"),
  {
    name: "password",
    type: "string",
    description: "Password; defaults to `MAIL_PASSWORD`, which keeps it out of the process list",
    secret: true,
  },
  option("port", "Port, if it is not after the host; defaults to 587, and to 465 for `smtps://`"),
  option(
    "tls",
    "Whether TLS is required (default: true). With `false` it is used if the server offers it; a password still requires it, except on loopback",
    "boolean",
  ),
  QUIET,
];

export interface MailLocator {
  /** A name or an address, without brackets. */
  host: string;
  port: number;
  /** TLS from the first byte, instead of STARTTLS. */
  implicitTls: boolean;
  tls: boolean;
  to: readonly string[];
  from: string | undefined;
  /** Shown with the address of the sender; empty if there is none. */
  fromName: string;
  /** Defaults to what happened. */
  subject: string | undefined;
  username: string | undefined;
  password: string | undefined;
}

/** Whether mail is sent only over TLS, with a certificate that is verified. */
export function requiresTls({ host, implicitTls, tls, password }: MailLocator): boolean {
  return implicitTls || tls || (password !== undefined && !isLoopbackHost(host));
}

/** The variable that is missing; `undefined` if mail can be sent. A relay may need neither user name nor password. */
export function missingVariable({ from, username, password }: MailLocator): string | undefined {
  if (username === undefined && password !== undefined) return "MAIL_USERNAME";
  if (username !== undefined && password === undefined) return "MAIL_PASSWORD";
  return from === undefined ? "MAIL_FROM" : undefined;
}

/** Reads `smtp://host:port/a@example.com,b@example.com?from=…`. The URL takes precedence over the variables. */
export function parseMailUrl(url: SplitUrl, env: Environment): MailLocator {
  const { host, port: portText, ...user } = splitAuthority(url);
  const invalid = (why: string): ConfigError =>
    new ConfigError(
      `Invalid value for --notifier "${url.scheme}://${host}/…": ${why}; expected ${SYNTAX}`,
    );
  const query = readQuery(url, OPTIONS, "--notifier");
  const text = (name: string): string | undefined => query.text(name).trim() || undefined;
  const isSmtps = url.scheme === "smtps";
  const tls = query.text("tls") === "" || query.flag("tls");
  if (host === "") throw invalid("mail host is required");
  if (isSmtps && !tls) throw invalid("tls=false contradicts smtps://");
  const port = portOf(
    portText ?? text("port") ?? `${isSmtps ? IMPLICIT_TLS_PORT : SUBMISSION_PORT}`,
  );
  if (port === undefined) throw invalid("invalid port");

  const path = decodePath(url.path, url, "--notifier").replace(/^\/+|\/+$/g, "");
  const recipients = (path || query.text("to")).split(",").map((address) => address.trim());
  const to = recipients.filter((address) => address !== "");
  if (to.length === 0) throw invalid("recipient is required");
  const username = text("username") ?? user.username ?? env.MAIL_USERNAME;
  const { name: fromName, address: from } = splitSender(text("from") ?? env.MAIL_FROM ?? username);
  for (const address of [...to, ...(from === undefined ? [] : [from])]) {
    if (isAddress(address)) continue;
    throw invalid(`"${shorten(printable(address), 100)}" is not a mail address`);
  }
  const subject = text("subject");
  if (/\p{Cc}/u.test(`${subject}${fromName}`)) {
    throw invalid("a subject or name has a control character");
  }
  return {
    host: host.replace(/^\[(.*)\]$/, "$1"),
    port,
    implicitTls: isSmtps || port === IMPLICIT_TLS_PORT,
    tls,
    to,
    from,
    fromName,
    subject,
    username,
    password: text("password") ?? user.password ?? env.MAIL_PASSWORD,
  };
}

/** `user:password@host:port`; a user name may be an address itself. */
function splitAuthority(url: SplitUrl) {
  const at = url.host.lastIndexOf("@");
  const [username, password] = url.host.slice(0, Math.max(at, 0)).split(/:(.*)/s);
  const [, host = "", port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(url.host.slice(at + 1)) ?? [];
  const decoded = (part = ""): string | undefined =>
    decodePath(part, url, "--notifier") || undefined;
  return { host, port, username: decoded(username), password: decoded(password) };
}

function portOf(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

/** `dewy@example.com` or `Dewy <dewy@example.com>`. */
function splitSender(text: string | undefined): { name: string; address: string | undefined } {
  const [, name = "", address] = /^"?([^<"]*)"?\s*<([^<>]*)>$/s.exec(text ?? "") ?? [];
  return address === undefined ? { name: "", address: text } : { name: name.trim(), address };
}

/** Accepts local names such as `root`, which a relay may know, but nothing that could end a header or a command. */
function isAddress(text: string): boolean {
  return /^[^\s\p{Cc}<>,;:"()[\]\\]+$/u.test(text);
}
