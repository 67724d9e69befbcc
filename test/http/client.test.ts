import { describe, expect, test } from "vitest";
import {
  AbortedError,
  ConfigError,
  ConflictError,
  CredentialError,
  NotFoundError,
  RemoteError,
} from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { declarePrintable } from "../../src/core/url.ts";
import { createHttpClient, type HttpClient, type HttpContext } from "../../src/http/client.ts";
import { type FakeClock, fakeClock } from "../fakes/clock.ts";
import { fetchOf, type StrictFake, strictFake } from "../fakes/handler.ts";

const URL_A = "https://api.test/a";

interface Setup {
  http: HttpClient;
  clock: FakeClock;
  events: DewyEvent[];
}

/** Skips pauses of up to half a minute; timeouts wait for the test. */
function setup(fetch: HttpContext["fetch"], options: Partial<HttpContext> = {}): Setup {
  const clock = fakeClock({ skipUpTo: 29_999 });
  const events: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void events.push(event);
  const http = createHttpClient({ fetch, clock, emit, random: () => 0.5, ...options });
  return { http, clock, events };
}

async function thrownBy(work: Promise<unknown>): Promise<RemoteError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof Error) return error as RemoteError;
  throw new Error("nothing was thrown");
}

function answers(fake: StrictFake, ...responses: (Response | (() => Response))[]): StrictFake {
  for (const response of responses) fake.on(`GET ${URL_A}`, response);
  return fake;
}

describe("send", () => {
  test("sends method, headers, body and a user agent, and emits an event", async () => {
    declarePrintable({ test: { requestKeys: ["page"] } });
    const fake = strictFake().on(`POST ${URL_A}?token=x&page=2`, Response.json({ ok: true }));
    const { http, events } = setup(fake.fetch, { userAgent: "dewy/1" });
    const request = { url: `${URL_A}?token=x&page=2`, method: "POST", body: "hi" };
    expect(await http.json({ ...request, headers: { "X-One": "1" } })).toEqual({ ok: true });
    expect(fake.requests[0]?.headers.get("x-one")).toBe("1");
    expect(fake.requests[0]?.headers.get("user-agent")).toBe("dewy/1");
    expect(fake.requests[0]?.body).toBe("hi");
    expect(events).toMatchObject([
      { type: "request", method: "POST", url: `${URL_A}?token=…&page=2`, status: 200, attempt: 1 },
    ]);
    fake.verify();
  });

  test("drops the body of a 304, which some runtimes have", async () => {
    const notModified = (): Response =>
      Object.defineProperty(new Response("x"), "status", { value: 304 });
    const fake = answers(strictFake(), notModified);
    const response = await setup(fake.fetch).http.send({ url: URL_A, accept: [304] });
    expect(response.body).toBeNull();
  });

  test("returns accepted statuses, a 304 without a body", async () => {
    const fake = answers(
      strictFake(),
      new Response(null, { status: 304 }),
      new Response("gone", { status: 404 }),
    );
    const { http, events } = setup(fake.fetch);
    expect((await http.send({ url: URL_A, accept: [304] })).status).toBe(304);
    expect(await http.text({ url: URL_A, accept: [404] })).toMatchObject({
      status: 404,
      text: "gone",
    });
    expect(events[0]).toMatchObject({ status: 304, fromCache: true });
    fake.verify();
  });

  test("refuses header values that fetch would repeat in its error", async () => {
    const { http } = setup(strictFake().fetch);
    const error = await thrownBy(
      http.send({ url: URL_A, headers: { authorization: "Bearer s3cret\nx" } }),
    );
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toContain("authorization");
    expect(error.message).not.toContain("s3cret");
    const sign = async (): Promise<Record<string, string>> => ({ "X-Token": "s3cret\nx" });
    const unsigned = await thrownBy(http.send({ url: URL_A, sign }));
    expect(unsigned).toBeInstanceOf(ConfigError);
    expect(unsigned.message).not.toContain("s3cret");
  });

  test.each([["https://me:s3cret@api.test/"], ["ftp://api.test/"], ["nonsense"]])(
    "refuses the URL %s",
    async (url) => {
      const error = await thrownBy(setup(strictFake().fetch).http.send({ url }));
      expect(error).toBeInstanceOf(ConfigError);
      expect(error.message).not.toContain("s3cret");
    },
  );
});

