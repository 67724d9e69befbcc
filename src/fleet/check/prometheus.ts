import * as v from "valibot";
import type { Context } from "../../core/context.ts";
import { type Environment, readVariable } from "../../core/environment.ts";
import { ConfigError, CredentialError, type DewyError, RemoteError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import { shorten } from "../../core/text.ts";
import { TimeoutError, withDeadline } from "../../core/timeout.ts";
import { readBaseUrl, redactUrl } from "../../core/url.ts";
import { createHttpClient, type HttpFailure } from "../../http/client.ts";
import { describeFailure, networkError } from "../../http/errors.ts";
import { parseSchema } from "../../http/json.ts";
import { PASSWORD, TOKEN, USERNAME } from "./environment.ts";
import { expand, readQuery } from "./query.ts";
import type { CheckAnswer, RolloutCheck } from "./types.ts";

export interface PrometheusOptions extends Pick<Context, "fetch" | "clock" | "emit"> {
  /** The address of Prometheus, or of a server with its query API, such as Mimir or Thanos. */
  url: string;
  /** A PromQL expression; see {@link expand}. */
  query: string;
  env: Environment;
}

/** With retries. Prometheus itself gives up after two minutes. */
const TIMEOUT_MS = 30_000;
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_REASON = 300;

/**
 * Evaluates an expression. A wave is healthy if there is a sample, and none is 0 or NaN.
 *
 * @throws {ConfigError} If the URL, the expression's placeholders or the credentials cannot be used.
 */
export function prometheusCheck(options: PrometheusOptions): RolloutCheck {
  const base = readUrl(options.url);
  const query = readQuery(options.query);
  const headers = readCredentials(options, base);
  const client = createHttpClient({ ...options, service: "Prometheus" });
  return async (wave, signal) => {
    const parameters = new URLSearchParams({ query: expand(query, wave) });
    const url = `${base}/api/v1/query?${parameters}`;
    const request = { url, headers, toError, maxBytes: MAX_BYTES };
    const answer = await withDeadline(options.clock, TIMEOUT_MS, signal, (limited) =>
      client.json({ ...request, signal: limited }),
    ).catch((cause: unknown) => {
      if (!(cause instanceof TimeoutError)) throw cause;
      const late = { method: "GET", url: new URL(url), service: "Prometheus", hasResponse: false };
      throw networkError(late, cause);
    });
    return judge(parseSchema(answerSchema, answer, unexpected(base)).data);
  };
}

function readUrl(text: string): string {
  const url = readBaseUrl(text);
  if (url !== undefined) return url;
  throw new ConfigError(
    `Invalid value for --prometheus-url "${redactUrl(text)}": expected an http:// or https:// URL without credentials or query; credentials come from ${TOKEN.name}, or from ${USERNAME.name} and ${PASSWORD.name}`,
  );
}

function readCredentials({ env, emit }: PrometheusOptions, base: string): Record<string, string> {
  const [token, username, password] = [TOKEN, USERNAME, PASSWORD].map((one) =>
    readVariable(env, one),
  );
  if (token === undefined && username === undefined && password === undefined) return {};
  if (token !== undefined && username !== undefined) {
    throw new ConfigError(
      `Cannot use both ${TOKEN.name} and ${USERNAME.name}: Prometheus takes one of them`,
    );
  }
  const { protocol, hostname } = new URL(base);
  if (protocol === "http:" && !isLoopbackHost(hostname)) {
    const message = "Credentials for Prometheus are sent without encryption";
    emit({ type: "warning", message, fields: { url: base, hint: "use https://" } });
  }
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  if (username === undefined || password === undefined) {
    const [missing, present] = username === undefined ? [USERNAME, PASSWORD] : [PASSWORD, USERNAME];
    throw new ConfigError(`Cannot use ${present.name} without ${missing.name}`);
  }
  return { authorization: `Basic ${base64(`${username}:${password}`)}` };
}

/** In UTF-8: https://www.rfc-editor.org/rfc/rfc7617#section-2.1 */
function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview */
function toError(failure: HttpFailure): DewyError | undefined {
  const { status, message } = failure;
  if (status === 400 || status === 422) {
    return new ConfigError(`Cannot evaluate --prometheus-query: ${message}`);
  }
  if (status === 404 || status === 405) {
    return new ConfigError(
      `${describeFailure(failure)}; check --prometheus-url: /api/v1/query must follow it`,
    );
  }
  if (status === 401 || status === 403) {
    return new CredentialError(
      `${describeFailure(failure)}; set ${TOKEN.name}, or ${USERNAME.name} and ${PASSWORD.name}`,
    );
  }
  return undefined;
}

function unexpected(base: string): (problem: string) => RemoteError {
  return (problem) =>
    new RemoteError(
      `Cannot read the answer of ${base}/api/v1/query: ${problem}; check --prometheus-url`,
      { retryable: false },
    );
}

const sample = v.tuple([v.number(), v.string()]);

const answerSchema = v.object({
  data: v.variant("resultType", [
    v.object({
      resultType: v.literal("vector"),
      // A native histogram has no value.
      result: v.array(
        v.object({ metric: v.record(v.string(), v.string()), value: v.optional(sample) }),
      ),
    }),
    v.object({ resultType: v.literal("scalar"), result: sample }),
    v.object({ resultType: v.picklist(["matrix", "string"]) }),
  ]),
});

function judge(data: v.InferOutput<typeof answerSchema>["data"]): CheckAnswer {
  const samples = samplesOf(data);
  const [first, ...others] = samples.filter(({ value }) => Number.isNaN(value) || value === 0);
  if (samples.length === 0) return bad("the expression has no result");
  if (first === undefined) return { ok: true };
  if (samples.length === 1) return bad(`the expression is ${first.value}${first.name}`);
  const count = `${others.length + 1} of ${samples.length} results are 0 or NaN`;
  return bad(`${count}, such as${first.name} with ${first.value}`);
}

function bad(problem: string): CheckAnswer {
  return { ok: false, reason: shorten(`Prometheus: ${problem}`, MAX_REASON) };
}

function samplesOf(data: v.InferOutput<typeof answerSchema>["data"]) {
  switch (data.resultType) {
    case "scalar":
      return [{ name: "", value: numberOf(data.result[1]) }];
    case "vector":
      return data.result.map(({ metric, value }) => {
        if (value === undefined) throw wrongType("a histogram");
        return { name: nameOf(metric), value: numberOf(value[1]) };
      });
    default:
      throw wrongType(data.resultType === "matrix" ? "a range of times" : "a text");
  }
}

function wrongType(type: string): ConfigError {
  return new ConfigError(
    `Cannot use --prometheus-query: its result is ${type}; expected numbers, as of min(up)`,
  );
}

/** `NaN`, `+Inf` and `-Inf` are texts as well. */
function numberOf(text: string): number {
  return text.endsWith("Inf") ? Number.POSITIVE_INFINITY : Number(text);
}

function nameOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return pairs.length === 0 ? "" : ` {${pairs.join(", ")}}`;
}
