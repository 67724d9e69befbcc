import { openArtifact, systemClock } from "dewy";
import { createHttpClient, type HttpClient } from "../../../src/http/client.ts";
import { openRange } from "../../../src/http/range.ts";
import { equal } from "../../runtime/check.ts";
import type { Cases } from "../case.ts";
import { rejects, textOf } from "../check.ts";

const SECRETS = {
  authorization: "Bearer secret",
  "x-amz-security-token": "secret",
  "x-amz-date": "20260101T000000Z",
  "x-github-api-version": "2022-11-28",
  "x-private": "secret",
};
const HARMLESS = { accept: "application/octet-stream", range: "bytes=0-" };
const HIDDEN = { chromium: "a browser hides where a redirect leads" };
const VISIBLE = "only a browser hides where a redirect leads";
const ELSEWHERE = { node: VISIBLE, deno: VISIBLE, bun: VISIBLE, workerd: VISIBLE };

interface Echo {
  method: string;
  headers: Record<string, string>;
}

const client: HttpClient = createHttpClient({
  // workerd refuses a `fetch` that has lost its receiver.
  fetch: (input, init) => globalThis.fetch(input, init),
  clock: systemClock,
  emit: () => {},
  retries: 0,
});

async function echo(url: string, headers: Readonly<Record<string, string>>): Promise<Echo> {
  return (await client.json({ url, headers })) as Echo;
}

function redirectTo(base: string, to: string, status = 302): string {
  return `${base}/redirect?status=${status}&to=${encodeURIComponent(to)}`;
}

/** The rules for requests: redirects, bodies, timeouts and errors. */
export const http: Cases = {
  "every header reaches the origin it was meant for": {
    skip: HIDDEN,
    async run({ here }) {
      const { headers } = await echo(`${here}/redirect?to=/echo`, { ...SECRETS, ...HARMLESS });
      for (const [name, value] of Object.entries({ ...SECRETS, ...HARMLESS })) {
        equal(headers[name], value, name);
      }
    },
  },

  "no private header follows a redirect to another origin": {
    skip: HIDDEN,
    async run({ here, there }) {
      for (const status of [301, 302, 303, 307, 308]) {
        const url = redirectTo(here, `${there}/echo`, status);
        const { headers } = await echo(url, { ...SECRETS, ...HARMLESS, cookie: "secret" });
        for (const name of [...Object.keys(SECRETS), "cookie"]) {
          equal(headers[name], undefined, `${status} ${name}`);
        }
        for (const [name, value] of Object.entries(HARMLESS)) equal(headers[name], value, name);
      }
    },
  },

  "private headers do not come back with a second redirect": {
    skip: HIDDEN,
    async run({ here, there }) {
      const url = redirectTo(here, redirectTo(there, `${here}/echo`));
      const { headers } = await echo(url, SECRETS);
      for (const name of Object.keys(SECRETS)) equal(headers[name], undefined, name);
    },
  },

  "a redirect that is hidden is not followed with private headers": {
    skip: ELSEWHERE,
    async run({ here, there }) {
      const url = redirectTo(here, `${there}/echo`);
      await rejects(echo(url, SECRETS), "remote", /x-amz-security-token.* must not reach/);
    },
  },

  "a redirect is returned if the request says so": {
    skip: HIDDEN,
    async run({ here }) {
      const answer = await client.send({ url: `${here}/redirect?to=/echo`, redirect: "manual" });
      equal(answer.status, 302, "status");
      equal(answer.headers.get("location"), "/echo", "location");
      await answer.body?.cancel();
    },
  },

  async "a loop of redirects ends"({ here }) {
    await rejects(client.text({ url: `${here}/redirect?to=` }), "remote");
  },

  async "a download follows a redirect to another origin"({ here, there }) {
    const stream = await openArtifact(redirectTo(here, `${there}/range`), { allow: "http" });
    equal(await textOf(stream), "0123456789", "bytes");
  },

  async "bytes arrive before the end, and can be cancelled"({ here }) {
    const reader = (await openArtifact(`${here}/stall`, { allow: "http" })).getReader();
    equal(new TextDecoder().decode((await reader.read()).value), "half", "the first bytes");
    await reader.cancel();
  },

  async "a download resumes where it stopped"({ here }) {
    const rest = await openRange(client, { url: `${here}/range` }, { offset: 4 });
    equal(await textOf(rest), "456789", "rest");
  },

  async "a body that ends early is an error"({ here }) {
    await rejects(client.text({ url: `${here}/short` }), "remote");
    const streamed = client.send({ url: `${here}/short` }).then(({ body }) => textOf(body));
    await rejects(streamed, "remote");
  },

  async "a compressed body is decoded, and its length not checked"({ here }) {
    equal((await client.text({ url: `${here}/gzip` })).text, "z", "text");
  },

  async "a refused connection is explained"({ refused }) {
    const why =
      /^Cannot reach 127\.0\.0\.1:\d+: the (connection was (refused|closed)|browser does not say why)/;
    await rejects(client.text({ url: refused }), "remote", why);
  },

  async "a server that does not answer is a timeout"({ here }) {
    const request = { url: `${here}/silent`, timeoutMs: 100 };
    await rejects(client.text(request), "timeout", /: no response within 0\.1 s$/);
  },

  async "a body that stalls is a timeout"({ here }) {
    const request = { url: `${here}/stall`, idleTimeoutMs: 100 };
    await rejects(client.text(request), "timeout", /: no further data within 0\.1 s$/);
  },

  async "an abort ends the request, and the body of a response"({ here }) {
    const early = new AbortController();
    const waiting = client.text({ url: `${here}/silent`, signal: early.signal });
    early.abort();
    await rejects(waiting, "aborted", /^Stopped during GET http/);
    const late = new AbortController();
    const response = await client.send({ url: `${here}/stall`, signal: late.signal });
    const text = textOf(response.body);
    late.abort();
    await rejects(text, "aborted", /^Stopped during GET http/);
  },

  async "the caller's timeout is told apart from an abort"({ here }) {
    const signal = AbortSignal.timeout(50);
    const request = client.text({ url: `${here}/silent`, signal });
    await rejects(request, "timeout", /the caller's timeout expired$/);
  },

  async "an error repeats the message of the server"({ here }) {
    await rejects(client.text({ url: `${here}/none` }), "not-found", /HTTP 404: no such path; /);
  },
};
