import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Secrets } from "../../src/host/files/secret_file.ts";
import { MAX_BODY_BYTES, type WebhookOutcome, webhookHandler } from "../../src/webhook/handler.ts";
import { EXAMPLE, githubHeaders, SECRET, signatureOf } from "./signed.ts";

const ORIGIN = "http://hooks.example";

interface Answer {
  status: number;
  body: string;
  headers: Record<string, string>;
  outcomes: readonly WebhookOutcome[];
}

async function ask(path: string, init: RequestInit = {}, secrets = [SECRET]): Promise<Answer> {
  const outcomes: WebhookOutcome[] = [];
  const handler = webhookHandler({
    secrets: async () => new Secrets(secrets),
    report: (outcome) => outcomes.push(outcome),
  });
  const response = await handler(new Request(ORIGIN + path, { method: "POST", ...init }));
  return {
    status: response.status,
    body: await response.text(),
    headers: Object.fromEntries(response.headers),
    outcomes,
  };
}

async function resultOf(path: string, init: RequestInit = {}, secrets = [SECRET]) {
  const { status, outcomes } = await ask(path, init, secrets);
  return [status, ...outcomes.map(({ source, outcome, reason }) => ({ source, outcome, reason }))];
}

const accepted = (source: string) => [202, { source, outcome: "accepted", reason: undefined }];
const ignored = (source: string, reason: string) => [200, { source, outcome: "ignored", reason }];
const forbidden = (source: string, reason: string) => [403, { source, outcome: "refused", reason }];
const NOT_FOUND = [
  404,
  { source: "secret", outcome: "refused", reason: "wrong secret or unknown path" },
];

