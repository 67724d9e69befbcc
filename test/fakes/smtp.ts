import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type ParsedMail, simpleParser } from "mailparser";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";

export interface ReceivedMail {
  /** The envelope, as the commands had it. */
  from: string;
  to: string[];
  /** Whether the connection was encrypted, and the signed-in user. */
  secure: boolean;
  user: string | undefined;
  raw: string;
  mail: ParsedMail;
}

export interface FakeSmtp {
  port: number;
  mails: ReceivedMail[];
  /** The mechanisms with which clients tried to sign in. */
  methods: string[];
  close(): Promise<void>;
}

export interface FakeSmtpOptions extends SMTPServerOptions {
  /** User and password; any client may send without. */
  accounts?: Readonly<Record<string, string>>;
}

/** Replies with a code: `refuse(452, "mailbox full")`. */
export function refuse(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}

/** A real SMTP server on loopback. Without a key and a certificate it offers no TLS. */
export async function startSmtp({ accounts, ...options }: FakeSmtpOptions = {}): Promise<FakeSmtp> {
  const mails: ReceivedMail[] = [];
  const methods: string[] = [];
  const server = new SMTPServer({
    authMethods: ["PLAIN", "LOGIN"],
    authOptional: accounts === undefined,
    disabledCommands: [
      ...(options.key === undefined ? ["STARTTLS"] : []),
      ...(accounts === undefined ? ["AUTH"] : []),
    ],
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: true,
    onAuth({ method, username = "", password = "", validatePassword }, _session, callback) {
      methods.push(method);
      const expected = accounts?.[username];
      const isRight =
        expected !== undefined &&
        (method === "CRAM-MD5" ? validatePassword(expected) : password === expected);
      if (isRight) callback(null, { user: username });
      else callback(refuse(535, "authentication failed"));
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", async () => {
        const raw = Buffer.concat(chunks).toString();
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          secure: session.secure,
          user: session.user,
          raw,
          mail: await simpleParser(raw),
        });
        callback();
      });
    },
    ...options,
  });
  server.on("error", () => {}); // a client that gave up
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    methods,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
