/**
 * Makes a trace of each attempt to deploy a version, from its events: a span per phase, and one per remote call in the
 * phase in which it happened. The code that deploys knows nothing of it.
 *
 * @module
 */
import type { Attributes, Context, Span, Tracer } from "@opentelemetry/api";
import type { Clock } from "../core/clock.ts";
import type { DewyError } from "../core/error.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import type { Operator } from "../core/operator.ts";
import type { Redact } from "../core/secret.ts";

export interface DeployTraceOptions {
  tracer: Tracer;
  api: typeof import("@opentelemetry/api");
  clock: Pick<Clock, "now">;
  redact: Redact;
  /** Of every root span. */
  attributes?: Attributes;
}

type EventOf<T extends DewyEvent["type"]> = Extract<DewyEvent, { type: T }>;
type Handler = (event: DewyEvent, at: number) => void;

/** How an attempt has ended, as in the history. */
type Outcome =
  | "deployed"
  | "failed"
  | "rolled-back"
  | "superseded"
  | "given-up"
  /** dewy stopped, or the attempt ended without an event. */
  | "interrupted";

interface OpenSpan {
  span: Span;
  /** The parent of its children. */
  context: Context;
}

interface Attempt extends OpenSpan {
  phase: (OpenSpan & { name: string }) | undefined;
  /** Since when the version is rolled back. */
  failedAt: number | undefined;
  hasVerified: boolean;
  outcome: Outcome | undefined;
}

/** Calls of a poll that wait for the decision whether it deploys. */
const MAX_CALLS = 200;
/** Attempts that are under way; an older one has ended without an event. */
const MAX_ATTEMPTS = 8;

export class DeployTraces {
  readonly #options: DeployTraceOptions;
  readonly #attempts = new Map<string, Attempt>();
  /** The last attempt that has ended, for the hook that may run after it. */
  #ended: { tag: string; context: Context } | undefined;
  /** The calls since the last poll or command: of the phase `resolve`, if they lead to a deploy. */
  #calls: { event: EventOf<"request">; at: number }[] = [];
  /** The command of an operator that has not ended yet; a rollback has a trace of its own. */
  #order: { command: string; operator: Operator; rollback: OpenSpan | undefined } | undefined;

  constructor(options: DeployTraceOptions) {
    this.#options = options;
  }

  /** The id of the trace to which an event about a version belongs; `undefined` if there is none or it is not sampled. */
  traceIdOf(tag: string): string | undefined {
    const { span } = this.#attempts.get(tag) ?? this.#order?.rollback ?? {};
    const context = span?.spanContext();
    const { SAMPLED } = this.#options.api.TraceFlags;
    return context !== undefined && context.traceFlags & SAMPLED ? context.traceId : undefined;
  }

