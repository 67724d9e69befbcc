import { describe, expect, test } from "vitest";
import { splitUrl } from "../../../src/core/url.ts";
import type { Notification } from "../../../src/notifiers/driver.ts";
import { LAST_ERROR_NOTE } from "../../../src/notifiers/limit.ts";
import { mail } from "../../../src/notifiers/mail/driver.ts";
import { parseMailUrl, requiresTls } from "../../../src/notifiers/mail/locator.ts";
import { DEFAULT_SUBJECT, mailText } from "../../../src/notifiers/mail/message.ts";
import { code, rich } from "../../../src/notifiers/rich_text.ts";
import { notifiers } from "../../../src/notifiers/table.ts";
import { labelsOf, readNotifierUrl, secretsIn } from "../../../src/notifiers/urls.ts";
import { REFUSED, testVectors, type VectorCase } from "../../support/vectors.ts";
import { notifierContext } from "../context.ts";

const split = (url: string) => splitUrl(url, "--notifier");

function locatorOf(url: string, env: Record<string, string> = {}) {
  return parseMailUrl(split(url), env);
}

const MESSAGE: Notification = {
  id: "1",
  kind: "message",
  text: rich`Downloaded artifact for ${code("v1")}`,
  entry: { at: "2026-01-01T00:00:00.000Z", event: "downloaded", tag: "v1" },
};

function opened(url: string, env: Record<string, string>) {
  const context = notifierContext({ env });
  const notifier = mail.open(split(url), context);
  return { notifier, warnings: context.events };
}

/** In the terms of the vectors, which have one recipient and a subject that is always set. */
function senderOf(url: string, env: Record<string, string>) {
  const { host, port, tls, to, from, subject, username, password } = locatorOf(url, env);
  const quiet = split(url).query.get("quiet") ?? "";
  return {
    host,
    port,
    tls,
    from,
    username,
    password,
    to: to.join(),
    subject: subject ?? DEFAULT_SUBJECT,
    quiet: ["1", "true"].includes(quiet),
  };
}

function runVector({ op, in: input, out }: VectorCase): unknown {
  const env = (input.env ?? {}) as Record<string, string>;
  const url = op === "new" ? String(input.url) : `smtp://${input.schema}`;
  try {
    if (opened(url, env).notifier === undefined) {
      return op === "new" ? { ...(out as object), type: "null" } : REFUSED;
    }
    return { ...senderOf(url, env), ...(op === "new" && { type: "mail" }) };
  } catch {
    return REFUSED;
  }
}

