import type { Mode } from "../control/protocol.ts";
import type { DewyEvent, EventSink, RolloutChange } from "../core/event.ts";
import type { ProxyObserver } from "../host/proxy/tcp_proxy.ts";
import type { Instruments } from "./instruments.ts";

type EventOf<T extends DewyEvent["type"]> = Extract<DewyEvent, { type: T }>;

const MAX_HOSTS = 20;
const RESTART_REASONS = ["deploy", "rollback", "signal", "operator", "crash"];
const ROLLOUT_CHANGES: readonly RolloutChange[] = [
  "began",
  "wave",
  "halted",
  "resumed",
  "aborted",
  "done",
];
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "DELETE"]);

interface MeasuredInstance {
  name: string;
  mode: Mode;
  /** Whether it takes part in rollouts. Defaults to false. */
  hasFleet?: boolean;
}

/** Counts events, and times what they took. */
export class EventMetrics {
  readonly #instruments: Instruments;
  readonly #nameOfHost = bounded(MAX_HOSTS);
  readonly #app: { app: string };
  readonly #command: { command: Mode };

  constructor(instruments: Instruments, { name, mode, hasFleet = false }: MeasuredInstance) {
    this.#instruments = instruments;
    this.#app = { app: name };
    this.#command = { command: mode };
    this.#startAtZero(mode, hasFleet);
  }

  readonly sink: EventSink = (event) => {
    const handle = this.#handlers[event.type] as ((event: DewyEvent) => void) | undefined;
    handle?.(event);
  };

  /** For the times of the proxy's connections. */
  readonly proxy: ProxyObserver = {
    connected: (port, seconds) => {
      this.#instruments.record("dewy.proxy.connect.latency", seconds, { proxy_port: port });
    },
    closed: (port, seconds) => {
      this.#instruments.record("dewy.proxy.connection.duration", seconds, { proxy_port: port });
    },
  };

  /** Without a first value of 0, `increase()` in a query misses the first event. */
  #startAtZero(mode: Mode, hasFleet: boolean): void {
    const [instruments, app, command] = [this.#instruments, this.#app, this.#command];
    instruments.count("dewy.deployments.total", command, 0);
    instruments.count("dewy.deployment.errors.total", command, 0);
    instruments.count("dewy.deployments.unverified.total", app, 0);
    for (const cause of ["failure", "operator"]) {
      instruments.count("dewy.rollbacks.total", { ...app, cause }, 0);
    }
    for (const outcome of ["fine", "waiting", "problem", "failed", "unreachable"]) {
      instruments.count("dewy.polls.total", { ...app, outcome }, 0);
    }
    for (const change of hasFleet ? ROLLOUT_CHANGES : []) {
      instruments.count("dewy.fleet.rollouts.total", { ...app, change }, 0);
    }
    if (mode !== "assets") instruments.count("dewy.app.crash_loops.total", app, 0);
    if (mode === "container") instruments.count("dewy.container.lost.total", app, 0);
    if (mode !== "server") return;
    instruments.count("dewy.server.crashes.total", {}, 0);
    for (const reason of RESTART_REASONS) {
      instruments.count("dewy.server.restarts.total", { reason }, 0);
    }
  }

  readonly #handlers: { [T in DewyEvent["type"]]?: (event: EventOf<T>) => void } = {
    request: (event) => this.#request(event),
    cache: ({ what, outcome }) => {
      this.#instruments.count("dewy.cache.requests.total", { ...this.#app, what, outcome });
    },
    rollout: ({ change }) => {
      this.#instruments.count("dewy.fleet.rollouts.total", { ...this.#app, change });
    },
    retry: ({ url }) => {
      const host = this.#hostOf(url);
      this.#instruments.count("dewy.upstream.retries.total", { ...this.#app, host });
    },
    polled: ({ outcome }) => {
      this.#instruments.count("dewy.polls.total", { ...this.#app, outcome });
    },
    phase: ({ phase, durationMs }) => {
      const attributes = { ...this.#command, phase };
      this.#instruments.record("dewy.deployment.phase.duration", durationMs / 1_000, attributes);
    },
    deployed: ({ durationMs }) => {
      this.#instruments.count("dewy.deployments.total", this.#command);
      this.#instruments.record("dewy.deployment.duration", durationMs / 1_000, this.#command);
    },
    failed: ({ phase, error }) => {
      if (phase === "resolve") return;
      if (error.code === "unverified") {
        this.#instruments.count("dewy.deployments.unverified.total", this.#app);
      }
      this.#instruments.count("dewy.deployment.errors.total", this.#command);
    },
    "rolled-back": ({ operator }) => {
      const cause = operator === undefined ? "failure" : "operator";
      this.#instruments.count("dewy.rollbacks.total", { ...this.#app, cause });
    },
    "generation-ready": ({ durationMs, reason }) => {
      this.#ready(durationMs);
      if (reason !== "start") this.#instruments.count("dewy.server.restarts.total", { reason });
    },
    "replica-ready": ({ durationMs }) => this.#ready(durationMs),
    "app-exited": () => this.#instruments.count("dewy.server.crashes.total", {}),
    "replica-lost": () => this.#instruments.count("dewy.container.lost.total", this.#app),
    "crash-loop": () => this.#instruments.count("dewy.app.crash_loops.total", this.#app),
  };

  /** Notifiers are not upstreams. */
  #request({ url, method, status, isNotification }: EventOf<"request">): void {
    if (isNotification) return;
    this.#instruments.count("dewy.upstream.requests.total", {
      ...this.#app,
      host: this.#hostOf(url),
      method: METHODS.has(method) ? method : "other",
      outcome: outcomeOf(status),
    });
  }

  #hostOf(url: string): string {
    return this.#nameOfHost(URL.canParse(url) ? new URL(url).host : "");
  }

  #ready(ms: number): void {
    this.#instruments.record("dewy.app.ready.duration", ms / 1_000, this.#app);
  }
}

/** Returns `other` for all but the first names, so that an attribute has few values. */
function bounded(limit: number): (name: string) => string {
  const known = new Set<string>();
  return (name) => {
    if (known.size < limit) known.add(name);
    return known.has(name) ? name : "other";
  };
}

function outcomeOf(status: number | undefined): string {
  if (status === undefined) return "failed";
  if (status === 429) return "rate-limited";
  if (status >= 500) return "server-error";
  if (status >= 400) return "client-error";
  return status === 304 ? "not-modified" : "success";
}
