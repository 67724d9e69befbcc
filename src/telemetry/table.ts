type Kind = "counter" | "up-down-counter" | "gauge" | "histogram";

interface Instrument<K extends Kind = Kind> {
  kind: K;
  /** In UCUM, as OpenTelemetry wants it; empty for a plain number. */
  unit: string;
  description: string;
  /** The upper bounds of a histogram's buckets. */
  bounds: readonly number[];
}

/** What is known about a metric before it has a value. */
export interface MetricSpec extends Instrument {
  attributes: readonly string[];
}

function instrument<K extends Kind>(kind: K) {
  return (unit: string, description: string, bounds: readonly number[] = []): Instrument<K> => ({
    kind,
    unit,
    description,
    bounds,
  });
}

const counter = instrument("counter");
const upDownCounter = instrument("up-down-counter");
const gauge = instrument("gauge");
const histogram = instrument("histogram");

type Labelled<A extends string, M> = {
  readonly [N in keyof M]: M[N] & { attributes: readonly A[] };
};

/** Gives metrics their attributes. */
function labelled<A extends string, M extends Readonly<Record<string, Instrument>>>(
  attributes: readonly A[],
  metrics: M,
): Labelled<A, M> {
  const entries = Object.entries(metrics).map(([name, one]) => [name, { ...one, attributes }]);
  return Object.fromEntries(entries) as Labelled<A, M>;
}

const CONNECT_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const CONNECTION_BOUNDS = [
  0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000,
];
const DEPLOY_BOUNDS = [1, 5, 10, 30, 60, 120, 300, 600];
const PHASE_BOUNDS = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600];
const READY_BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/**
 * All metrics by their OpenTelemetry name. Those of the Go dewy keep its names, units, attributes and descriptions, because
 * a collector drops metrics of one name that differ in them.
 */
