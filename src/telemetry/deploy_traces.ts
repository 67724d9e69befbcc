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
  attributes: Attributes;
}

type EventOf<T extends DewyEvent["type"]> = Extract<DewyEvent, { type: T }>;

/** How an attempt has ended, as in the history. */
type Outcome =
  | "deployed"
  | "failed"
  | "rolled-back"
  | "superseded"
  | "given-up"
  /** dewy stopped, or the attempt ended without an event. */
  | "interrupted";

/** https://opentelemetry.io/docs/specs/semconv/registry/attributes/deployment/ */
const STATUSES: Readonly<Partial<Record<Outcome, string>>> = {
  deployed: "succeeded",
  failed: "failed",
  "rolled-back": "failed",
};

interface OpenSpan {
  span: Span;
  /** The parent of its children. */
  context: Context;
}

interface Attempt extends OpenSpan {
  phase?: (OpenSpan & { name: string }) | undefined;
  /** Since when the version is rolled back. */
  failedAt?: number;
  isRolledBack?: boolean;
}

interface Call {
  event: EventOf<"request">;
  /** When it ended. */
  at: number;
}

type Loose = Readonly<Record<string, Attributes[string]>>;

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
  #calls: Call[] = [];
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
    const handle = this.#handlers[event.type] as ((event: DewyEvent) => void) | undefined;
    handle?.(event);
  };

  readonly #handlers: { [T in DewyEvent["type"]]?: (event: EventOf<T>) => void } = {
    ordered: ({ command, operator }) => {
      this.#calls = [];
      const isRollback = command.startsWith("rollback");
      const rollback = isRollback ? this.#beginRollback(operator) : undefined;
      this.#order = { command, operator, rollback };
    },
    refused: ({ command }) => {
      if (this.#order?.command === command) this.#order = undefined;
    },
    polled: () => {
      this.#calls = [];
    },
    request: (event) => this.#called(event),
    retry: (event) => this.#retried(event),
    "phase-started": (event) => this.#beginPhase(event),
    phase: ({ tag }) => this.#endPhase(tag),
    "phase-failed": (event) => this.#failPhase(event),
    hook: (event) => this.#hooked(event),
    downloaded: (event) =>
      this.#timed("download", event, {
        "dewy.artifact": event.artifact,
        "dewy.bytes": event.bytes,
        "dewy.resumed_from_bytes": event.resumedFrom || undefined,
      }),
    extracted: (event) =>
      this.#timed("extract", event, { "dewy.entries": event.entries, "dewy.bytes": event.bytes }),
    "image-pulled": (event) => this.#timed("pull", event, { "dewy.image": event.image }),
    "generation-ready": (event) => {
      const attributes = { "dewy.generation": event.generation, "process.pid": event.pid };
      this.#timed("get ready", event, attributes);
    },
    "replica-ready": (event) =>
      this.#timed("get ready", event, { "container.name": event.container }),
    deployed: ({ tag, previousTag, operator }) =>
      this.#end(tag, "deployed", {
        "dewy.previous_tag": previousTag,
        "dewy.operator": operator?.user,
      }),
    superseded: ({ tag, by }) => this.#end(tag, "superseded", { "dewy.superseded_by": by }),
    "given-up": ({ tag, reason }) => this.#end(tag, "given-up", { "dewy.reason": reason }),
    "rolled-back": (event) => this.#rolledBack(event),
    failed: (event) => this.#failed(event),
  };

  /** Ends what is under way, because dewy stops. */
  close(): void {
    for (const tag of this.#attempts.keys()) this.#end(tag, "interrupted");
  }

  #called(event: EventOf<"request">): void {
    if (event.isNotification) return;
    const call = { event, at: this.#now() };
    const attempt = this.#calling();
    if (attempt !== undefined) this.#addCall(call, attempt.phase ?? attempt);
    else this.#calls = [...this.#calls, call].slice(-MAX_CALLS);
  }

  /** Polls go on while a version bakes: their calls are not part of its deploy. */
  #calling(): Attempt | undefined {
    return [...this.#attempts.values()].findLast(({ phase, failedAt }) => {
      return failedAt !== undefined || (phase !== undefined && phase.name !== "bake");
    });
  }

  /** https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span */
  #addCall({ event, at }: Call, parent: OpenSpan): void {
    const { method, url, status, durationMs, attempt } = event;
    const { hostname, port } = URL.canParse(url) ? new URL(url) : { hostname: "", port: "" };
    const hasFailed = status === undefined || status >= 400;
    const attributes = {
      "http.request.method": method,
      "url.full": url,
      "server.address": hostname,
      "server.port": port === "" ? undefined : Number(port),
      "http.response.status_code": status,
      "http.request.resend_count": attempt > 1 ? attempt - 1 : undefined,
      "error.type": hasFailed ? String(status ?? "network") : undefined,
    };
    const kind = this.#options.api.SpanKind.CLIENT;
    const { span } = this.#start(method, { parent, startedAt: at - durationMs, kind, attributes });
    if (hasFailed) span.setStatus({ code: this.#options.api.SpanStatusCode.ERROR });
    span.end(new Date(at));
  }

  #retried({ reason, delayMs, attempt, isNotification }: EventOf<"retry">): void {
    if (isNotification) return;
    const attributes = { "dewy.reason": reason, "dewy.delay_ms": delayMs, "dewy.attempt": attempt };
    const at = new Date(this.#now());
    this.#calling()?.phase?.span.addEvent("retry", this.#plain(attributes), at);
  }

  #beginPhase({ phase: name, tag }: EventOf<"phase-started">): void {
    // An earlier attempt was given up without an event.
    if (name === "stage") this.#end(tag, "interrupted");
    const attempt = this.#attempts.get(tag) ?? this.#begin(tag, isFirst(name));
    const attributes = { "dewy.phase": name };
    attempt.phase = { name, ...this.#start(name, { parent: attempt, attributes }) };
  }

  #begin(tag: string, isNew: boolean): Attempt {
    const calls = isNew ? this.#calls : [];
    this.#calls = [];
    const starts = calls.map(({ event, at }) => at - event.durationMs);
    const startedAt = Math.min(this.#now(), ...starts);
    const order = this.#order?.command === `deploy ${tag}` ? this.#order : undefined;
    const attempt: Attempt = this.#start("deploy", {
      startedAt,
      attributes: {
        "dewy.tag": tag,
        "dewy.operator": order?.operator.user,
        // An earlier process has begun it.
        "dewy.resumed": isNew ? undefined : true,
      },
    });
    if (calls.length > 0) {
      const attributes = { "dewy.phase": "resolve" };
      const resolve = this.#start("resolve", { parent: attempt, startedAt, attributes });
      for (const call of calls) this.#addCall(call, resolve);
      this.#finish(resolve);
    }
    this.#attempts.set(tag, attempt);
    const [oldest = tag] = this.#attempts.keys();
    if (this.#attempts.size > MAX_ATTEMPTS) this.#end(oldest, "interrupted");
    return attempt;
  }

  #endPhase(tag: string): void {
    const attempt = this.#attempts.get(tag);
    if (attempt?.phase === undefined) return;
    this.#finish(attempt.phase);
    attempt.phase = undefined;
  }

  #failPhase({ tag, error }: EventOf<"phase-failed">): void {
    const attempt = this.#attempts.get(tag);
    if (attempt === undefined) return;
    const isGivenUp = error.code === "aborted";
    if (!isGivenUp) this.#record(error, attempt.phase);
    this.#endPhase(tag);
    attempt.failedAt = this.#now();
  }

  #hooked({ tag, result }: EventOf<"hook">): void {
    const attempt = this.#attempts.get(tag);
    const ended = this.#ended?.tag === tag ? this.#ended : undefined;
    const parent = attempt?.phase ?? attempt ?? ended;
    if (parent === undefined) return;
    const { when, exitCode, durationMs, timedOut } = result;
    const attributes = {
      "dewy.hook": when,
      "process.exit.code": exitCode ?? undefined,
      "dewy.timed_out": timedOut || undefined,
    };
    const startedAt = this.#now() - durationMs;
    const hook = this.#start(`${when}-deploy hook`, { parent, startedAt, attributes });
    if (exitCode !== 0) hook.span.setStatus({ code: this.#options.api.SpanStatusCode.ERROR });
    this.#finish(hook);
  }

  /** Of events that give their own duration. */
  #timed(name: string, event: { tag: string; durationMs: number }, attributes: Loose): void {
    const parent = this.#attempts.get(event.tag)?.phase;
    const startedAt = this.#now() - event.durationMs;
    if (parent !== undefined) this.#finish(this.#start(name, { parent, startedAt, attributes }));
  }

  #rolledBack({ tag, to, operator }: EventOf<"rolled-back">): void {
    const attempt = this.#attempts.get(tag);
    if (operator !== undefined) this.#movedBack(tag, to, operator);
    else if (attempt !== undefined) this.#fellBack(attempt, to);
  }

  #fellBack(attempt: Attempt, to: string): void {
    attempt.isRolledBack = true;
    const attributes = { "dewy.rolled_back_to": to };
    attempt.span.setAttributes(this.#plain(attributes));
    const { failedAt: startedAt } = attempt;
    this.#finish(this.#start("rollback", { parent: attempt, startedAt, attributes }));
  }

  /** Of an operator: it deploys the version that it returns to. If it is refused, the span never ends. */
  #beginRollback(operator: Operator): OpenSpan {
    return this.#start("rollback", { attributes: { "dewy.operator": operator.user } });
  }

  #movedBack(tag: string, to: string, operator: Operator): void {
    // An earlier process may have accepted the command.
    const rollback = this.#order?.rollback ?? this.#beginRollback(operator);
    this.#order = undefined;
    this.#ended = { tag: to, context: rollback.context };
    this.#settle(rollback, "deployed", { "dewy.tag": to, "dewy.previous_tag": tag });
  }

  #failed({ tag, error, retryInMs }: EventOf<"failed">): void {
    if (tag === undefined) return;
    const attempt = this.#attempts.get(tag);
    const root = attempt ?? this.#order?.rollback;
    this.#record(error, attempt?.phase);
    this.#record(error, root);
    if (attempt !== undefined) {
      const outcome = attempt.isRolledBack ? "rolled-back" : "failed";
      this.#end(tag, outcome, { "dewy.retry_in_ms": retryInMs });
    } else if (root !== undefined) {
      this.#order = undefined;
      this.#settle(root, "failed", { "dewy.tag": tag });
    }
  }

  #end(tag: string, outcome: Outcome, attributes: Loose = {}): void {
    const attempt = this.#attempts.get(tag);
    if (attempt === undefined) return;
    this.#endPhase(tag);
    this.#attempts.delete(tag);
    if (this.#order?.command === `deploy ${tag}`) this.#order = undefined;
    this.#ended = { tag, context: attempt.context };
    this.#settle(attempt, outcome, attributes);
  }

  #settle(root: OpenSpan, outcome: Outcome, attributes: Loose): void {
    const ending = { "dewy.outcome": outcome, "deployment.status": STATUSES[outcome] };
    root.span.setAttributes(this.#plain({ ...attributes, ...ending }));
    this.#finish(root);
  }

  #record(error: DewyError, subject: OpenSpan | undefined): void {
    const { name, code, fault } = error;
    const message = this.#options.redact(error.message);
    subject?.span.recordException({ name, code, message }, new Date(this.#now()));
    subject?.span.setAttributes({ "error.type": code, "dewy.fault": fault });
    subject?.span.setStatus({ code: this.#options.api.SpanStatusCode.ERROR, message });
  }

  /** Without a parent, it is the root of a trace. */
  #start(name: string, parts: SpanParts): OpenSpan {
    const { tracer, api, attributes: ofRoot } = this.#options;
    const { startedAt = this.#now(), kind = api.SpanKind.INTERNAL, parent } = parts;
    const attributes = this.#plain({ ...(parent ? {} : ofRoot), ...parts.attributes });
    const context = parent?.context ?? api.ROOT_CONTEXT;
    const span = tracer.startSpan(
      name,
      { startTime: new Date(startedAt), kind, attributes },
      context,
    );
    return { span, context: api.trace.setSpan(context, span) };
  }

  #finish({ span }: OpenSpan): void {
    span.end(new Date(this.#now()));
  }

  #now(): number {
    return this.#options.clock.now();
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

interface SpanParts {
  parent?: Pick<OpenSpan, "context">;
  /** Defaults to now. */
  startedAt?: number | undefined;
  kind?: number;
  attributes: Loose;
}

/** A deploy begins with one of these, unless an earlier process has begun it. */
function isFirst(phase: string): boolean {
  return phase === "stage" || phase === "before";
}