describe("errors", () => {
  test.each([
    [401, CredentialError, "credential"],
    [403, CredentialError, "credential"],
    [404, NotFoundError, "not-found"],
    [409, ConflictError, "conflict"],
    [412, ConflictError, "conflict"],
    [418, RemoteError, "remote"],
  ])("HTTP %i is a %o", async (status, type, code) => {
    const fake = answers(strictFake(), Response.json({ message: "why not" }, { status }));
    const error = await thrownBy(setup(fake.fetch).http.text({ url: `${URL_A}` }));
    expect(error).toBeInstanceOf(type);
    expect(error.code).toBe(code);
    expect(error.message).toContain(`Cannot GET ${URL_A}: HTTP ${status}: why not`);
    fake.verify();
  });

  test.each([
    ["JSON", '{"message":"from json","documentation_url":"x"}', "from json"],
    [
      "XML",
      "<?xml?><Error><Code>NoSuchKey</Code><Message>from xml</Message></Error>",
      "NoSuchKey: from xml",
    ],
    [
      "HTML",
      "<html><head><title>t</title></head><body><h1>from</h1>\n <p>html</p></body>",
      "from html",
    ],
    ["nothing", "", ""],
  ])("quote the server's message in %s", async (_, body, said) => {
    const fake = answers(strictFake(), new Response(body, { status: 400 }));
    const error = await thrownBy(setup(fake.fetch).http.text({ url: URL_A }));
    expect(error.message).toBe(`Cannot GET ${URL_A}: HTTP 400${said === "" ? "" : `: ${said}`}`);
  });

  test("quote it on one short line, without secrets that were sent or that look like secrets", async () => {
    const message = `no ${"\n"} hunter2hunter2hunter2, ghp_0123456789abcdef, https://x.test/?sig=abc ${"z".repeat(500)}`;
    const fake = answers(strictFake(), Response.json({ message }, { status: 400 }));
    const headers = { authorization: "token hunter2hunter2hunter2" };
    const error = await thrownBy(setup(fake.fetch).http.text({ url: URL_A, headers }));
    expect(error.message).toContain("no …, …, https://x.test/?sig=… zzz");
    expect(error.message.length).toBeLessThan(`Cannot GET ${URL_A}: HTTP 400: `.length + 201);
  });

  test("decode XML entities before redacting", async () => {
    const message = `the region &#34;xx&#34; &amp; &#x22;yy&apos; are &lt;b&gt; &amp;lt; &#1114112; https:&#x2f;/me:pw&#64;h`;
    const xml = `<Error><Code>Malformed</Code><Message>${message}</Message></Error>`;
    const fake = answers(strictFake(), new Response(xml, { status: 400 }));
    const error = await thrownBy(setup(fake.fetch).http.text({ url: URL_A }));
    expect(error.message).toBe(
      `Cannot GET ${URL_A}: HTTP 400: Malformed: the region "xx" & "yy' are <b> &lt; &#1114112; https://h`,
    );
  });

  test("prefer the caller's error", async () => {
    const fake = answers(strictFake(), new Response("x", { status: 403 }));
    const error = await thrownBy(
      setup(fake.fetch).http.text({
        url: URL_A,
        toError: ({ status, message }) => new ConflictError(`${status} ${message}`),
      }),
    );
    expect(error.message).toBe("403 x");
    fake.verify();
  });

  test("report text that is not JSON or too long", async () => {
    const fake = answers(strictFake(), new Response("<html>"), new Response("12345"));
    const { http } = setup(fake.fetch);
    expect((await thrownBy(http.json({ url: URL_A }))).message).toContain("not JSON");
    expect((await thrownBy(http.text({ url: URL_A }, 4))).message).toContain("larger than 4 bytes");
    fake.verify();
  });
});