export const METRICS = {
  ...labelled(["proxy_port"], {
    "dewy.proxy.connections.total": counter(
      "{connection}",
      "Total number of proxy connections accepted",
    ),
    "dewy.proxy.connections.active": upDownCounter(
      "{connection}",
      "Number of currently active proxy connections",
    ),
    "dewy.proxy.connection.duration": histogram(
      "s",
      "Duration of proxy connections",
      CONNECTION_BOUNDS,
    ),
    "dewy.proxy.connect.latency": histogram(
      "s",
      "Latency to establish connection to backend",
      CONNECT_BOUNDS,
    ),
    "dewy.proxy.bytes.transferred": counter("By", "Total bytes transferred through proxy"),
    "dewy.proxy.errors.total": counter("{error}", "Total number of proxy errors"),
    "dewy.proxy.backends": upDownCounter("{backend}", "Number of active proxy backends"),
    "dewy.proxy.refused.total": counter(
      "{connection}",
      "Connections that were closed because no backend accepted them in time",
    ),
  }),
  ...labelled(["proxy_port", "outcome"], {
    "dewy.proxy.requests.total": counter(
      "{request}",
      "HTTP/1 requests through the proxy: answered, or interrupted by the backend or the drain timeout",
    ),
  }),
  ...labelled(["command"], {
    "dewy.deployments.total": counter("{deployment}", "Total number of deployments"),
    "dewy.deployment.duration": histogram("s", "Duration of deployments", DEPLOY_BOUNDS),
    "dewy.deployment.errors.total": counter("{error}", "Total number of deployment errors"),
  }),
  ...labelled(["command", "phase"], {
    "dewy.deployment.phase.duration": histogram(
      "s",
      "Duration of a successful phase of a deployment",
      PHASE_BOUNDS,
    ),
  }),
  ...labelled(["app"], {
    "dewy.deployment.age": gauge(
      "s",
      "Seconds since the live version went live; no series if no version is live",
    ),
    "dewy.app.restarts.total": counter(
      "{restart}",
      "Restarts of the app or of a replica after a crash or a failed start",
    ),
    "dewy.app.crash_loops.total": counter(
      "{loop}",
      "Versions that were given up because they kept crashing",
    ),
    "dewy.app.ready.duration": histogram(
      "s",
      "Time from the start of the app or of a replica until it is ready",
      READY_BOUNDS,
    ),
    "dewy.container.replicas": gauge("{replica}", "Number of running container replicas"),
    "dewy.container.desired_replicas": gauge(
      "{replica}",
      "Number of container replicas dewy is configured to run",
    ),
    "dewy.container.ready_replicas": gauge(
      "{replica}",
      "Number of container replicas that receive connections",
    ),
    "dewy.container.lost.total": counter(
      "{container}",
      "Serving containers that stopped or became unhealthy",
    ),
    "dewy.poll.success.age": gauge(
      "s",
      "Seconds since the last poll that found the registry in order, or since dewy started",
    ),
    "dewy.poll.next.delay": gauge(
      "s",
      "Seconds until the next poll; negative while it is overdue or running",
    ),
    "dewy.listing.age": gauge(
      "s",
      "Seconds since the registry's listing last changed; no series before the first poll",
    ),
    "dewy.versions.bad": gauge("{version}", "Versions that are marked bad"),
    "dewy.versions.skipped": gauge(
      "{version}",
      "Versions that an operator or a rollback has skipped",
    ),
    "dewy.deployments.unverified.total": counter(
      "{deploy}",
      "Attempts to deploy a version that --verify did not let pass",
    ),
    "dewy.pinned": gauge("", "1 while an operator's pin holds, else 0"),
    "dewy.paused": gauge("", "1 while an operator has paused deploys, else 0"),
  }),
  ...labelled(["app", "cause"], {
    "dewy.rollbacks.total": counter(
      "{rollback}",
      "Rollbacks, by dewy itself (failure) or by an operator's command (operator)",
    ),
  }),
  ...labelled(["app", "command", "version"], {
    "dewy.app.info": gauge("", "Always 1; says which version is live, as its label"),
  }),
  ...labelled(["app", "state"], {
    "dewy.app.health": gauge("", "Health of the app (1 for the current state, 0 otherwise)"),
  }),
  ...labelled(["reason"], {
    "dewy.server.restarts.total": counter(
      "{restart}",
      "Total number of managed-server restarts, keyed by reason (deploy|signal)",
    ),
  }),
  ...labelled([], {
    "dewy.server.crashes.total": counter(
      "{crash}",
      "Total number of managed-server crashes (the supervised process exited on its own)",
    ),
    "dewy.healthchecks.total": counter("{check}", "Total number of health checks performed"),
    "dewy.healthchecks.failures.total": counter("{check}", "Total number of failed health checks"),
  }),
  ...labelled(["app", "container", "replica", "state"], {
    "dewy.container.status": gauge(
      "",
      "Container lifecycle state (1 for the current state, 0 otherwise), keyed by the state attribute",
    ),
  }),
  ...labelled(["app", "container", "replica"], {
    "dewy.container.restarts": gauge(
      "{restart}",
      "Container restart count as reported by the runtime (resets when the container is replaced)",
    ),
    "dewy.container.last_terminated.exit_code": gauge(
      "",
      "Exit code of a terminated container (reported only while it lingers)",
    ),
    "dewy.container.oom_killed": gauge(
      "",
      "Whether a terminated container was OOM-killed (1) or not (0)",
    ),
    "dewy.container.started.timestamp": gauge(
      "s",
      "Start time of the container as a Unix timestamp",
    ),
  }),
  ...labelled(["app", "container", "replica", "image", "version"], {
    "dewy.container.info": gauge(
      "",
      "Static per-container info series (always 1), labeled with image and version",
    ),
  }),
  ...labelled(["app", "outcome"], {
    "dewy.polls.total": counter(
      "{poll}",
      "Polls by outcome: fine, waiting, problem (nothing to deploy), failed (a deploy failed, or waits for its retry), unreachable",
    ),
  }),
  ...labelled(["app", "reason"], {
    "dewy.versions.waiting": gauge("{version}", "Available versions that are held back, by reason"),
  }),
  ...labelled(["app", "host", "method", "outcome"], {
    "dewy.upstream.requests.total": counter(
      "{request}",
      "HTTP requests to registries and other services, by outcome",
    ),
  }),
  ...labelled(["app", "what", "outcome"], {
    "dewy.cache.requests.total": counter(
      "{request}",
      "Answers of the registry and artifacts that were looked up in the cache: hit, miss (fetched for all machines), failed (fetched without the cache)",
    ),
  }),
  ...labelled(["app", "change"], {
    "dewy.fleet.rollouts.total": counter(
      "{change}",
      "Changes of the fleet's rollout that this host has made, each counted on one host: began, wave, halted, resumed, aborted, done",
    ),
  }),
  ...labelled(["app", "host"], {
    "dewy.upstream.retries.total": counter(
      "{retry}",
      "Retries of requests to registries and other services",
    ),
    "dewy.rate_limit.remaining": gauge(
      "{request}",
      "Requests that an API still allows until its limit is reset",
    ),
    "dewy.rate_limit.limit": gauge(
      "{request}",
      "Requests that an API allows between two resets of its limit",
    ),
  }),
  ...labelled(["app", "notifier"], {
    "dewy.notifications.lost.total": counter("{notification}", "Notifications that were given up"),
    "dewy.notifications.waiting": gauge(
      "{notification}",
      "Notifications that wait for their delivery",
    ),
  }),
};

export type MetricName = keyof typeof METRICS;

export type NameOfKind<K extends Kind> = {
  [N in MetricName]: (typeof METRICS)[N]["kind"] extends K ? N : never;
}[MetricName];

/** The attributes of a metric, all of them. */
export type AttributesOf<N extends MetricName> = Readonly<
  Record<(typeof METRICS)[N]["attributes"][number], string | number>
>;
