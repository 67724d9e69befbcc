import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { DewyError } from "../../../src/core/error.ts";
import { splitUrl } from "../../../src/core/url.ts";
import type { Notification, Notifier } from "../../../src/notifiers/driver.ts";
import { mail } from "../../../src/notifiers/mail/driver.ts";
import { rich } from "../../../src/notifiers/rich_text.ts";
import { type FakeSmtp, type FakeSmtpOptions, refuse, startSmtp } from "../../fakes/smtp.ts";
import { certificateAuthority, siteCertificate } from "../../host/net/private_network.ts";
import { notifierContext } from "../context.ts";

const MESSAGE: Notification = {
  id: "0f3c",
  kind: "success",
  text: rich`Deployed ${{ code: "v1.2.0" }} — grün`,
  entry: { at: "2026-01-01T00:00:00.000Z", event: "deployed", tag: "v1.2.0" },
};
const NEVER = new AbortController().signal;
const ACCOUNTS = { "dewy@example.com": "correct horse" };
const ENV = { MAIL_USERNAME: "dewy@example.com", MAIL_PASSWORD: "correct horse" };

let directory = "";
let tls: { key: string; cert: string };
let caFile = "";

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "dewy-mail-"));
  const ca = await certificateAuthority("mail CA");
  const site = await siteCertificate(ca);
  tls = { key: site.private, cert: site.cert };
  caFile = join(directory, "ca.pem");
  await writeFile(caFile, ca.cert);
});
afterAll(() => rm(directory, { recursive: true }));

async function start(options?: FakeSmtpOptions): Promise<FakeSmtp> {
  const smtp = await startSmtp(options);
  onTestFinished(() => smtp.close());
  return smtp;
}

function open(url: string, env = ENV as Record<string, string>, trusted = caFile) {
  const context = notifierContext({ env, caFile: trusted });
  const notifier = mail.open(splitUrl(url, "--notifier"), context);
  if (notifier === undefined) throw new Error("no notifier");
  return { notifier, context };
}

const failureOf = (notifier: Notifier, signal = NEVER): Promise<DewyError> =>
  notifier.send(MESSAGE, signal).then(
    () => {
      throw new Error("it was sent");
    },
    (error: DewyError) => error,
  );

describe("a mail", () => {
  test("arrives with its text, over STARTTLS with a private CA", async () => {
    const smtp = await start({ ...tls, accounts: ACCOUNTS });
    const url = `smtp://localhost:${smtp.port}/ops@example.com,dev@example.com`;
    const { notifier } = open(url, { ...ENV, MAIL_FROM: "Dëwy <dewy@example.com>" });
    await notifier.send(MESSAGE, NEVER);
    const [received] = smtp.mails;
    expect(received).toMatchObject({
      from: "dewy@example.com",
      to: ["ops@example.com", "dev@example.com"],
      user: "dewy@example.com",
      secure: true,
    });
    expect(received?.mail).toMatchObject({
      subject: "Dewy Notification: Deployed v1.2.0 — grün (app on web-1)",
      date: new Date("2026-01-01T00:00:00.000Z"),
      messageId: "<0f3c@dewy>",
    });
    expect(received?.mail.text).toMatch(/^Deployed v1\.2\.0 — grün\n\nHost: web-1\n/);
    expect(received?.mail.from?.value).toEqual([{ name: "Dëwy", address: "dewy@example.com" }]);
    expect(received?.raw).toMatch(/^To: ops@example\.com, dev@example\.com\r?$/m);
    expect(received?.raw).toMatch(/^Auto-Submitted: auto-generated\r?$/m);
    expect(received?.raw).not.toMatch(/nodemailer/i);
  });
  test("arrives over implicit TLS", async () => {
    const smtp = await start({ ...tls, secure: true });
    const { notifier } = open(`smtps://localhost:${smtp.port}/ops@example.com?from=f@x`, {});
    await notifier.send(MESSAGE, NEVER);
    expect(smtp.mails).toMatchObject([{ secure: true, user: undefined }]);
  });
  test("arrives over a local relay without TLS", async () => {
    const smtp = await start();
    await open(
      `smtp://127.0.0.1:${smtp.port}/root@localhost?from=dewy@localhost&tls=false`,
      {},
    ).notifier.send(MESSAGE, NEVER);
    expect(smtp.mails).toMatchObject([{ secure: false, to: ["root@localhost"] }]);
  });
  test("arrives over TLS that is not trusted, if even no TLS is allowed", async () => {
    const smtp = await start(tls);
    const url = `smtp://127.0.0.1:${smtp.port}/a@x?from=f@x&tls=false`;
    await open(url, {}, "").notifier.send(MESSAGE, NEVER);
    expect(smtp.mails).toMatchObject([{ secure: true }]);
  });
  test.each(["PLAIN", "LOGIN", "CRAM-MD5"])("is sent after signing in with %s", async (method) => {
    const smtp = await start({
      accounts: ACCOUNTS,
      authMethods: [method],
      allowInsecureAuth: true,
    });
    await open(`smtp://127.0.0.1:${smtp.port}/ops@example.com?tls=false`).notifier.send(
      MESSAGE,
      NEVER,
    );
    expect(smtp.methods).toEqual([method]);
    expect(smtp.mails).toHaveLength(1);
  });
});