describe("network failures", () => {
  const failing =
    (cause: unknown): HttpContext["fetch"] =>
    async () => {
      throw Object.assign(new TypeError("fetch failed"), { cause });
    };
  const coded = (code: string, message = code): Error =>
    Object.assign(new Error(message), { code });

  test.each([
    ["ECONNREFUSED", "the connection was refused (ECONNREFUSED)"],
    ["ENOTFOUND", "Cannot reach api.test: unknown host (ENOTFOUND)"],
    ["CERT_HAS_EXPIRED", "certificate has expired or is not valid yet (CERT_HAS_EXPIRED)"],
  ])("%s is explained", async (code, words) => {
    const error = await thrownBy(
      setup(failing(coded(code)), { retries: 0 }).http.text({ url: URL_A }),
    );
    expect(error).toBeInstanceOf(RemoteError);
    expect(error.message).toContain(words);
  });

  test("the first of several addresses gives the reason", async () => {
    const all = new AggregateError([coded("ECONNREFUSED"), coded("ENETUNREACH")]);
    const error = await thrownBy(setup(failing(all), { retries: 0 }).http.text({ url: URL_A }));
    expect(error.message).toContain("refused");
  });

  test("a URL in the runtime's message is redacted", async () => {
    const words = "error sending request for url (https://api.test/a?sig=s3cret)";
    const error = await thrownBy(
      setup(failing(new Error(words)), { retries: 0 }).http.text({ url: URL_A }),
    );
    expect(error.message).toContain("?sig=…");
    expect(error.message).not.toContain("s3cret");
  });

  test("an untrusted certificate is not retried", async () => {
    const { http, clock } = setup(failing(coded("DEPTH_ZERO_SELF_SIGNED_CERT")));
    const error = await thrownBy(http.text({ url: URL_A }));
    expect(error).toMatchObject({ retryable: false });
    expect(error.message).toContain("--ca-file");
    expect(clock.slept.filter((ms) => ms < 30_000)).toEqual([]);
  });
});