  readonly sink: EventSink = (event) => {
    const handle = this.#handlers[event.type] as Handler | undefined;
    handle?.(event, this.#options.clock.now());
  };

  readonly #handlers: { [T in DewyEvent["type"]]?: (event: EventOf<T>, at: number) => void } = {
    ordered: ({ command, operator }, at) => {
      this.#calls = [];
      const rollback = command.startsWith("rollback")
        ? this.#beginRollback(operator, at)
        : undefined;
      this.#order = { command, operator, rollback };
    },
    refused: ({ command }) => {
      if (this.#order?.command === command) this.#order = undefined;
    },
    polled: () => {
      this.#calls = [];
    },
    request: (event, at) => this.#called(event, at),
    retry: (event, at) => this.#retried(event, at),
    "phase-started": (event, at) => this.#beginPhase(event, at),
    phase: ({ tag }, at) => this.#endPhase(tag, at),
    "phase-failed": (event, at) => this.#failPhase(event, at),
    hook: (event, at) => this.#hooked(event, at),
    downloaded: (event, at) => {
      const { artifact, bytes, resumedFrom } = event;
      this.#timed(event, at, "download", {
        "dewy.artifact": artifact,
        "dewy.bytes": bytes,
        "dewy.resumed_from_bytes": resumedFrom === 0 ? undefined : resumedFrom,
      });
    },
    extracted: (event, at) => {
      const { entries, bytes } = event;
      this.#timed(event, at, "extract", { "dewy.entries": entries, "dewy.bytes": bytes });
    },
    "image-pulled": (event, at) => this.#timed(event, at, "pull", { "dewy.image": event.image }),
    "generation-ready": (event, at) => {
      const { generation, pid } = event;
      this.#timed(event, at, "get ready", { "dewy.generation": generation, "process.pid": pid });
    },
    "replica-ready": (event, at) => {
      this.#timed(event, at, "get ready", { "container.name": event.container });
    },
    deployed: ({ tag, previousTag, operator }, at) => {
      this.#end(tag, "deployed", at, {
        "dewy.previous_tag": previousTag,
        "dewy.operator": operator?.user,
      });
    },
    superseded: ({ tag, by }, at) => {
      this.#end(tag, "superseded", at, { "dewy.superseded_by": by });
    },
    "given-up": ({ tag, reason }, at) => this.#end(tag, "given-up", at, { "dewy.reason": reason }),
    "rolled-back": (event, at) => this.#rolledBack(event, at),
    failed: (event, at) => this.#failed(event, at),
  };

  /** Ends what is under way, because dewy stops. */
  close(): void {
    const at = this.#options.clock.now();
    for (const tag of this.#attempts.keys()) this.#end(tag, "interrupted", at);
  }

  #called(event: EventOf<"request">, at: number): void {
    if (event.isNotification) return;
    // Polls go on while a version bakes: their calls are not part of its deploy.
    const attempt = [...this.#attempts.values()].findLast(isCalling);
    if (attempt !== undefined) {
      this.#callSpan(event, at, attempt.phase?.context ?? attempt.context);
      return;
    }
    this.#calls.push({ event, at });
    if (this.#calls.length > MAX_CALLS) this.#calls.shift();
  }

  #callSpan(event: EventOf<"request">, at: number, parent: Context): void {
    const { method, url, status, durationMs, attempt } = event;
    const { hostname, port } = URL.canParse(url) ? new URL(url) : { hostname: "", port: "" };
    const hasFailed = status === undefined || status >= 400;
    // https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
    const { span } = this.#start(method, at - durationMs, parent, {
      "http.request.method": method,
      "url.full": url,
      "server.address": hostname,
      "server.port": port === "" ? undefined : Number(port),
      "http.response.status_code": status,
      "http.request.resend_count": attempt > 1 ? attempt - 1 : undefined,
      "error.type": hasFailed ? String(status ?? "network") : undefined,
    });
    if (hasFailed) span.setStatus({ code: this.#options.api.SpanStatusCode.ERROR });
    span.end(new Date(at));
  }

  #retried({ reason, delayMs, attempt, isNotification }: EventOf<"retry">, at: number): void {
    if (isNotification) return;
    const calling = [...this.#attempts.values()].findLast(isCalling);
    const attributes = { "dewy.reason": reason, "dewy.delay_ms": delayMs, "dewy.attempt": attempt };
    calling?.phase?.span.addEvent("retry", this.#plain(attributes), new Date(at));
  }

  #beginPhase({ phase, tag }: EventOf<"phase-started">, at: number): void {
    // An earlier attempt was given up without an event.
    if (phase === "stage") this.#end(tag, "interrupted", at);
    const attempt = this.#attempts.get(tag) ?? this.#begin(tag, at, isFirst(phase));
    this.#endPhase(tag, at);
    const name = phase === "verify" && attempt.hasVerified ? "bake" : phase;
    if (phase === "verify") attempt.hasVerified = true;
    attempt.phase = { name, ...this.#start(name, at, attempt.context, { "dewy.phase": phase }) };
  }

  #begin(tag: string, at: number, isNew: boolean): Attempt {
    const calls = isNew ? this.#calls : [];
    this.#calls = [];
    const starts = calls.map((call) => call.at - call.event.durationMs);
    const startedAt = Math.min(at, ...starts);
    const order = this.#order;
    const isOrdered = order !== undefined && order.command === `deploy ${tag}`;
    const root = this.#start("deploy", startedAt, this.#options.api.ROOT_CONTEXT, {
      ...this.#options.attributes,
      "dewy.tag": tag,
      "dewy.operator": isOrdered ? order.operator.user : undefined,
      // An earlier process has begun it.
      "dewy.resumed": isNew ? undefined : true,
    });
    if (calls.length > 0) {
      const resolve = this.#start("resolve", startedAt, root.context, { "dewy.phase": "resolve" });
      for (const call of calls) this.#callSpan(call.event, call.at, resolve.context);
      resolve.span.end(new Date(at));
    }
    const attempt: Attempt = {
      ...root,
      phase: undefined,
      failedAt: undefined,
      hasVerified: false,
      outcome: undefined,
    };
    this.#attempts.set(tag, attempt);
    const [oldest = tag] = this.#attempts.keys();
    if (this.#attempts.size > MAX_ATTEMPTS) this.#end(oldest, "interrupted", at);
    return attempt;
  }

  #endPhase(tag: string, at: number): void {
    const attempt = this.#attempts.get(tag);
    attempt?.phase?.span.end(new Date(at));
    if (attempt !== undefined) attempt.phase = undefined;
  }

  #failPhase({ tag, error }: EventOf<"phase-failed">, at: number): void {
    const attempt = this.#attempts.get(tag);
    if (attempt === undefined) return;
    const isGivenUp = error.code === "aborted";
    if (attempt.phase !== undefined && !isGivenUp) this.#record(error, attempt.phase.span, at);
    this.#endPhase(tag, at);
    attempt.failedAt = at;
  }

  #hooked({ tag, result }: EventOf<"hook">, at: number): void {
    const attempt = this.#attempts.get(tag);
    const late = this.#ended?.tag === tag ? this.#ended.context : undefined;
    const parent = attempt?.phase?.context ?? attempt?.context ?? late;
    if (parent === undefined) return;
    const { when, exitCode, durationMs, timedOut } = result;
    const { span } = this.#start(`${when}-deploy hook`, at - durationMs, parent, {
      "dewy.hook": when,
      "process.exit.code": exitCode ?? undefined,
      "dewy.timed_out": timedOut || undefined,
    });
    if (exitCode !== 0) span.setStatus({ code: this.#options.api.SpanStatusCode.ERROR });
    span.end(new Date(at));
  }

  /** Of events that give their own duration. */
  #timed(
    { tag, durationMs }: { tag: string; durationMs: number },
    at: number,
    name: string,
    attributes: Loose,
  ): void {
    const parent = this.#attempts.get(tag)?.phase?.context;
    if (parent === undefined) return;
    this.#start(name, at - durationMs, parent, attributes).span.end(new Date(at));
  }

  #rolledBack({ tag, to, operator }: EventOf<"rolled-back">, at: number): void {
    if (operator !== undefined) {
      this.#movedBack(tag, to, operator, at);
      return;
    }
    const attempt = this.#attempts.get(tag);
    if (attempt === undefined) return;
    attempt.outcome = "rolled-back";
    const attributes = { "dewy.rolled_back_to": to };
    attempt.span.setAttributes(this.#plain(attributes));
    const startedAt = attempt.failedAt ?? at;
    this.#start("rollback", startedAt, attempt.context, attributes).span.end(new Date(at));
  }

  /** Of an operator: it deploys the version that it returns to. If it is refused, the span never ends. */
  #beginRollback(operator: Operator, at: number): OpenSpan {
    return this.#start("rollback", at, this.#options.api.ROOT_CONTEXT, {
      ...this.#options.attributes,
      "dewy.operator": operator.user,
    });
  }

  #movedBack(tag: string, to: string, operator: Operator, at: number): void {
    // An earlier process may have accepted the command.
    const { span, context } = this.#order?.rollback ?? this.#beginRollback(operator, at);
    this.#order = undefined;
    this.#finish(span, "deployed", at, { "dewy.tag": to, "dewy.previous_tag": tag });
    this.#ended = { tag: to, context };
  }

  #failed({ tag, error, retryInMs }: EventOf<"failed">, at: number): void {
    if (tag === undefined) return;
    const attempt = this.#attempts.get(tag);
    if (attempt === undefined) {
      const rollback = this.#order?.rollback;
      if (rollback === undefined) return;
      this.#order = undefined;
      this.#record(error, rollback.span, at);
      this.#finish(rollback.span, "failed", at, { "dewy.tag": tag });
      return;
    }
    if (attempt.phase !== undefined) this.#record(error, attempt.phase.span, at);
    this.#record(error, attempt.span, at);
    this.#end(tag, attempt.outcome ?? "failed", at, { "dewy.retry_in_ms": retryInMs });
  }

  #end(tag: string, outcome: Outcome, at: number, attributes: Loose = {}): void {
    const attempt = this.#attempts.get(tag);
    if (attempt === undefined) return;
    this.#endPhase(tag, at);
    this.#attempts.delete(tag);
    if (this.#order?.command === `deploy ${tag}`) this.#order = undefined;
    this.#ended = { tag, context: attempt.context };
    this.#finish(attempt.span, outcome, at, attributes);
  }

  #finish(span: Span, outcome: Outcome, at: number, attributes: Loose): void {
    const ending = { "dewy.outcome": outcome, "deployment.status": STATUSES[outcome] };
    span.setAttributes(this.#plain({ ...attributes, ...ending }));
    span.end(new Date(at));
  }

  #record(error: DewyError, span: Span, at: number): void {
    const message = this.#options.redact(error.message);
    span.recordException({ name: error.name, code: error.code, message }, new Date(at));
    span.setAttributes({ "error.type": error.code, "dewy.fault": error.fault });
    span.setStatus({ code: this.#options.api.SpanStatusCode.ERROR, message });
  }

  #start(name: string, at: number, parent: Context, attributes: Loose): OpenSpan {
    const { tracer, api } = this.#options;
    const isCall = "http.request.method" in attributes;
    const kind = isCall ? api.SpanKind.CLIENT : api.SpanKind.INTERNAL;
    const options = { startTime: new Date(at), kind, attributes: this.#plain(attributes) };
    const span = tracer.startSpan(name, options, parent);
    return { span, context: api.trace.setSpan(parent, span) };
  }

  /** Without the secrets, and without what is not known. */
  #plain(attributes: Loose): Attributes {
    const { redact } = this.#options;
    return Object.fromEntries(
      Object.entries(attributes)
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [name, typeof value === "string" ? redact(value) : value]),
    );
  }
}

type Loose = Readonly<Record<string, Attributes[string]>>;

/** https://opentelemetry.io/docs/specs/semconv/registry/attributes/deployment/ */
const STATUSES: Readonly<Record<Outcome, "succeeded" | "failed" | undefined>> = {
  deployed: "succeeded",
  failed: "failed",
  "rolled-back": "failed",
  superseded: undefined,
  "given-up": undefined,
  interrupted: undefined,
};

function isCalling({ phase, failedAt }: Attempt): boolean {
  return failedAt !== undefined || (phase !== undefined && phase.name !== "bake");
}

/** A deploy begins with one of these, unless an earlier process has begun it. */
function isFirst(phase: string): boolean {
  return phase === "stage" || phase === "before";
}
