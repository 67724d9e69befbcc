import { expect, test, vi } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import {
  AbortedError,
  ConfigError,
  CredentialError,
  RemoteError,
} from "../../../src/core/error.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import { prometheusCheck } from "../../../src/fleet/check/prometheus.ts";
import type { CheckAnswer } from "../../../src/fleet/check/types.ts";
import { fakeClock } from "../../fakes/clock.ts";
import { serveFetch } from "../../fakes/serve.ts";
import { missingPrometheus, startPrometheus, USER } from "../../peers/prometheus.ts";

const WAVE = { tag: "v1.3.0", wave: 1, hosts: ["web1", "web2"] };
const URL = "https://prometheus.test";

interface Setting {
  url?: string;
  query?: string;
  env?: Record<string, string>;
  fetch?: typeof fetch;
  emit?: (event: DewyEvent) => void;
  clock?: typeof systemClock;
  signal?: AbortSignal;
}

async function ask(setting: Setting = {}): Promise<CheckAnswer> {
  const { signal = new AbortController().signal, ...options } = setting;
  const check = prometheusCheck({
    url: URL,
    query: "up",
    env: {},
    fetch,
    emit: () => {},
    clock: systemClock,
    ...options,
  });
  return await check(WAVE, signal);
}

/** Asks a server that answers with this. */
function asked(data: unknown, status = 200): Promise<CheckAnswer> {
  return ask({ fetch: async () => Response.json({ status: "success", data }, { status }) });
}

function vector(...values: string[]): Promise<CheckAnswer> {
  const result = values.map((value, index) => ({
    metric: { __name__: "ok", instance: `web${index + 1}` },
    value: [1_767_323_045.678, value],
  }));
  return asked({ resultType: "vector", result });
}

function scalar(value: string): Promise<CheckAnswer> {
  return asked({ resultType: "scalar", result: [1_767_323_045, value] });
}

test("results other than 0 are healthy", async () => {
  for (const value of ["1", "0.5", "-1", "+Inf", "1e-300"]) {
    expect(await vector(value), value).toEqual({ ok: true });
    expect(await scalar(value), value).toEqual({ ok: true });
  }
  expect(await vector("1", "2")).toEqual({ ok: true });
});

test("no result, 0 and NaN are not", async () => {
  expect(await vector()).toEqual({
    ok: false,
    reason: "Prometheus: the expression has no result",
  });
  expect(await vector("1", "0", "NaN")).toEqual({
    ok: false,
    reason:
      'Prometheus: 2 of 3 results are 0 or NaN, such as {__name__="ok", instance="web2"} with 0',
  });
  for (const value of ["0", "-0", "0.0"]) {
    expect(await scalar(value), value).toEqual({
      ok: false,
      reason: "Prometheus: the expression is 0",
    });
  }
  expect(await scalar("NaN")).toEqual({ ok: false, reason: "Prometheus: the expression is NaN" });
});

test("a result that is not a number gives no answer", async () => {
  const range = { resultType: "matrix", result: [] };
  await expect(asked(range)).rejects.toThrow(
    "Cannot use --prometheus-query: its result is a range of times; expected numbers, as of min(up)",
  );
  const text = { resultType: "string", result: [1, "a"] };
  await expect(asked(text)).rejects.toThrow("its result is a text");
  const histogram = { metric: {}, histogram: [1, { count: "1" }] };
  const histograms = { resultType: "vector", result: [histogram] };
  await expect(asked(histograms)).rejects.toThrow("its result is a histogram");
});

test("another server gives no answer", async () => {
  await expect(ask({ fetch: async () => new Response("<html>") })).rejects.toThrow(
    "the response is not JSON",
  );
  await expect(asked({ resultType: "vector", result: [{ value: [1, 1] }] })).rejects.toThrow(
    /^Cannot read the answer of https:\/\/prometheus.test\/api\/v1\/query: data\.result.* check --prometheus-url$/,
  );
  await expect(asked(undefined, 404)).rejects.toThrow(
    "check --prometheus-url: /api/v1/query must follow it",
  );
  await expect(asked(undefined, 403)).rejects.toThrow(CredentialError);
});