describe("a mail is not sent, and the operator has to act, if", () => {
  test("the password is wrong", async () => {
    const smtp = await start({ ...tls, accounts: ACCOUNTS });
    const { notifier } = open(`smtp://localhost:${smtp.port}/a@x`, {
      ...ENV,
      MAIL_PASSWORD: "wrong-password",
    });
    const error = await failureOf(notifier);
    expect(error).toMatchObject({ code: "credential", fault: "operator" });
    expect(error.message).toBe(
      `Cannot sign in to the mail server "localhost:${smtp.port}": 535 authentication failed; check MAIL_USERNAME and MAIL_PASSWORD`,
    );
  });
  test("the server requires a user", async () => {
    const smtp = await start({ ...tls, accounts: ACCOUNTS });
    const error = await failureOf(open(`smtp://localhost:${smtp.port}/a@x?from=f@x`, {}).notifier);
    expect(error).toMatchObject({ code: "credential" });
    expect(error.message).toMatch(/: 530 .*; set MAIL_USERNAME and MAIL_PASSWORD$/);
  });
  test("the server offers no STARTTLS", async () => {
    const smtp = await start({ accounts: ACCOUNTS, allowInsecureAuth: true });
    const error = await failureOf(open(`smtp://localhost:${smtp.port}/a@x`).notifier);
    expect(error).toMatchObject({ retryable: true, fault: "operator" });
    expect(error.message).toContain("it does not offer STARTTLS: 5");
    expect(smtp.methods).toEqual([]);
  });
  test.each([
    ["smtp", false],
    ["smtps", true],
  ] as const)("the certificate of %s:// is not trusted", async (scheme, secure) => {
    const smtp = await start({ ...tls, secure, accounts: ACCOUNTS });
    const error = await failureOf(open(`${scheme}://localhost:${smtp.port}/a@x`, ENV, "").notifier);
    expect(error).toMatchObject({ fault: "operator" });
    expect(error.message).toMatch(/Cannot reach the mail server .* not trusted .*--ca-file/);
    expect(smtp.methods).toEqual([]);
  });
});