describe("retries", () => {
  test.each([429, 500, 502, 503, 504])("HTTP %i is retried until it succeeds", async (status) => {
    const bad = new Response("busy", { status });
    const fake = answers(strictFake(), bad, bad, bad, new Response("fine"));
    const { http, events } = setup(fake.fetch);
    expect((await http.text({ url: URL_A })).text).toBe("fine");
    const retries = events.filter((event) => event.type === "retry");
    expect(retries).toMatchObject([
      { attempt: 1, delayMs: 250 },
      { attempt: 2, delayMs: 500 },
      { attempt: 3, delayMs: 1000 },
    ]);
    fake.verify();
  });

  test.each([400, 408, 425, 501, 505])("HTTP %i is not retried", async (status) => {
    const fake = answers(strictFake(), new Response("no", { status }));
    expect(await thrownBy(setup(fake.fetch).http.text({ url: URL_A }))).toMatchObject({
      status,
      retryable: false,
    });
    fake.verify();
  });

  test("stop after four attempts with the last error", async () => {
    const bad = new Response("busy", { status: 503 });
    const fake = answers(strictFake(), bad, bad, bad, bad);
    const error = await thrownBy(setup(fake.fetch).http.text({ url: URL_A }));
    expect(error).toMatchObject({ code: "remote", status: 503, method: "GET", retryable: true });
    fake.verify();
  });

  test("an error of the caller's is not retried unless its status is transient", async () => {
    const fake = answers(strictFake(), new Response("x", { status: 400 }));
    const toError = (): RemoteError => new RemoteError("mine", { status: 400 });
    const error = await thrownBy(setup(fake.fetch).http.text({ url: URL_A, toError }));
    expect(error).toMatchObject({ message: "mine", retryable: true });
    fake.verify();
  });

  test("a connection that breaks within the body is retried", async () => {
    const broken = (): Response =>
      new Response(
        new ReadableStream({
          pull: (controller) => controller.error(new Error("reset")),
        }),
      );
    const fake = answers(strictFake(), broken, new Response("fine"));
    expect((await setup(fake.fetch).http.text({ url: URL_A })).text).toBe("fine");
    fake.verify();
  });

  test.each([
    ["POST", {}, 1],
    ["POST", { idempotent: true }, 2],
    ["PUT", {}, 2],
    ["PUT", { headers: { "If-None-Match": "*" } }, 1],
    ["GET", { idempotent: false }, 1],
  ])("%s with %o is sent %i times", async (method, parts, times) => {
    const fake = strictFake().on(`${method} ${URL_A}`, new Response("", { status: 503 }));
    if (times === 2) fake.on(`${method} ${URL_A}`, new Response("fine"));
    const outcome = setup(fake.fetch).http.text({ url: URL_A, method, ...parts });
    expect(
      await outcome.then(
        () => 2,
        () => 1,
      ),
    ).toBe(times);
    fake.verify();
  });

  test.each([
    ["seconds", "7"],
    ["a date", "Fri, 02 Jan 2026 03:04:12 GMT"],
  ])("Retry-After in %s is honoured", async (_, value) => {
    const busy = new Response("", { status: 503, headers: { "retry-after": value } });
    const fake = answers(strictFake(), busy, new Response("fine"));
    const { http, events } = setup(fake.fetch);
    await http.text({ url: URL_A });
    const delay = events.find((event) => event.type === "retry")?.delayMs;
    expect(delay).toBe(value === "7" ? 7000 : 7000 - 678);
    fake.verify();
  });

  test.each([
    [429, "rate-limited"],
    [503, "remote"],
  ])("a long Retry-After of HTTP %i is left to the caller", async (status, code) => {
    const headers = { "retry-after": "31" };
    const fake = answers(strictFake(), new Response("", { status, headers }));
    const error = await thrownBy(setup(fake.fetch).http.text({ url: URL_A }));
    expect(error).toMatchObject({ code, retryAfterMs: 31_000 });
    fake.verify();
  });

  test.each([
    ["999999999", 3_600_000],
    ["99999999999999999999", 3_600_000],
    ["Fri, 31 Dec 9999 23:59:59 GMT", 3_600_000],
    ["3599", 3_599_000],
    ["-5", undefined],
    ["1e9", undefined],
    ["Thu, 01 Jan 1970 00:00:00 GMT", undefined],
    ["soon", undefined],
  ])("a Retry-After of %s is bounded, or ignored if it asks for no pause", async (value, ms) => {
    const answer = (): Response =>
      new Response("", { status: 429, headers: { "retry-after": value } });
    const fake = answers(strictFake(), answer);
    const error = await thrownBy(setup(fake.fetch, { retries: 0 }).http.text({ url: URL_A }));
    expect(error).toMatchObject({ code: "rate-limited", retryAfterMs: ms });
    if (ms === 3_600_000) expect(error.message).toContain("dewy waits about 1 h");
    fake.verify();
  });

  test("every attempt is signed again", async () => {
    const bad = new Response("", { status: 503 });
    const fake = answers(strictFake(), bad, new Response("fine"));
    let count = 0;
    const sign = async (): Promise<Record<string, string>> => ({ Authorization: `nr ${++count}` });
    await setup(fake.fetch).http.text({ url: URL_A, sign });
    expect(fake.requests.map(({ headers }) => headers.get("authorization"))).toEqual([
      "nr 1",
      "nr 2",
    ]);
    fake.verify();
  });
});