test("the URL may have a path, with or without a slash at its end", async () => {
  const urls: string[] = [];
  const remember: typeof fetch = async (url) => {
    urls.push(String(url));
    return Response.json({ data: { resultType: "scalar", result: [1, "1"] } });
  };
  await ask({ url: `${URL}/tenant-a/`, query: 'a{b="{{tag}}"} > bool 1', fetch: remember });
  expect(urls).toEqual([
    `${URL}/tenant-a/api/v1/query?query=${encodeURIComponent('a{b="v1.3.0"}').replaceAll("%20", "+")}+%3E+bool+1`,
  ]);
});

test.each([
  { url: "prometheus:9090" },
  { url: "https://me:pw@prometheus.test" },
  { url: `${URL}?a=b` },
  { url: "file:///etc" },
])("an address that cannot be used is refused: $url", async ({ url }) => {
  const refused = ask({ url });
  await expect(refused).rejects.toThrow(ConfigError);
  await expect(refused).rejects.toThrow("Invalid value for --prometheus-url");
  await expect(refused).rejects.not.toThrow("pw@");
});

const TOKEN = { DEWY_PROMETHEUS_TOKEN: "token-of-prometheus" };
const PASSWORD = { DEWY_PROMETHEUS_USERNAME: "me", DEWY_PROMETHEUS_PASSWORD: "pä" };

test("credentials come from the environment", async () => {
  const sent = async (env: Record<string, string>): Promise<unknown> => {
    let headers = new Headers();
    const remember: typeof fetch = async (_, init) => {
      headers = new Headers(init?.headers);
      return Response.json({ data: { resultType: "scalar", result: [1, "1"] } });
    };
    await ask({ env, fetch: remember });
    return headers.get("authorization");
  };
  expect(await sent({})).toBe(null);
  expect(await sent(TOKEN)).toBe("Bearer token-of-prometheus");
  expect(await sent(PASSWORD)).toBe("Basic bWU6cMOk");
});

test.each([
  [{ ...TOKEN, ...PASSWORD }, "Cannot use both DEWY_PROMETHEUS_TOKEN and DEWY_PROMETHEUS_USERNAME"],
  [{ DEWY_PROMETHEUS_USERNAME: "me" }, "without DEWY_PROMETHEUS_PASSWORD"],
  [{ DEWY_PROMETHEUS_PASSWORD: "pw" }, "without DEWY_PROMETHEUS_USERNAME"],
  [{ DEWY_PROMETHEUS_TOKEN: "a b" }, "Cannot use DEWY_PROMETHEUS_TOKEN: it has spaces"],
])("credentials that cannot be used are refused: %j", async (env, message) => {
  await expect(ask({ env })).rejects.toThrow(message);
});

test("credentials without encryption cause a warning, except on this machine", async () => {
  const warnings = async (url: string): Promise<string[]> => {
    const events: DewyEvent[] = [];
    const answer: typeof fetch = async () =>
      Response.json({ data: { resultType: "scalar", result: [1, "1"] } });
    await ask({ url, env: TOKEN, fetch: answer, emit: (event) => events.push(event) });
    return events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
  };
  expect(await warnings("http://prometheus.test")).toEqual([
    "Credentials for Prometheus are sent without encryption",
  ]);
  expect(await warnings(URL)).toEqual([]);
  expect(await warnings("http://127.0.0.1:9090")).toEqual([]);
});

test("a server that is down for a moment is asked again; one that stays down gives no answer", async () => {
  const clock = fakeClock({ skipUpTo: 29_999 });
  let calls = 0;
  const down: typeof fetch = async () => {
    calls += 1;
    if (calls === 3) return Response.json({ data: { resultType: "scalar", result: [1, "1"] } });
    return new Response("busy", { status: 503 });
  };
  expect(await ask({ fetch: down, clock })).toEqual({ ok: true });
  const refused = ask({ fetch: async () => new Response("busy", { status: 503 }), clock });
  await expect(refused).rejects.toThrow(RemoteError);
});

