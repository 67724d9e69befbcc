import type { Attributes, Counter, Histogram, Meter } from "@opentelemetry/api";
import type { Mode } from "../control/protocol.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { Bounded } from "./bounded.ts";
import type { TelemetryPackages } from "./packages.ts";
import { METRICS, type MetricName, type NameOfKind } from "./table.ts";

type EventOf<T extends DewyEvent["type"]> = Extract<DewyEvent, { type: T }>;

interface Subject {
  name: string;
  mode: Mode;
}

/** Counts events with the instruments of a meter. */
export class EventMetrics {
  readonly #packages: TelemetryPackages;
  readonly #meter: Meter;
  readonly #instruments = new Map<MetricName, Counter | Histogram>();
  readonly #hosts = new Bounded(20);
  readonly #app: { app: string };
  readonly #command: { command: Mode };
  readonly #received = new WeakSet<DewyEvent>();
  /** The version that was started last. */
  #startedTag: string | undefined;

  constructor(packages: TelemetryPackages, meter: Meter, { name, mode }: Subject) {
    this.#packages = packages;
    this.#meter = meter;
    this.#app = { app: name };
    this.#command = { command: mode };
    this.#startAtZero(mode);
  }

  readonly sink: EventSink = (event) => this.#receive(event);

  /** Without a first value of 0, `increase()` in a query misses the first event. */
  #startAtZero(mode: Mode): void {
    this.#count("dewy.deployments.total", this.#command, 0);
    this.#count("dewy.deployment.errors.total", this.#command, 0);
    for (const cause of ["failure", "operator"]) {
      this.#count("dewy.rollbacks.total", { ...this.#app, cause }, 0);
    }
    for (const outcome of ["fine", "waiting", "problem", "failed", "unreachable"]) {
      this.#count("dewy.polls.total", { ...this.#app, outcome }, 0);
    }
    if (mode === "assets") return;
    this.#count("dewy.app.crash_loops.total", this.#app, 0);
    if (mode === "container") {
      this.#count("dewy.container.lost.total", this.#app, 0);
      return;
    }
    for (const reason of ["deploy", "signal"]) {
      this.#count("dewy.server.restarts.total", { reason }, 0);
    }
    this.#count("dewy.server.crashes.total", {}, 0);
  }

  #receive(event: DewyEvent): void {
    if (this.#received.has(event)) return;
    this.#received.add(event);
    const handle = this.#handlers[event.type] as ((event: DewyEvent) => void) | undefined;
    handle?.(event);
  }

  readonly #handlers: { [T in DewyEvent["type"]]?: (event: EventOf<T>) => void } = {
    request: (event) => this.#request(event),
    retry: ({ url }) => {
      this.#count("dewy.upstream.retries.total", { ...this.#app, host: this.#hostOf(url) });
    },
    polled: ({ outcome }) => this.#count("dewy.polls.total", { ...this.#app, outcome }),
    phase: ({ phase, durationMs }) => {
      this.#time("dewy.deployment.phase.duration", durationMs, { ...this.#command, phase });
    },
    deployed: ({ durationMs }) => {
      this.#count("dewy.deployments.total", this.#command);
      this.#time("dewy.deployment.duration", durationMs, this.#command);
    },
    failed: ({ phase }) => {
      if (phase !== "resolve") this.#count("dewy.deployment.errors.total", this.#command);
    },
    "rolled-back": ({ operator }) => {
      const cause = operator === undefined ? "failure" : "operator";
      this.#count("dewy.rollbacks.total", { ...this.#app, cause });
    },
    "server-started": (event) => this.#serverStarted(event),
    "generation-ready": ({ durationMs }) => this.#ready(durationMs),
    "replica-ready": ({ durationMs }) => this.#ready(durationMs),
    "app-exited": () => this.#count("dewy.server.crashes.total", {}),
    "replica-lost": () => this.#count("dewy.container.lost.total", this.#app),
    "crash-loop": () => this.#count("dewy.app.crash_loops.total", this.#app),
  };

  #ready(ms: number): void {
    this.#time("dewy.app.ready.duration", ms, this.#app);
  }

  #request({ url, method, status }: EventOf<"request">): void {
    this.#count("dewy.upstream.requests.total", {
      ...this.#app,
      host: this.#hostOf(url),
      method: METHODS.has(method) ? method : "other",
      outcome: outcomeOf(status),
    });
  }

  #serverStarted({ tag, restarted }: EventOf<"server-started">): void {
    const reason = this.#startedTag === tag ? "signal" : "deploy";
    this.#startedTag = tag;
    if (restarted) this.#count("dewy.server.restarts.total", { reason });
  }

  #hostOf(url: string): string {
    return this.#hosts.name(URL.canParse(url) ? new URL(url).host : "");
  }

  #count(name: NameOfKind<"counter">, attributes: Attributes, by = 1): void {
    const counter = this.#instrument(name, ({ unit, description }) =>
      this.#meter.createCounter(name, {
        unit,
        description,
        valueType: this.#packages.api.ValueType.INT,
      }),
    );
    counter.add(by, attributes);
  }

  #time(name: NameOfKind<"histogram">, ms: number, attributes: Attributes): void {
    const histogram = this.#instrument(name, ({ unit, description, bounds }) =>
      this.#meter.createHistogram(name, {
        unit,
        description,
        advice: { explicitBucketBoundaries: [...bounds] },
      }),
    );
    histogram.record(ms / 1_000, attributes);
  }

  #instrument<N extends MetricName, I extends Counter | Histogram>(
    name: N,
    create: (spec: (typeof METRICS)[N]) => I,
  ): I {
    const known = this.#instruments.get(name) as I | undefined;
    const instrument = known ?? create(METRICS[name]);
    this.#instruments.set(name, instrument);
    return instrument;
  }
}

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "DELETE"]);

function outcomeOf(status: number | undefined): string {
  if (status === undefined) return "no-response";
  if (status === 429) return "rate-limited";
  if (status >= 500) return "server-error";
  if (status >= 400) return "client-error";
  return status === 304 ? "not-modified" : "success";
}
