import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { driverEnvironment } from "../../../src/core/environment.ts";
import { HostError } from "../../../src/core/error.ts";
import { splitUrl } from "../../../src/core/url.ts";
import type { Notification, Notifier } from "../../../src/notifiers/driver.ts";
import { https } from "../../../src/notifiers/https/driver.ts";
import { rich } from "../../../src/notifiers/rich_text.ts";
import { type FakeNotifierContext, notifierContext } from "../context.ts";

const MESSAGE: Notification = {
  id: "0f3c",
  kind: "success",
  text: rich`Deployed ${{ code: "v1.2.0" }}`,
  entry: { at: "2026-01-01T00:00:00.000Z", event: "deployed", tag: "v1.2.0" },
};
const NEVER = new AbortController().signal;
const URL = "https://hooks.example.com/dewy";

function open(url: string, context: FakeNotifierContext): Notifier {
  const notifier = https.open(splitUrl(url, "--notifier"), context);
  if (notifier === undefined) throw new Error("no notifier");
  return notifier;
}

function withSecret(secret?: string): FakeNotifierContext {
  const env = { DEWY_WEBHOOK_NOTIFIER_SECRET: secret };
  return notifierContext({ env: driverEnvironment(env, https.environment) });
}

const signed = (secret: string, body = ""): string =>
  `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;

describe("a webhook", () => {
  test("gets the facts as JSON, signed", async () => {
    const context = withSecret("open sesame");
    context.server.on(`POST ${URL}?token=a%2Fb`, new Response(null, { status: 204 }));
    await open(`${URL}?token=a%2Fb&quiet=true`, context).send(MESSAGE, NEVER);
    context.server.verify();
    const [{ headers, body } = { headers: new Headers(), body: "" }] = context.server.requests;
    expect(JSON.parse(body)).toEqual({
      version: 1,
      id: "0f3c",
      at: "2026-01-01T00:00:00.000Z",
      event: "deployed",
      kind: "success",
      text: "Deployed v1.2.0",
      host: "web-1",
      app: "app",
      mode: "server",
      registry: "ghr://owner/app",
      directory: "/opt/app",
      entry: MESSAGE.entry,
    });
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-type": "application/json; charset=utf-8",
      "x-dewy-event": "deployed",
      "x-dewy-delivery": "0f3c",
      "x-dewy-signature-256": signed("open sesame", body),
    });
  });
  test("gets no signature without a secret", async () => {
    const context = withSecret();
    context.server.on(`POST ${URL}`, new Response());
    await open(URL, context).send(MESSAGE, NEVER);
    expect(context.server.requests[0]?.headers.has("x-dewy-signature-256")).toBe(false);
  });
  test("gets the signature of the file, which is read for each request", async () => {
    const secrets = ["first secret\n", "second secret\n"];
    const readTextFile = async (path: string) => {
      expect(path).toBe("/etc/dewy/secret");
      return secrets.shift() ?? "";
    };
    const context = { ...withSecret("of the variable"), readTextFile };
    context.server.on(`POST ${URL}`, new Response(), { times: 2 });
    const notifier = open(`${URL}?secret-file=/etc/dewy/secret`, context);
    await notifier.send(MESSAGE, NEVER);
    await notifier.send(MESSAGE, NEVER);
    expect(
      context.server.requests.map(({ headers }) => headers.get("x-dewy-signature-256")),
    ).toEqual(
      ["first secret", "second secret"].map((secret, index) =>
        signed(secret, context.server.requests[index]?.body),
      ),
    );
    await expect(notifier.send(MESSAGE, NEVER)).rejects.toMatchObject({
      code: "credential",
      message: 'Cannot sign a notification: "/etc/dewy/secret" is empty',
    });
  });
  test("gets nothing without the secret of its file", async () => {
    const readTextFile = () => Promise.reject(new HostError("Cannot read it"));
    const notifier = open(`${URL}?secret-file=/x`, { ...withSecret(), readTextFile });
    await expect(notifier.send(MESSAGE, NEVER)).rejects.toMatchObject({ code: "credential" });
  });
});

describe("the URL of a webhook", () => {
  test.each(["localhost", "127.0.0.1", "[::1]"])("may be http:// on %s", async (host) => {
    const context = withSecret();
    context.server.on(`POST http://${host}:9000/x`, new Response());
    await open(`http://${host}:9000/x`, context).send(MESSAGE, NEVER);
    context.server.verify();
  });
  test.each([
    ["http://10.0.0.1/secret-path", "only this machine is allowed"],
    ["http://localhost.example.com/secret-path", "only this machine is allowed"],
    ["https://user:secret-path@h/x", "credentials do not belong in front of the host"],
    ["https:///secret-path", "it is not a URL"],
    ["https://h/secret-path?secret-file=", "secret-file is empty"],
    ["https://h/secret-path?quite=true", "did you mean quiet?"],
  ])("is refused, and not shown: %s", (url, message) => {
    expect(() => open(url, withSecret())).toThrow(message);
    expect(() => open(url, withSecret())).toThrow(/^(?!.*secret-path)/s);
  });
});

describe("a failure", () => {
  test.each([
    [400, { code: "remote", retryable: false }],
    [401, { code: "credential", fault: "operator" }],
    [404, { code: "credential", fault: "operator" }],
    [408, { retryable: true }],
    [429, { code: "rate-limited", retryable: true, retryAfterMs: 7_000 }],
    [500, { code: "remote", retryable: true }],
    [521, { code: "remote", retryable: true }],
  ])("with %i", async (status, expected) => {
    const context = withSecret();
    const headers = new Headers(status === 429 ? { "retry-after": "7" } : {});
    context.server.on(`POST ${URL}/secret-path`, new Response("no", { status, headers }));
    const failed = open(`${URL}/secret-path`, context).send(MESSAGE, NEVER);
    await expect(failed).rejects.toMatchObject({
      ...expected,
      message: expect.stringMatching(/^Cannot send to the webhook: HTTP \d+: no/),
    });
    expect(JSON.stringify(context.events)).not.toContain("secret-path");
  });
  test.each(["https://elsewhere.example/x", "https://hooks.example.com/other"])(
    "is also a redirect, which is not followed to %s",
    async (location) => {
      const context = withSecret("open sesame");
      context.server.on(`POST ${URL}`, new Response(null, { status: 307, headers: { location } }));
      await expect(open(URL, context).send(MESSAGE, NEVER)).rejects.toMatchObject({
        fault: "operator",
        message: "Cannot send to the webhook: HTTP 307 is a redirect; check its URL and the secret",
      });
      expect(context.server.requests).toHaveLength(1);
    },
  );
  test.each([
    ["ECONNREFUSED", "remote", "the connection was refused"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "operator", "--ca-file"],
  ])("of the network is retried: %s", async (code, fault, reason) => {
    const cause = Object.assign(new Error("failed"), { code });
    const fetch = () => Promise.reject(new TypeError("fetch failed", { cause }));
    const context = { ...withSecret(), fetch };
    await expect(open(URL, context).send(MESSAGE, NEVER)).rejects.toMatchObject({
      retryable: true,
      fault,
      message: expect.stringMatching(
        new RegExp(`^Cannot reach the webhook at hooks.example.com: .*${reason}`),
      ),
    });
  });
});