describe("timeouts", () => {
  const silent: HttpContext["fetch"] = fetchOf(() => new Promise(() => {}));

  test("a silent server times out, and the connection is closed", async () => {
    const signals: (AbortSignal | null | undefined)[] = [];
    const fetch: HttpContext["fetch"] = (url, init) => {
      signals.push(init?.signal);
      return silent(url, init);
    };
    const { http, clock } = setup(fetch, { retries: 0 });
    const outcome = thrownBy(http.text({ url: URL_A, timeoutMs: 40_000 }));
    await clock.sleeping(40_000);
    clock.advance(40_000);
    expect(await outcome).toMatchObject({
      code: "timeout",
      retryable: true,
      message: "Cannot reach api.test: no response within 40 s",
    });
    expect(signals.map((signal) => signal?.aborted)).toEqual([true]);
  });

  test("the caller's signal no longer matters after the end of the body", async () => {
    const fake = answers(strictFake(), new Response("fine"));
    const signals: (AbortSignal | null | undefined)[] = [];
    const fetch: HttpContext["fetch"] = (url, init) => {
      signals.push(init?.signal);
      return fake.fetch(url, init);
    };
    const stop = new AbortController();
    await setup(fetch).http.text({ url: URL_A, signal: stop.signal });
    stop.abort();
    expect(signals.map((signal) => signal?.aborted)).toEqual([false]);
  });

  test("a stalled body times out, and the connection is closed", async () => {
    let cancelled = false;
    let pulls = 0;
    const body = new ReadableStream(
      {
        pull: (controller) => {
          pulls += 1;
          if (pulls <= 2) controller.enqueue(new TextEncoder().encode("some"));
        },
        cancel: () => {
          cancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
    const fake = answers(strictFake(), () => new Response(body));
    const { http, clock } = setup(fake.fetch);
    const reader = (await http.send({ url: URL_A })).body?.getReader();
    expect((await reader?.read())?.value).toHaveLength(4);
    clock.advance(50_000);
    expect((await reader?.read())?.value).toHaveLength(4);
    clock.advance(90_000); // as long as nobody reads, time does not count
    const outcome = thrownBy(reader?.read() ?? Promise.resolve());
    await expect.poll(() => pulls).toBe(3);
    clock.advance(59_999);
    expect(cancelled).toBe(false);
    clock.advance(1);
    expect(await outcome).toMatchObject({ code: "timeout" });
    expect(cancelled).toBe(true);
  });

  test("a body takes one timer, however many chunks it has", async () => {
    const body = new ReadableStream({
      start: (controller) => {
        for (let nth = 0; nth < 50; nth += 1) controller.enqueue(new Uint8Array([65]));
        controller.close();
      },
    });
    const { http, clock } = setup(answers(strictFake(), () => new Response(body)).fetch);
    expect((await http.text({ url: URL_A })).text).toHaveLength(50);
    expect(clock.slept.filter((ms) => ms === 60_000)).toHaveLength(1);
  });

  test("a text that trickles in indefinitely times out, and the connection is closed", async () => {
    let cancelled = false;
    const body = new ReadableStream({
      cancel: () => {
        cancelled = true;
      },
    });
    const fake = answers(strictFake(), () => new Response(body));
    const { http, clock } = setup(fake.fetch, { retries: 0 });
    const outcome = thrownBy(http.text({ url: URL_A, idleTimeoutMs: 400_000 }));
    await clock.sleeping(300_000);
    clock.advance(300_000);
    expect(await outcome).toMatchObject({ code: "timeout" });
    expect(cancelled).toBe(true);
  });

  test("the caller's signal aborts a call, a pause and a body", async () => {
    const stop = new AbortController();
    const { http, clock } = setup(silent);
    const asking = thrownBy(http.text({ url: URL_A, signal: stop.signal, timeoutMs: 50_000 }));
    await clock.sleeping(50_000);
    stop.abort();
    expect(await asking).toBeInstanceOf(AbortedError);

    const stopPause = new AbortController();
    const limited = new Response("", { status: 503, headers: { "retry-after": "30" } });
    const pausing = setup(answers(strictFake(), limited).fetch);
    const paused = thrownBy(
      pausing.http.text({ url: URL_A, signal: stopPause.signal, timeoutMs: 45_000 }),
    );
    await pausing.clock.sleeping(30_000);
    stopPause.abort();
    expect(await paused).toBeInstanceOf(AbortedError);

    const stopBody = new AbortController();
    const endless = (): Response =>
      new Response(new ReadableStream({ pull: () => new Promise(() => {}) }));
    const answer = await setup(answers(strictFake(), endless).fetch).http.send({
      url: URL_A,
      signal: stopBody.signal,
    });
    const reading = thrownBy(answer.text());
    stopBody.abort();
    expect(await reading).toBeInstanceOf(AbortedError);
  });

  test("the caller's own timeout is reported as a timeout and not retried", async () => {
    const { http, clock, events } = setup(silent);
    const stop = new AbortController();
    const asking = thrownBy(http.text({ url: URL_A, signal: stop.signal, timeoutMs: 50_000 }));
    await clock.sleeping(50_000);
    stop.abort(new DOMException("The operation timed out.", "TimeoutError"));
    const error = await asking;
    expect(events.map(({ type }) => type)).toEqual(["request"]);
    expect(error).toMatchObject({ code: "timeout", fault: "remote" });
    expect(error.message).toContain("the caller's timeout expired");
  });

  test("an aborted signal sends nothing", async () => {
    const fake = strictFake();
    const outcome = setup(fake.fetch).http.text({ url: URL_A, signal: AbortSignal.abort() });
    expect(await thrownBy(outcome)).toBeInstanceOf(AbortedError);
    fake.verify();
  });
});

describe("bodies", () => {
  test("fail if they are shorter than Content-Length", async () => {
    const fake = answers(
      strictFake(),
      new Response("half", { headers: { "content-length": "8" } }),
    );
    const answer = await setup(fake.fetch).http.send({ url: URL_A });
    expect((await thrownBy(answer.text())).message).toContain("ended after 4 of 8 bytes");
  });

  test("of HEAD are empty, whatever Content-Length is", async () => {
    const headers = { "content-length": "99" };
    const fake = strictFake().on(`HEAD ${URL_A}`, () => new Response("", { headers }));
    const { http } = setup(fake.fetch);
    expect((await http.text({ url: URL_A, method: "HEAD" })).text).toBe("");
  });

  test("of errors are read only at the start", async () => {
    let sent = 0;
    const endless = (): Response =>
      new Response(
        new ReadableStream({
          pull(controller) {
            sent += 32 * 1024;
            controller.enqueue(new Uint8Array(32 * 1024));
            if (sent > 1024 * 1024) controller.close();
          },
        }),
        { status: 400 },
      );
    await thrownBy(setup(answers(strictFake(), endless).fetch).http.text({ url: URL_A }));
    expect(sent).toBeLessThanOrEqual(128 * 1024);
  });

  test("may differ from Content-Length if fetch decodes them", async () => {
    const headers = { "content-length": "99", "content-encoding": "gzip" };
    const fake = answers(strictFake(), new Response("x", { headers }));
    expect((await setup(fake.fetch).http.text({ url: URL_A })).text).toBe("x");
  });

  test("are read on demand only", async () => {
    let pulled = 0;
    const endless = (): Response =>
      new Response(
        new ReadableStream(
          {
            pull: (controller) => {
              pulled += 1;
              controller.enqueue(new Uint8Array(10));
            },
          },
          { highWaterMark: 0 },
        ),
      );
    const answer = await setup(answers(strictFake(), endless).fetch).http.send({ url: URL_A });
    expect(pulled).toBe(0);
    const reader = answer.body?.getReader();
    await reader?.read();
    expect(pulled).toBeLessThanOrEqual(2);
    await reader?.cancel();
  });
});

describe("redirects", () => {
  const to = (location: string, status = 302): Response =>
    new Response(null, { status, headers: { location } });

  test("keep all headers at the same origin, and only public ones at another", async () => {
    const fake = answers(strictFake(), to("/b"))
      .on("GET https://api.test/b", to("https://else.test/c"))
      .on("GET https://else.test/c", to("/d"))
      .on("GET https://else.test/d", new Response("found"));
    const sign = async (): Promise<Record<string, string>> => ({ "x-amz-date": "now" });
    const headers = { authorization: "Bearer s3cret", range: "bytes=1-" };
    const { http } = setup(fake.fetch);
    expect((await http.text({ url: URL_A, headers, sign })).text).toBe("found");
    const seen = fake.requests.map((request) =>
      ["authorization", "x-amz-date", "range"].map((name) => request.headers.get(name)),
    );
    expect(seen).toEqual([
      ["Bearer s3cret", "now", "bytes=1-"],
      ["Bearer s3cret", "now", "bytes=1-"],
      [null, null, "bytes=1-"],
      [null, null, "bytes=1-"],
    ]);
    fake.verify();
  });

  test.each([
    ["http://api.test/a", "https"],
    ["file:///etc/passwd", "file:"],
    ["https://me:s3cret@api.test/", "credentials"],
  ])("to %s are refused", async (location, why) => {
    const fake = answers(strictFake(), to(location));
    const error = await thrownBy(setup(fake.fetch).http.text({ url: URL_A }));
    expect(error).toMatchObject({ code: "remote", retryable: false });
    expect(error.message).toContain(why);
    expect(error.message).not.toContain("s3cret");
    fake.verify();
  });

  test("send no body to another origin", async () => {
    const fake = strictFake().on(`PUT ${URL_A}`, to("https://else.test/", 307));
    const error = await thrownBy(
      setup(fake.fetch).http.text({ url: URL_A, method: "PUT", body: "b" }),
    );
    expect(error.message).toContain("body");
    fake.verify();
  });

  test("of a POST by 303 become a GET without a body", async () => {
    const fake = strictFake()
      .on(`POST ${URL_A}`, to("/b", 303))
      .on("GET https://api.test/b", new Response("ok"));
    const request = { url: URL_A, method: "POST", body: "b", headers: { "content-type": "a/b" } };
    await setup(fake.fetch).http.text(request);
    expect(fake.requests[1]?.headers.get("content-type")).toBeNull();
    fake.verify();
  });

  test("are returned to a caller that handles them itself", async () => {
    const fake = answers(strictFake(), to("https://else.test/"));
    const response = await setup(fake.fetch).http.send({ url: URL_A, redirect: "manual" });
    expect(response.headers.get("location")).toBe("https://else.test/");
    fake.verify();
  });

  test("have their body cancelled", async () => {
    let isCancelled = false;
    const cancel = (): void => {
      isCancelled = true;
    };
    const redirect = (): Response =>
      new Response(new ReadableStream({ cancel }), { status: 302, headers: { location: "/b" } });
    const fake = answers(strictFake(), redirect).on("GET https://api.test/b", new Response("ok"));
    await setup(fake.fetch).http.text({ url: URL_A });
    expect(isCancelled).toBe(true);
    fake.verify();
  });

  test("are checked by the caller before they are followed", async () => {
    const fake = answers(strictFake(), to("https://else.test/"));
    const checkRedirect = (next: URL): void => {
      throw new ConflictError(`not to ${next.host}`);
    };
    const error = await thrownBy(setup(fake.fetch).http.text({ url: URL_A, checkRedirect }));
    expect(error.message).toBe("not to else.test");
    fake.verify();
  });

  test("fail where none is expected, and after five", async () => {
    const fake = answers(strictFake(), ...Array.from({ length: 7 }, () => to(URL_A)));
    const { http } = setup(fake.fetch);
    const unwanted = await thrownBy(http.text({ url: URL_A, redirect: "error" }));
    expect(unwanted.message).toContain("not expected");
    expect((await thrownBy(http.text({ url: URL_A }))).message).toContain("more than 5");
    fake.verify();
  });

  describe("hidden by the runtime", () => {
    const opaque: HttpContext["fetch"] = async (_, init) => {
      if (init?.redirect !== "manual") return new Response("followed");
      return Object.defineProperty(Response.error(), "type", { value: "opaqueredirect" });
    };

    test("are followed by the runtime if nothing private can leak", async () => {
      const headers = { authorization: "Bearer x" };
      expect((await setup(opaque).http.text({ url: URL_A, headers })).text).toBe("followed");
    });

    test("are refused if the caller would have to check them", async () => {
      const { http } = setup(opaque);
      const request = { url: URL_A, checkRedirect: () => {} };
      expect((await thrownBy(http.text(request))).message).toContain("not expected");
      expect((await http.text({ ...request, followHidden: true })).text).toBe("followed");
    });

    test("are refused if the body could leak", async () => {
      const error = await thrownBy(
        setup(opaque).http.text({ url: URL_A, method: "PUT", body: "b" }),
      );
      expect(error.message).toContain("the body must not reach another host");
    });

    test("are refused if a header could leak", async () => {
      const error = await thrownBy(
        setup(opaque).http.text({ url: URL_A, headers: { "x-amz-security-token": "x" } }),
      );
      expect(error.message).toContain("x-amz-security-token");
    });
  });
});
