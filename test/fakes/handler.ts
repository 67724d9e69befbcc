/** A server as a function. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** A received request. */
export interface RecordedRequest {
  method: string;
  url: string;
  headers: Headers;
  body: string;
}

interface Expectation {
  name: string;
  matches: (request: Request) => boolean;
  respond: Handler;
  left: number;
  atLeastOnce: boolean;
  calls: number;
}

export interface Times {
  /** Exactly this often. Defaults to once. */
  times?: number;
  /** Once or more often. */
  any?: boolean;
}

/**
 * A server with expected calls. It fails on an unexpected call, and at the end on a missing one.
 */
export interface StrictFake {
  /** Replaces the network. */
  fetch: typeof globalThis.fetch;
  /** To serve it over HTTP. */
  handler: Handler;
  /** Every request, in order. */
  requests: RecordedRequest[];
  /**
   * Expects a call. If several expectations match, the first that is not used up answers.
   *
   * @param call `GET https://host/path?query`, or only `GET /path?query` for any host.
   */
  on(call: string, respond: Handler | Response, times?: Times): StrictFake;
  /** Throws after an unexpected call, or if an expected one is missing. */
  verify(): void;
}

/** Makes a fake without expectations. Call `verify` at the end of the test. */
export function strictFake(): StrictFake {
  const expectations: Expectation[] = [];
  const requests: RecordedRequest[] = [];
  const unexpected: string[] = [];

  const handler: Handler = async (request) => {
    requests.push(await record(request));
    const found = expectations.find((one) => one.left > 0 && one.matches(request));
    if (found === undefined) {
      unexpected.push(`${request.method} ${request.url}`);
      return new Response(`unexpected: ${request.method} ${request.url}`, { status: 418 });
    }
    found.left -= 1;
    found.calls += 1;
    return found.respond(request);
  };

  const fake: StrictFake = {
    handler,
    fetch: fetchOf(handler),
    requests,
    on(call, respond, { times = 1, any = false } = {}) {
      const [method, target = ""] = call.split(" ");
      expectations.push({
        name: call,
        matches: (request) => {
          const url = new URL(request.url);
          const asked = target.startsWith("/") ? url.pathname + url.search : url.href;
          return request.method === method && asked === target;
        },
        respond: typeof respond === "function" ? respond : () => respond.clone(),
        left: any ? Number.POSITIVE_INFINITY : times,
        atLeastOnce: any,
        calls: 0,
      });
      return fake;
    },
    verify() {
      const missing = expectations.filter((one) =>
        one.atLeastOnce ? one.calls === 0 : one.left > 0,
      );
      const problems = [
        ...unexpected.map((call) => `unexpected: ${call}`),
        ...missing.map((one) => `never came: ${one.name}`),
      ];
      if (problems.length > 0) throw new Error(problems.join("\n"));
    },
  };
  return fake;
}

async function record(request: Request): Promise<RecordedRequest> {
  const { method, url, headers } = request;
  return { method, url, headers: new Headers(headers), body: await request.clone().text() };
}

/**
 * A `fetch` that calls a handler. It follows no redirects, since dewy does so itself. Like the real
 * one it rejects when the signal aborts, and its bodies fail.
 */
export function fetchOf(handler: Handler): typeof globalThis.fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { signal } = request;
    signal.throwIfAborted();
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => {});
    return Promise.race([Promise.resolve(handler(request)), aborted]);
  };
}