describe("mail URLs", () => {
  testVectors("mail", runVector, ["mailURL", "new"]);

  test.each([
    ["smtp://me%40x.org:p%3Aw@h/a@x", { username: "me@x.org", password: "p:w", host: "h" }],
    ["smtp://me@x.org:pw@h/a@x", { username: "me@x.org", password: "pw", from: "me@x.org" }],
    ["smtp://h/a@x?from=Dewy+%3Cf@x%3E", { from: "f@x", fromName: "Dewy" }],
    ["smtp://h/a@x?from=%22Dewy,+Inc.%22+%3Cf@x%3E", { from: "f@x", fromName: "Dewy, Inc." }],
    ["smtp://h/a@x,%20b@x", { to: ["a@x", "b@x"] }],
    ["smtp://h?to=a@x,b@x", { to: ["a@x", "b@x"] }],
    ["smtp://[::1]:25/root", { host: "::1", port: 25, to: ["root"] }],
    ["smtp://h/a@x?port=2525", { port: 2525, implicitTls: false }],
    ["smtp://h:465/a@x", { implicitTls: true }],
    ["smtps://h/a@x", { port: 465, implicitTls: true }],
    ["smtps://h:2465/a@x", { port: 2465, implicitTls: true }],
    ["mail://h/a@x", { port: 587, implicitTls: false }],
  ])("%s", (url, expected) => {
    expect(locatorOf(url)).toMatchObject(expected);
  });
  test.each([
    ["smtp://h", "recipient is required"],
    ["smtp://h/,", "recipient is required"],
    ["smtp:///a@x", "mail host is required"],
    ["smtp://h:0/a@x", "invalid port"],
    ["smtp://h:70000/a@x", "invalid port"],
    ["smtp://h/a@x?tls=maybe", "neither true nor false"],
    ["smtps://h/a@x?tls=false", "tls=false contradicts smtps://"],
    ["smtp://h/a@x%0D%0ARCPT%20TO:b", "is not a mail address"],
    ["smtp://h/a@x%3E", "is not a mail address"],
    ["smtp://h/a@x?from=b@x%0ABcc:c@x", "is not a mail address"],
    ["smtp://h/a@x?from=A%0ABcc:c@x%3Cb@x%3E", "control character"],
    ["smtp://h/a@x?from=A%3Cb@x%3E%3Cc@x%3E", "is not a mail address"],
    ["smtp://h/a@x?subject=Hi%0D%0ABcc:%20c@x", "control character"],
  ])("refuses %s", (url, message) => {
    expect(() => locatorOf(url)).toThrow(message);
  });
  test("an error shows no password", () => {
    for (const url of [
      "smtp://u:hunter22@h",
      "smtp://u:hunter22@h/a@x?foo=1",
      "smtp://h/?password=hunter22",
    ]) {
      expect(() => locatorOf(url)).toThrow(/^(?!.*hunter22)/s);
    }
  });
  test("a password in the URL is a secret, and not in what is shown of it", () => {
    const urls = ["smtp://u:hunter+22@h/a@x", "smtp://h/a@x?from=f@x&password=hunter%2B22"];
    for (const text of urls) {
      expect(secretsIn([text], notifiers)).toContain("hunter+22");
      expect(labelsOf([readNotifierUrl(text, notifiers)]).join()).not.toContain("22");
    }
  });
  test.each([
    ["smtp://h/a@x", { MAIL_FROM: "f@x", MAIL_PASSWORD: "p" }, "MAIL_USERNAME"],
    ["smtp://h/a@x", { MAIL_USERNAME: "u" }, "MAIL_PASSWORD"],
    ["smtp://h/a@x", {}, "MAIL_FROM"],
  ])("%s with %j warns: %s is required", (url, env, variable) => {
    const { notifier, warnings } = opened(url, env);
    expect(notifier).toBeUndefined();
    expect(warnings).toEqual([
      {
        type: "warning",
        message: `No notifications by mail: ${variable} is required`,
        important: true,
      },
    ]);
  });
  test("a relay needs a sender only", () => {
    expect(opened("smtp://h/a@x?from=f@x", {}).notifier).toBeDefined();
  });
  test.each([
    ["smtp://h/a@x", true],
    ["smtp://h/a@x?tls=false", false],
    ["smtp://u:p@h/a@x?tls=false", true],
    ["smtp://u:p@127.0.0.1/a@x?tls=false", false],
    ["smtp://h:465/a@x?tls=false", true],
  ])("%s: TLS is required: %s", (url, expected) => {
    expect(requiresTls(locatorOf(url))).toBe(expected);
  });
});

describe("the text of a mail", () => {
  const context = {
    host: { name: "<hostname>", color: "" },
    instance: { name: "app", mode: "server", directory: "<cwd>", registry: "" },
  };
  const shown = ({ subject, body }: { subject: string; body: string }) => ({
    subject,
    body: body.replace(/^User: .*$/m, "User: <user>"),
  });
  const hookEntry = (input: Record<string, unknown>): Notification => {
    const when = String(input.hookType).startsWith("Before") ? "before" : "after";
    const entry = { ...input, at: MESSAGE.entry.at, event: "hook", when };
    return { ...MESSAGE, entry: entry as Notification["entry"] };
  };

  testVectors(
    "mail",
    ({ in: { message, subject }, out }) => {
      const text = mailText({ ...MESSAGE, text: [String(message)] }, String(subject), context);
      return { ...(out as object), ...shown(text) };
    },
    ["mailMessage"],
  );
  testVectors("mail", ({ in: input }) => shown(mailText(hookEntry(input), undefined, context)), [
    "mailHook",
  ]);
  test("a failed hook shows both outputs", () => {
    const { subject, body } = mailText(
      hookEntry({
        hookType: "After Deploy",
        command: "x",
        stdout: "o",
        stderr: "e",
        timedOut: true,
      }),
      "My app",
      context,
    );
    expect(subject).toBe("Dewy After Deploy Hook FAILED");
    expect(body).toContain(
      "Exit Code: timeout\nDuration: 0s\n\nSTDOUT:\no\n\nSTDERR:\ne\n\nHost: ",
    );
  });
  test("the subject says what happened also if it is the last of several errors", () => {
    const text = [LAST_ERROR_NOTE, "Error occurred"];
    expect(mailText({ ...MESSAGE, text }, undefined, context).subject).toBe(
      "Dewy Notification: Error occurred (app on <hostname>)",
    );
  });
  test("the subject says what happened where, on one line", () => {
    const text = rich`Rolled back from ${code("v2")} to ${code("v1")}: it\r\nBcc: x@y${{ lines: ["a", "b"] }}`;
    expect(mailText({ ...MESSAGE, text }, undefined, context).subject).toBe(
      "Dewy Notification: Rolled back from v2 to v1: it (app on <hostname>)",
    );
  });
});