test("a server that does not answer gives no answer after half a minute", async () => {
  const clock = fakeClock();
  const silent: typeof fetch = () => new Promise(() => {});
  const failure = ask({ fetch: silent, clock }).catch((error: unknown) => error);
  await clock.sleeping(30_000);
  clock.advance(30_000);
  expect(await failure).toMatchObject({
    code: "timeout",
    message: "Cannot reach Prometheus at prometheus.test: no result within 30 s",
  });
});

test("an abort ends the question", async () => {
  const stop = new AbortController();
  let isAsked = false;
  const silent: typeof fetch = () => {
    isAsked = true;
    return new Promise(() => {});
  };
  const failure = ask({ fetch: silent, signal: stop.signal }).catch((error: unknown) => error);
  await vi.waitUntil(() => isAsked);
  stop.abort();
  expect(await failure).toBeInstanceOf(AbortedError);
});

const noPrometheus = missingPrometheus();

test.skipIf(noPrometheus !== undefined)(
  `a real Prometheus answers${noPrometheus ?? ""}`,
  async () => {
    const metrics = [
      'app_healthy{version="v1.2.0",instance_name="old"} 0',
      'app_healthy{version="v1.3.0",instance_name="web1"} 1',
      'app_healthy{version="v1.3.0",instance_name="web2"} 1',
      'app_healthy{version="v1.4.0",instance_name="web3"} 0',
      'app_requests_total{version="v1.3.0"} 0',
      'app_errors_total{version="v1.3.0"} 0',
    ];
    const app = await serveFetch(
      () => new Response(`${metrics.join("\n")}\n`, { headers: { "content-type": "text/plain" } }),
    );
    const { url, query } = await startPrometheus([app.url.slice("http://".length)], {
      isProtected: true,
    });
    await vi.waitUntil(async () => (await query("app_healthy")).length === 4, { timeout: 30_000 });
    const env = {
      DEWY_PROMETHEUS_USERNAME: USER.name,
      DEWY_PROMETHEUS_PASSWORD: USER.password,
    };
    const answer = (query: string): Promise<CheckAnswer> => ask({ url, env, query });
    const healthy = 'app_healthy{version="{{tag}}", instance_name=~"{{hosts}}"}';
    expect(await answer(healthy)).toEqual({ ok: true });
    expect(await answer(`count(${healthy}) == bool 2`)).toEqual({ ok: true });
    expect(await answer(`scalar(min(${healthy}))`)).toEqual({ ok: true });
    expect(await answer("app_healthy")).toMatchObject({
      reason: expect.stringMatching(
        /^Prometheus: 2 of 4 results are 0 or NaN, such as \{.*version=/,
      ),
    });
    expect(await answer("absent(app_healthy)")).toMatchObject({
      reason: "Prometheus: the expression has no result",
    });
    const [errors, requests] = ["errors", "requests"].map(
      (name) => `sum(app_${name}_total{version="{{tag}}"})`,
    );
    expect(await answer(`${errors} / ${requests} < bool 0.01`)).toMatchObject({ ok: false });
    expect(await answer(`${errors} / ${requests}`)).toMatchObject({
      reason: "Prometheus: the expression is NaN",
    });
    expect(await answer(`${errors} <= bool 0.01 * ${requests}`)).toEqual({ ok: true });
    await expect(answer("sum(")).rejects.toThrow(
      /^Cannot evaluate --prometheus-query: .*parse error/,
    );
    await expect(answer("app_healthy[5m]")).rejects.toThrow("its result is a range of times");
    const wrong = { ...env, DEWY_PROMETHEUS_PASSWORD: "wrong" };
    await expect(ask({ url, env: wrong })).rejects.toThrow(CredentialError);
    await expect(ask({ url, env: wrong })).rejects.not.toThrow(/wrong"|d3Jvbmc/);
    await app.close();
  },
);
