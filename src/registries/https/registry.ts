import { CredentialError, type DewyError, RemoteError } from "../../core/error.ts";
import { printable, shorten } from "../../core/text.ts";
import { joinSignals } from "../../core/timeout.ts";
import type { Candidates, Registry, Resolution } from "../../core/types.ts";
import { redactUrl } from "../../core/url.ts";
import {
  createHttpClient,
  type HttpFailure,
  type HttpRequest,
  type HttpText,
} from "../../http/client.ts";
import { parseJson, parseSchema } from "../../http/json.ts";
import { normalizePlatform } from "../../platform/platform.ts";
import { formatPlatformSegment } from "../../platform/platform_segment.ts";
import { type AnswerContext, explainAnswer, resolveAnswer } from "../answered/answer.ts";
import type { AnsweredFile } from "../answered/artifact.ts";
import { openAnswered } from "../answered/open.ts";
import type { RegistryContext } from "../driver.ts";
import {
  answerSchema,
  CONTRACT_VERSION,
  type FileBody,
  type ReadAnswer,
  type ReportBody,
} from "./contract.ts";
import { type HttpsLocator, TOKEN_VARIABLE } from "./locator.ts";

const MAX_BYTES = 4 * 1024 * 1024;
const MAX_MESSAGE = 2_000;
const HINT = "is this the URL of a handler? See docs/handler.md";

/** Opens a handler. An unchanged answer is not sent again: polls are conditional. */
export function openHttps(locator: HttpsLocator, io: RegistryContext): Registry {
  const { base, allow = [] } = locator;
  const origin = new URL(base);
  const isPlain = origin.protocol === "http:";
  const target = `${origin.hostname}:${origin.port || (isPlain ? 80 : 443)}`;
  const rules = { target, allow, isPlain, registries: io.registries ?? {} };
  const platform = normalizePlatform(io.platform);
  const client = new HandlerClient(locator, io);

  return {
    async resolve({ exclude, explain, onTag, signal: asked, since, tag: wanted } = {}) {
      const signal = joinSignals(asked, io.signal);
      const question = `?platform=${formatPlatformSegment(platform)}`;
      const explained = explain
        ? await client.ask(`/explain${question}`, signal, [404])
        : undefined;
      const answer = explained ?? (await client.ask(`/latest${question}`, signal));
      if (answer === undefined) throw new TypeError("a 404 is accepted for explanations only");
      const now = io.clock.now();
      const context = { locator, rules, platform, now, exclude, since, wanted };
      const resolution = resolutionOf(answer, `${base}/latest`, context);
      const tags = answer.tags?.map(({ tag }) => tag) ?? (answer.tag === "" ? [] : [answer.tag]);
      for (const tag of tags) onTag?.(tag);
      if (!explain) return resolution;
      const own = explainAnswer(locator, platform, resolution);
      return { ...resolution, explanation: wanted === undefined ? candidatesOf(answer, own) : own };
    },
    open: (artifact, options = {}) =>
      openAnswered(artifact, rules, io, options, (url) => client.headersFor(url)),
    async report({ id, tag, command, host, at, error }, options = {}) {
      const body = { id, tag, command, host, at: at.toISOString(), error };
      await client.report(
        { schema: CONTRACT_VERSION, ...body },
        joinSignals(options.signal, io.signal),
      );
    },
  };
}

/** Reasons of this side, whatever the handler says. */
const FINAL: readonly string[] = ["filtered", "unknown-tag", "unchanged"];

function resolutionOf(answer: ReadAnswer, url: string, context: AnswerContext): Resolution {
  const { kind, id, tag, reason, message } = answer;
  const createdAt = answer.createdAt === undefined ? undefined : new Date(answer.createdAt);
  const resolve = (file: FileBody): AnsweredFile => ({
    ...file,
    url: absolute(file.url, url),
  });
  const artifact = kind === "ready" && answer.artifact ? resolve(answer.artifact) : undefined;
  const files = answer.files?.map(resolve);
  const chosen = resolveAnswer({ id, tag, artifact, files, createdAt }, context);
  if (chosen.kind === "ready" || FINAL.includes(chosen.reason)) return chosen;
  const why = message === undefined ? undefined : readable(message);
  if (kind === "pending" && tag !== "") {
    return { kind, tag, reason: "artifact-missing", since: createdAt, message: why };
  }
  return {
    kind: "none",
    reason: reason ?? chosen.reason,
    tag: tag || undefined,
    message: why ?? chosen.message ?? "the handler has nothing to deploy",
  };
}