describe("/hooks/github", () => {
  const PATH = "/hooks/github";

  test("accepts the signature of GitHub's documentation", async () => {
    const { secret, body, signature } = EXAMPLE;
    const headers = { "x-hub-signature-256": signature, "x-github-event": "release" };
    expect(await resultOf(PATH, { body, headers }, [secret])).toEqual(accepted("github"));
    expect(await resultOf(PATH, { body: `${body}!`, headers }, [secret])).toEqual(
      forbidden("github", "wrong signature"),
    );
  });

  test.each(["release", "package", "registry_package", "workflow_run"])(
    "wakes on the event %s",
    async (event) => {
      const body = '{"action":"published"}';
      expect(await resultOf(PATH, { body, headers: githubHeaders(body, event) })).toEqual(
        accepted("github"),
      );
    },
  );

  test.each([
    ["ping", "event ping"],
    ["push", "event push"],
    ["<b>\u00e9", "unknown event"],
    ["x".repeat(41), "unknown event"],
  ])("answers but ignores the event %s", async (event, reason) => {
    const body = "{}";
    const answer = await resultOf(PATH, { body, headers: githubHeaders(body, event) });
    expect(answer).toEqual(ignored("github", reason));
  });

  test("checks the signature before the event", async () => {
    const headers = { ...githubHeaders("{}", "ping"), "x-hub-signature-256": signatureOf("[]") };
    expect(await resultOf(PATH, { body: "{}", headers })).toEqual(
      forbidden("github", "wrong signature"),
    );
  });

  test("signs the bytes of the body, whatever their type", async () => {
    const body = new Uint8Array([0xff, 0x00, 0x0d, 0x0a, 0xfe]);
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      "x-github-event": "release",
      "x-hub-signature-256": signatureOf(body),
    };
    expect(await resultOf(PATH, { body, headers })).toEqual(accepted("github"));
  });

  test("says how to sign requests", async () => {
    expect(await resultOf(PATH, { body: "{}" })).toEqual(
      forbidden("github", "it is not signed; set the webhook's secret at GitHub"),
    );
  });

  test("accepts the old and the new secret while both are in the file", async () => {
    const secrets = ["the new secret of 2026", SECRET];
    for (const secret of secrets) {
      const headers = { ...githubHeaders("{}"), "x-hub-signature-256": signatureOf("{}", secret) };
      expect(await resultOf(PATH, { body: "{}", headers }, secrets)).toEqual(accepted("github"));
    }
  });

  test("reads a body up to the limit and stops behind it", async () => {
    let sent = 0;
    const stream = (bytes: number): ReadableStream<Uint8Array> =>
      new ReadableStream({
        pull(controller) {
          sent += 65_536;
          controller.enqueue(new Uint8Array(65_536));
          if (sent >= bytes) controller.close();
        },
      });
    const post = (bytes: number) => {
      sent = 0;
      const headers = {
        "x-github-event": "release",
        "x-hub-signature-256": signatureOf(new Uint8Array(bytes)),
      };
      const init: RequestInit & { duplex: "half" } = {
        body: stream(bytes),
        headers,
        duplex: "half",
      };
      return resultOf(PATH, init);
    };
    expect(await post(MAX_BODY_BYTES)).toEqual(accepted("github"));
    expect(await post(10 * MAX_BODY_BYTES)).toEqual([
      413,
      { source: "github", outcome: "refused", reason: "its body is longer than 4194304 bytes" },
    ]);
    expect(sent).toBeLessThan(MAX_BODY_BYTES + 4 * 65_536);
  });

  test("refuses every other signature", async () => {
    const body = "{}";
    const right = signatureOf(body);
    const wrong = fc.oneof(
      fc.string({ unit: "grapheme-ascii", maxLength: 200 }),
      fc.nat(right.length - 1).map((length) => right.slice(0, length)),
      fc
        .string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: 1 })
        .map((more) => right + more),
      fc
        .tuple(fc.nat(right.length - 1), fc.constantFrom(..."0123456789abcdef"))
        .map(([at, digit]) => right.slice(0, at) + digit + right.slice(at + 1)),
      fc.constantFrom(
        right.toUpperCase(),
        right.slice("sha256=".length),
        `sha1=${right.slice(7)}`,
        `${right}, ${right}`,
        SECRET,
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        wrong.filter((signature) => signature.trim() !== right),
        async (signature) => {
          const headers = { ...githubHeaders(body), "x-hub-signature-256": signature };
          const [status] = await resultOf(PATH, { body, headers });
          expect(status).toBe(403);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("/hooks/registry", () => {
  const PATH = "/hooks/registry";
  const push = JSON.stringify({ events: [{ id: "1", action: "push" }] });

  test.each([
    ["the secret", SECRET],
    ["a bearer token", `Bearer ${SECRET}`],
    ["a bearer token in lower case", `bearer  ${SECRET}`],
  ])("accepts %s", async (_, authorization) => {
    expect(await resultOf(PATH, { body: push, headers: { authorization } })).toEqual(
      accepted("registry"),
    );
  });

  test("accepts a secret that begins like a scheme", async () => {
    const secret = "bearer of good tidings";
    const headers = { authorization: secret };
    expect(await resultOf(PATH, { body: push, headers }, [secret])).toEqual(accepted("registry"));
  });

  test.each([
    ["none", undefined],
    ["another secret", SECRET.replace("f", "e")],
    ["a part of the secret", SECRET.slice(1)],
    ["more than the secret", `${SECRET}0`],
    ["Basic", `Basic ${SECRET}`],
    ["two schemes", `Bearer Bearer ${SECRET}`],
  ])("refuses the Authorization header: %s", async (_, authorization) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    expect(await resultOf(PATH, { body: push, headers })).toEqual(
      forbidden("registry", "wrong Authorization header"),
    );
  });

  const headers = { authorization: SECRET };

  test.each([
    ["a pull, as distribution says it", { events: [{ action: "pull" }, { action: "pull" }] }],
    ["a pull, as Harbor says it", { type: "PULL_ARTIFACT", event_data: {} }],
    ["a pull, as Harbor's CloudEvents say it", { type: "harbor.artifact.pulled" }],
  ])("ignores %s, which polls could cause", async (_, body) => {
    expect(await resultOf(PATH, { body: JSON.stringify(body), headers })).toEqual(
      ignored("registry", "pull"),
    );
  });

  test.each([
    ["a pull and a push", JSON.stringify({ events: [{ action: "pull" }, { action: "push" }] })],
    ["a deletion", JSON.stringify({ events: [{ action: "delete" }] })],
    ["Harbor's push", JSON.stringify({ type: "PUSH_ARTIFACT" })],
    ["no events", JSON.stringify({ events: [] })],
    ["a body that is not JSON", "pull"],
    ["no body", undefined],
    ["a body over the limit", " ".repeat(MAX_BODY_BYTES + 1)],
  ])("wakes on %s", async (_, body) => {
    const init: RequestInit = body === undefined ? { headers } : { body, headers };
    expect(await resultOf(PATH, init)).toEqual(accepted("registry"));
  });
});

describe("/hooks/<secret>", () => {
  test("accepts the secret in the path", async () => {
    expect(await resultOf(`/hooks/${SECRET}`)).toEqual(accepted("secret"));
    expect(await resultOf(`/hooks/${SECRET}?from=hub`)).toEqual(accepted("secret"));
  });

  test("accepts an encoded secret", async () => {
    const secret = "a/b+c==?#&%20 \"'xyz";
    const path = `/hooks/${encodeURIComponent(secret)}`;
    expect(await resultOf(path, {}, [secret])).toEqual(accepted("secret"));
  });

  test("answers a wrong secret like an unknown path", async () => {
    const answers = await Promise.all(
      [
        `/hooks/${SECRET.slice(1)}`,
        `/hooks/${SECRET}0`,
        `/hooks/${SECRET}/`,
        `/hooks/x/${SECRET}`,
        `/${SECRET}`,
        "/hooks/%",
        "/hooks/",
        "/hooks",
        "/hooks/github/",
        "/HOOKS/github",
        "/status",
        "/",
      ].map((path) => ask(path, { headers: githubHeaders("") })),
    );
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(await resultOf("/hooks/none")).toEqual(NOT_FOUND);
  });

  test("accepts no other path", async () => {
    await fc.assert(
      fc.asyncProperty(fc.webPath(), async (path) => {
        const [status] = await resultOf(path);
        expect(status).toBe(["/hooks/github", "/hooks/registry"].includes(path) ? 403 : 404);
      }),
    );
  });
});

describe("other methods", () => {
  test.each(["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])(
    "%s is not allowed",
    async (method) => {
      for (const path of ["/hooks/github", "/hooks/registry", `/hooks/${SECRET}`, "/hooks/wrong"]) {
        const { status, headers, outcomes } = await ask(path, { method });
        expect({ status, allow: headers.allow, outcomes }).toEqual({
          status: 405,
          allow: "POST",
          outcomes: [],
        });
      }
      for (const path of ["/", "/hooks", "/hooks/", "/favicon.ico", `/${SECRET}`]) {
        const { status, headers, outcomes } = await ask(path, { method });
        expect({ status, allow: headers.allow, outcomes }).toEqual({
          status: 404,
          outcomes: [],
        });
      }
    },
  );
});

test("no response and no report contains the secret or the name of dewy", async () => {
  const answers = await Promise.all([
    ask(`/hooks/${SECRET}`),
    ask(`/hooks/${SECRET}x`),
    ask("/hooks/registry", { headers: { authorization: SECRET } }),
    ask("/hooks/registry", { headers: { authorization: `${SECRET}x` } }),
    ask("/hooks/github", { headers: { "x-hub-signature-256": SECRET } }),
    ask("/", { method: "GET" }),
  ]);
  expect(JSON.stringify(answers)).not.toContain(SECRET.slice(0, 8));
  expect(JSON.stringify(answers)).not.toMatch(/dewy/i);
});