describe("a refused mail", () => {
  test("is retried if the server cannot check the password now", async () => {
    const smtp = await start({
      accounts: ACCOUNTS,
      allowInsecureAuth: true,
      onAuth: (_auth, _session, callback) => callback(refuse(454, "try later")),
    });
    const { notifier } = open(`smtp://127.0.0.1:${smtp.port}/a@x?tls=false`);
    expect(await failureOf(notifier)).toMatchObject({ code: "remote", retryable: true });
  });
  test.each([
    [451, true],
    [421, true],
    [550, false],
    [503, true],
  ])("with %i is retryable: %s", async (code, retryable) => {
    const smtp = await start({
      onMailFrom: (_address, _session, callback) => callback(refuse(code, "not today")),
    });
    const { notifier } = open(`smtp://127.0.0.1:${smtp.port}/a@x?from=f@x&tls=false`, {});
    expect(await failureOf(notifier)).toMatchObject({
      code: "remote",
      retryable,
      message: expect.stringContaining(`${code} not today`),
    });
  });
  test.each([
    ["all of them for good", { "a@x": 550, "b@x": 550 }, false],
    ["one for now", { "a@x": 550, "b@x": 450 }, true],
  ])("for its recipients, %s", async (_name, codes: Record<string, number>, retryable) => {
    const smtp = await start({
      onRcptTo: ({ address }, _session, callback) => callback(refuse(codes[address] ?? 0, "no")),
    });
    const { notifier } = open(`smtp://127.0.0.1:${smtp.port}/a@x,b@x?from=f@x&tls=false`, {});
    expect(await failureOf(notifier)).toMatchObject({ retryable });
    expect(smtp.mails).toEqual([]);
  });
  test("for one of several recipients counts as sent, with a warning", async () => {
    const smtp = await start({
      onRcptTo: ({ address }, _session, callback) =>
        callback(address === "gone@x" ? refuse(550, "no such user") : null),
    });
    const { notifier, context } = open(
      `smtp://127.0.0.1:${smtp.port}/a@x,gone@x?from=f@x&tls=false`,
      {},
    );
    await notifier.send(MESSAGE, NEVER);
    expect(smtp.mails).toMatchObject([{ to: ["a@x"] }]);
    expect(context.events).toMatchObject([
      { type: "warning", fields: { recipient: "gone@x", reason: "550 no such user" } },
    ]);
  });
  test("is sent again only to the recipients who do not have it", async () => {
    let isBusy = true;
    const smtp = await start({
      onRcptTo: ({ address }, _session, callback) =>
        callback(isBusy && address === "busy@x" ? refuse(450, "greylisted") : null),
    });
    const { notifier } = open(`smtp://127.0.0.1:${smtp.port}/a@x,busy@x?from=f@x&tls=false`, {});
    expect(await failureOf(notifier)).toMatchObject({
      retryable: true,
      message: 'Cannot send mail to "busy@x": 450 greylisted',
    });
    isBusy = false;
    await notifier.send(MESSAGE, NEVER);
    await notifier.send({ ...MESSAGE, id: "next" }, NEVER);
    expect(smtp.mails.map(({ to }) => to)).toEqual([["a@x"], ["busy@x"], ["a@x", "busy@x"]]);
  });
  test("does not repeat the password that a server echoes", async () => {
    const secret = Buffer.from("\0dewy@example.com\0correct horse").toString("base64");
    const smtp = await start({
      accounts: {},
      authMethods: ["PLAIN"],
      allowInsecureAuth: true,
      onAuth: (_auth, _session, callback) =>
        callback(refuse(535, `AUTH PLAIN ${secret} (correct horse) is wrong`)),
    });
    const { message } = await failureOf(
      open(`smtp://127.0.0.1:${smtp.port}/a@x?tls=false`).notifier,
    );
    expect(message).toContain("535 AUTH PLAIN … (…) is wrong");
  });
});

describe("a server that", () => {
  async function startRaw(onConnection: (socket: Socket) => void): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on("error", () => {}));
      onConnection(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const { port } = server.address() as { port: number };
    return `smtp://127.0.0.1:${port}/a@x?from=f@x&tls=false`;
  }

  test("hangs is left at the timeout, and its connection is closed", async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const timeout = new AbortController();
    const url = await startRaw((socket) => {
      closed = new Promise((resolve) => socket.once("close", resolve));
      socket.resume();
      timeout.abort(new DOMException("late", "TimeoutError"));
    });
    const error = await failureOf(open(url, {}).notifier, timeout.signal);
    expect(error).toMatchObject({ code: "timeout", retryable: true });
    await closed;
  });
  test("drops the connection is tried again", async () => {
    const url = await startRaw((socket) => socket.end("220 hello\r\n"));
    expect(await failureOf(open(url, {}).notifier)).toMatchObject({
      code: "remote",
      retryable: true,
      message: expect.stringMatching(/Cannot reach the mail server .*: the connection was closed/),
    });
  });
  test("is not there is tried again", async () => {
    const error = await failureOf(open("smtp://127.0.0.1:1/a@x?from=f@x", {}).notifier);
    expect(error).toMatchObject({ retryable: true });
    expect(error.message).toContain("the connection was refused (ECONNREFUSED)");
  });
});
