import { describe, expect, test } from "vitest";
import { splitUrl } from "../../src/core/url.ts";
import { APP_OPTIONS } from "../../src/notifiers/chat_options.ts";
import { jsonPoster, readWebhook, type WebhookForm } from "../../src/notifiers/webhook.ts";
import { fetchOf, type Handler } from "../fakes/handler.ts";
import { type FakeNotifierContext, notifierContext } from "./context.ts";
import { NEVER } from "./notes.ts";

const FORM: WebhookForm = { syntax: "x+https://<host>/<path>", options: APP_OPTIONS };
const read = (url: string, form: Partial<WebhookForm> = {}) =>
  readWebhook(splitUrl(url, "--notifier"), { ...FORM, ...form });

describe("the URL of a webhook", () => {
  test("loses the first half of its scheme, and dewy's options", () => {
    const { target, options } = read("x+https://h.example:8443/a/b?title=my+app&quiet=true");
    expect(target.href).toBe("https://h.example:8443/a/b");
    expect(options.text("title")).toBe("my app");
    expect(options.flag("quiet")).toBe(true);
  });
  test("keeps the service's own keys byte by byte, if it has some", () => {
    const url = "x+https://h.example/a?sp=%2Ftriggers%2Frun&title=t&sig=a-B_c%3D&sv=1.0";
    expect(read(url, { hasOwnKeys: true }).target.href).toBe(
      "https://h.example/a?sp=%2Ftriggers%2Frun&sig=a-B_c%3D&sv=1.0",
    );
  });
  test.each([
    ["x+https://h.example/hush?colour=hush", 'unknown option "colour"', {}],
    ["x+https://h.example/hush?titel=hush", "did you mean title?", { hasOwnKeys: true }],
    ["x+https://user:hush@h.example/hush", "credentials do not belong", {}],
    ["x+https://h example/hush", "it is not a URL", {}],
    ["x+https:///hush", "it is not a URL", {}],
    ["x+https://h.example/hush", "wrong path", { problem: () => "wrong path" }],
  ] as const)("refuses %s without showing its secret", (url, why, form) => {
    const refused = (): unknown => read(url, form);
    expect(refused).toThrow(why);
    expect(refused).not.toThrow("hush");
  });
});

const SECRET = "https://h.example/hidden-path?sig=hidden-signature";

function poster(handler: Handler): {
  post: ReturnType<typeof jsonPoster>;
  context: FakeNotifierContext;
} {
  const context = notifierContext({ fetch: fetchOf(handler) });
  const service = {
    name: "Chat",
    target: new URL(SECRET),
    headers: { authorization: "Bearer hidden-token" },
    advice: "do something",
    retryAfterMs: (body: string) => (body === "in-5" ? 5_000 : undefined),
  };
  return { post: jsonPoster(service, context), context };
}

describe("posting to a webhook", () => {
  test("sends JSON to the secret URL", async () => {
    const requests: Request[] = [];
    const { post } = poster((request) => {
      requests.push(request.clone());
      return new Response("anything", { status: 202 });
    });
    await post({ body: { a: 1 } }, NEVER);
    const [request] = requests;
    expect(request?.url).toBe(SECRET);
    expect(request?.method).toBe("POST");
    expect(request?.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(request?.headers.get("authorization")).toBe("Bearer hidden-token");
    expect(await request?.json()).toEqual({ a: 1 });
  });
  test.each([401, 403, 404, 405, 410])(
    "HTTP %i means that the URL or the token is refused",
    async (status) => {
      const { post } = poster(() => new Response("no_service", { status }));
      await expect(post({ body: {} }, NEVER)).rejects.toMatchObject({
        code: "credential",
        message: `Cannot send to Chat: HTTP ${status}: no_service; do something`,
      });
    },
  );
  test.each([400, 413, 422])("HTTP %i means that the message is refused", async (status) => {
    const { post } = poster(() => new Response("invalid_payload", { status }));
    await expect(post({ body: {} }, NEVER)).rejects.toMatchObject({
      code: "remote",
      retryable: false,
      message: `Cannot send to Chat: HTTP ${status}: invalid_payload`,
    });
  });
  test.each([408, 500, 502, 503, 507, 520])("HTTP %i is worth a retry", async (status) => {
    const { post } = poster(() => new Response(null, { status }));
    await expect(post({ body: {} }, NEVER)).rejects.toMatchObject({
      code: "remote",
      retryable: true,
    });
  });
  test.each([
    ["the header", new Response("", { status: 429, headers: { "retry-after": "7" } }), 7_000],
    ["the body", new Response("in-5", { status: 429, headers: { "retry-after": "9" } }), 5_000],
    ["nothing", new Response("", { status: 429 }), undefined],
  ])("a rate limit asks for a pause in %s", async (_, response, retryAfterMs) => {
    const { post } = poster(() => response);
    await expect(post({ body: {} }, NEVER)).rejects.toMatchObject({
      code: "rate-limited",
      retryable: true,
      retryAfterMs,
    });
  });
  test("a redirect is not followed: it could be to anywhere", async () => {
    let requests = 0;
    const { post } = poster(() => {
      requests += 1;
      return new Response(null, { status: 307, headers: { location: "https://evil.example/" } });
    });
    await expect(post({ body: {} }, NEVER)).rejects.toThrow("HTTP 307 is a redirect; do something");
    expect(requests).toBe(1);
  });
  test.each<[string, Handler]>([
    ["refuses", () => new Response(`no ${SECRET}`, { status: 404 })],
    ["cannot be reached", () => Promise.reject(new TypeError("fetch failed"))],
    ["redirects", () => new Response(null, { status: 302, headers: { location: "/x" } })],
    ["has a problem", () => new Response("", { status: 500 })],
  ])("no event and no error shows the URL if the service %s", async (_, handler) => {
    const { post, context } = poster(handler);
    const error: unknown = await post({ body: {} }, NEVER).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    const shown = JSON.stringify([context.events, error, (error as Error).message]);
    expect(shown).not.toContain("hidden");
  });
});
