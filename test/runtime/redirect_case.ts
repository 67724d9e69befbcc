// What dewy's client has to get right with the fetch of every runtime: secrets at redirects, and
// bodies that end early.

import { systemClock } from "../../src/core/clock.ts";
import { createHttpClient, type HttpClient } from "../../src/http/client.ts";
import { openRange } from "../../src/http/range.ts";
import { equal, rejects } from "./check.ts";

const SECRETS = {
  authorization: "Bearer secret",
  cookie: "session=secret",
  "x-amz-security-token": "secret",
  "x-amz-date": "20260101T000000Z",
  "x-github-api-version": "2022-11-28",
  "x-private": "secret",
};
const HARMLESS = { accept: "application/octet-stream", range: "bytes=0-" };

interface Echo {
  method: string;
  headers: Record<string, string>;
}

/**
 * Runs all checks with a runtime's fetch and returns their names. Throws if one fails. `here` and
 * `there`, both `http://127.0.0.1:<port>`, are servers of test/fakes/handler_echo.ts: two origins.
 */
export async function redirectCase(
  fetch: typeof globalThis.fetch,
  here: string,
  there: string,
): Promise<string[]> {
  const http = createHttpClient({ fetch, clock: systemClock, emit: () => {}, retries: 0 });
  const passed: string[] = [];
  for (const [name, check] of Object.entries(checks)) {
    await check(http, here, there);
    passed.push(name);
  }
  return passed;
}

const checks: Record<string, (http: HttpClient, here: string, there: string) => Promise<void>> = {
  async "every header reaches the origin it was meant for"(http, here) {
    const url = `${here}/redirect?to=/echo`;
    const { headers } = (await http.json({ url, headers: { ...SECRETS, ...HARMLESS } })) as Echo;
    for (const [name, value] of Object.entries({ ...SECRETS, ...HARMLESS })) {
      equal(headers[name], value, name);
    }
  },

  async "no private header follows to another origin"(http, here, there) {
    for (const status of [301, 302, 303, 307, 308]) {
      const url = `${here}/redirect?status=${status}&to=${encodeURIComponent(`${there}/echo`)}`;
      const { headers } = (await http.json({ url, headers: { ...SECRETS, ...HARMLESS } })) as Echo;
      for (const name of Object.keys(SECRETS)) equal(headers[name], undefined, `${status} ${name}`);
      for (const [name, value] of Object.entries(HARMLESS)) equal(headers[name], value, name);
    }
  },

  async "private headers do not come back with a second redirect"(http, here, there) {
    const back = `${there}/redirect?to=${encodeURIComponent(`${here}/echo`)}`;
    const url = `${here}/redirect?to=${encodeURIComponent(back)}`;
    const { headers } = (await http.json({ url, headers: SECRETS })) as Echo;
    for (const name of Object.keys(SECRETS)) equal(headers[name], undefined, name);
  },

  async "a redirect is returned, not followed, if the request says so"(http, here) {
    const answer = await http.send({ url: `${here}/redirect?to=/echo`, redirect: "manual" });
    equal(answer.status, 302, "status");
    equal(answer.headers.get("location"), "/echo", "location");
    await answer.body?.cancel();
  },

  async "a loop of redirects ends"(http, here) {
    await rejects(http.text({ url: `${here}/redirect?to=` }), "remote", "loop");
  },

  async "a body that ends early is an error"(http, here) {
    await rejects(http.text({ url: `${here}/short` }), "remote", "text");
    const streamed = http.send({ url: `${here}/short` }).then((answer) => answer.arrayBuffer());
    await rejects(streamed, "remote", "stream");
  },

  async "the length of a compressed body is not checked"(http, here) {
    equal((await http.text({ url: `${here}/gzip` })).text, "z", "text");
  },

  async "a download resumes where it stopped"(http, here) {
    const rest = await openRange(http, { url: `${here}/range` }, { offset: 4 });
    equal(await new Response(rest).text(), "456789", "rest");
  },

  async "a refused connection is a DewyError"(http) {
    await rejects(http.text({ url: "http://127.0.0.1:1/" }), "remote", "refused");
  },
};