/** A relative address is below that of the answer; others are checked where they are used. */
function absolute(url: string, base: string): string {
  return /^[a-z][a-z\d+.-]*:/i.test(url) || !URL.canParse(url, base)
    ? url
    : new URL(url, base).href;
}

function candidatesOf({ tags, artifacts = [] }: ReadAnswer, own: Candidates): Candidates {
  if (tags === undefined) return own;
  return {
    ...own,
    tags: tags.map((one) => ({ ...one, tag: readable(one.tag), reason: readable(one.reason) })),
    artifacts: artifacts.map((one) => ({
      ...one,
      name: readable(one.name),
      reason: readable(one.reason),
    })),
  };
}

/** What a handler says ends up on terminals. */
function readable(text: string): string {
  return shorten(printable(text), MAX_MESSAGE);
}

interface Remembered {
  etag: string;
  answer: ReadAnswer;
}

class HandlerClient {
  readonly #base: string;
  readonly #io: RegistryContext;
  readonly #token: string | undefined;
  readonly #remembered = new Map<string, Remembered>();
  /** A shared cache in front of a handler does not store what was asked for with a token. */
  #needsToken = false;

  constructor({ base }: HttpsLocator, io: RegistryContext) {
    this.#base = base;
    this.#io = io;
    this.#token = io.token ?? io.env[TOKEN_VARIABLE];
  }

  /** The headers of a request for an artifact. */
  headersFor(url: URL): Readonly<Record<string, string>> {
    return this.#needsToken && url.origin === new URL(this.#base).origin ? this.#bearer() : {};
  }

  async ask(
    path: string,
    signal: AbortSignal | undefined,
    missing: readonly number[] = [],
  ): Promise<ReadAnswer | undefined> {
    const url = this.#base + path;
    const known = this.#remembered.get(path);
    const condition = known && { "if-none-match": known.etag };
    const { status, headers, text } = await this.#send(
      { url, headers: { accept: "application/json", ...condition }, maxBytes: MAX_BYTES, signal },
      [304, ...missing],
    );
    if (missing.includes(status)) return undefined;
    if (status === 304 && known !== undefined) return known.answer;
    const answer = readAnswer(text, url);
    const etag = headers.get("etag");
    if (etag === null) this.#remembered.delete(path);
    else this.#remembered.set(path, { etag, answer });
    return answer;
  }

  /** Does nothing without a token, because a handler accepts reports only with one. */
  async report(body: ReportBody, signal: AbortSignal | undefined): Promise<void> {
    if (this.#token === undefined) return;
    const headers = { "content-type": "application/json", ...this.#bearer() };
    const url = `${this.#base}/report`;
    const text = JSON.stringify(body);
    await this.#text({ url, method: "POST", headers, body: text, idempotent: true, signal });
  }

  /** Sends the token only where the handler asks for it. */
  async #send(request: HttpRequest, accept: readonly number[]): Promise<HttpText> {
    if (this.#token !== undefined && !this.#needsToken) {
      const open = await this.#text({ ...request, accept: [401, ...accept] });
      if (open.status !== 401) return open;
      this.#needsToken = true;
    }
    const headers = { ...request.headers, ...(this.#needsToken && this.#bearer()) };
    return this.#text({ ...request, headers, accept });
  }

  #bearer(): Record<string, string> {
    return this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
  }

  #text(request: HttpRequest): Promise<HttpText> {
    return createHttpClient(this.#io).text({ ...request, redirect: "error", toError: refusal });
  }
}

function readAnswer(text: string, url: string): ReadAnswer {
  const shown = redactUrl(url);
  const fail = (problem: string): RemoteError =>
    new RemoteError(`Cannot read ${shown}: ${problem}; ${HINT}`, { method: "GET", url: shown });
  const body = parseJson(text, url, HINT);
  const { schema } = (typeof body === "object" && body !== null ? body : {}) as {
    schema?: unknown;
  };
  if (schema !== CONTRACT_VERSION) {
    throw fail(
      schema === undefined
        ? "schema is missing"
        : `it has version ${printable(JSON.stringify(schema)).slice(0, 20)} of the contract, and this dewy reads version ${CONTRACT_VERSION}`,
    );
  }
  return parseSchema(answerSchema, body, fail);
}

function refusal({ method, url, status }: HttpFailure): DewyError | undefined {
  if (status !== 401 && status !== 403) return undefined;
  return new CredentialError(
    `Cannot ${method} ${url}: HTTP ${status}; the handler does not accept the token; check ${TOKEN_VARIABLE}`,
  );
}
