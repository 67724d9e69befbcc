/** What is known about a metric before it has a value. */
export interface MetricSpec {
  kind: "counter" | "up-down-counter" | "gauge" | "histogram";
  /** In UCUM, as OpenTelemetry wants it; without one, it is a plain number. */
  unit: string;
  attributes: readonly string[];
  description: string;
  /** The upper bounds of a histogram's buckets. Set for histograms only. */
  bounds?: readonly number[];
}

const CONNECT_BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const CONNECTION_BOUNDS = [
  0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000,
];
const DEPLOY_BOUNDS = [1, 5, 10, 30, 60, 120, 300, 600];
const PHASE_BOUNDS = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600];
const READY_BOUNDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

const PORT = ["proxy_port"] as const;
const COMMAND = ["command"] as const;
const APP = ["app"] as const;
const CONTAINER = ["app", "container", "replica"] as const;

/**
 * All metrics by their OpenTelemetry name. Those of the Go dewy keep its names, units, attributes and descriptions, because
 * a collector drops metrics of one name that differ in them.
 */
export const METRICS = {
  "dewy.proxy.connections.total": {
    kind: "counter",
    unit: "{connection}",
    attributes: PORT,
    description: "Total number of proxy connections accepted",
  },
  "dewy.proxy.connections.active": {
    kind: "up-down-counter",
    unit: "{connection}",
    attributes: PORT,
    description: "Number of currently active proxy connections",
  },
  "dewy.proxy.connection.duration": {
    kind: "histogram",
    unit: "s",
    attributes: PORT,
    description: "Duration of proxy connections",
    bounds: CONNECTION_BOUNDS,
  },
  "dewy.proxy.connect.latency": {
    kind: "histogram",
    unit: "s",
    attributes: PORT,
    description: "Latency to establish connection to backend",
    bounds: CONNECT_BOUNDS,
  },
  "dewy.proxy.bytes.transferred": {
    kind: "counter",
    unit: "By",
    attributes: PORT,
    description: "Total bytes transferred through proxy",
  },
  "dewy.proxy.errors.total": {
    kind: "counter",
    unit: "{error}",
    attributes: PORT,
    description: "Total number of proxy errors",
  },
  "dewy.proxy.backends": {
    kind: "up-down-counter",
    unit: "{backend}",
    attributes: PORT,
    description: "Number of active proxy backends",
  },
  "dewy.proxy.requests.total": {
    kind: "counter",
    unit: "{request}",
    attributes: ["proxy_port", "outcome"],
    description:
      "HTTP/1 requests through the proxy: answered, or interrupted by the backend or the drain timeout",
  },
  "dewy.proxy.refused.total": {
    kind: "counter",
    unit: "{connection}",
    attributes: PORT,
    description: "Connections that were closed because no backend accepted them in time",
  },
  "dewy.deployments.total": {
    kind: "counter",
    unit: "{deployment}",
    attributes: COMMAND,
    description: "Total number of deployments",
  },
  "dewy.deployment.duration": {
    kind: "histogram",
    unit: "s",
    attributes: COMMAND,
    description: "Duration of deployments",
    bounds: DEPLOY_BOUNDS,
  },
  "dewy.deployment.errors.total": {
    kind: "counter",
    unit: "{error}",
    attributes: COMMAND,
    description: "Total number of deployment errors",
  },
  "dewy.deployment.phase.duration": {
    kind: "histogram",
    unit: "s",
    attributes: ["command", "phase"],
    description: "Duration of a successful phase of a deployment",
    bounds: PHASE_BOUNDS,
  },
  "dewy.deployment.age": {
    kind: "gauge",
    unit: "s",
    attributes: APP,
    description: "Seconds since the live version went live; no series if no version is live",
  },
  "dewy.rollbacks.total": {
    kind: "counter",
    unit: "{rollback}",
    attributes: ["app", "cause"],
    description: "Rollbacks, by dewy itself (failure) or by an operator's command (operator)",
  },
  "dewy.app.info": {
    kind: "gauge",
    unit: "",
    attributes: ["app", "command", "version"],
    description: "Always 1; says which version is live, as its label",
  },
  "dewy.app.health": {
    kind: "gauge",
    unit: "",
    attributes: ["app", "state"],
    description: "Health of the app (1 for the current state, 0 otherwise)",
  },
  "dewy.app.restarts.total": {
    kind: "counter",
    unit: "{restart}",
    attributes: APP,
    description: "Restarts of the app or of a replica after a crash or a failed start",
  },
  "dewy.app.crash_loops.total": {
    kind: "counter",
    unit: "{loop}",
    attributes: APP,
    description: "Versions that were given up because they kept crashing",
  },
  "dewy.app.ready.duration": {
    kind: "histogram",
    unit: "s",
    attributes: APP,
    description: "Time from the start of the app or of a replica until it is ready",
    bounds: READY_BOUNDS,
  },
  "dewy.server.restarts.total": {
    kind: "counter",
    unit: "{restart}",
    attributes: ["reason"],
    description: "Total number of managed-server restarts, keyed by reason (deploy|signal)",
  },
  "dewy.server.crashes.total": {
    kind: "counter",
    unit: "{crash}",
    attributes: [],
    description:
      "Total number of managed-server crashes (the supervised process exited on its own)",
  },
  "dewy.healthchecks.total": {
    kind: "counter",
    unit: "{check}",
    attributes: [],
    description: "Total number of health checks performed",
  },
  "dewy.healthchecks.failures.total": {
    kind: "counter",
    unit: "{check}",
    attributes: [],
    description: "Total number of failed health checks",
  },
  "dewy.container.replicas": {
    kind: "gauge",
    unit: "{replica}",
    attributes: APP,
    description: "Number of running container replicas",
  },
  "dewy.container.desired_replicas": {
    kind: "gauge",
    unit: "{replica}",
    attributes: APP,
    description: "Number of container replicas dewy is configured to run",
  },
  "dewy.container.ready_replicas": {
    kind: "gauge",
    unit: "{replica}",
    attributes: APP,
    description: "Number of container replicas that receive connections",
  },
  "dewy.container.lost.total": {
    kind: "counter",
    unit: "{container}",
    attributes: APP,
    description: "Serving containers that stopped or became unhealthy",
  },
  "dewy.container.status": {
    kind: "gauge",
    unit: "",
    attributes: [...CONTAINER, "state"],
    description:
      "Container lifecycle state (1 for the current state, 0 otherwise), keyed by the state attribute",
  },
  "dewy.container.restarts": {
    kind: "gauge",
    unit: "{restart}",
    attributes: CONTAINER,
    description:
      "Container restart count as reported by the runtime (resets when the container is replaced)",
  },
  "dewy.container.last_terminated.exit_code": {
    kind: "gauge",
    unit: "",
    attributes: CONTAINER,
    description: "Exit code of a terminated container (reported only while it lingers)",
  },
  "dewy.container.oom_killed": {
    kind: "gauge",
    unit: "",
    attributes: CONTAINER,
    description: "Whether a terminated container was OOM-killed (1) or not (0)",
  },
  "dewy.container.started.timestamp": {
    kind: "gauge",
    unit: "s",
    attributes: CONTAINER,
    description: "Start time of the container as a Unix timestamp",
  },
  "dewy.container.info": {
    kind: "gauge",
    unit: "",
    attributes: [...CONTAINER, "image", "version"],
    description: "Static per-container info series (always 1), labeled with image and version",
  },
  "dewy.polls.total": {
    kind: "counter",
    unit: "{poll}",
    attributes: ["app", "outcome"],
    description:
      "Polls by outcome: fine, waiting, problem (nothing to deploy), failed (a deploy failed), unreachable",
  },
  "dewy.poll.success.age": {
    kind: "gauge",
    unit: "s",
    attributes: APP,
    description:
      "Seconds since the last poll that found the registry in order, or since dewy started",
  },
  "dewy.poll.next.delay": {
    kind: "gauge",
    unit: "s",
    attributes: APP,
    description: "Seconds until the next poll; negative while it is overdue or running",
  },
  "dewy.versions.bad": {
    kind: "gauge",
    unit: "{version}",
    attributes: APP,
    description: "Versions that are marked bad",
  },
  "dewy.versions.skipped": {
    kind: "gauge",
    unit: "{version}",
    attributes: APP,
    description: "Versions that an operator or a rollback has skipped",
  },
  "dewy.versions.waiting": {
    kind: "gauge",
    unit: "{version}",
    attributes: ["app", "reason"],
    description: "Available versions that are held back, by reason",
  },
  "dewy.pinned": {
    kind: "gauge",
    unit: "",
    attributes: APP,
    description: "1 while an operator's pin holds, else 0",
  },
  "dewy.paused": {
    kind: "gauge",
    unit: "",
    attributes: APP,
    description: "1 while an operator has paused deploys, else 0",
  },
  "dewy.upstream.requests.total": {
    kind: "counter",
    unit: "{request}",
    attributes: ["app", "host", "method", "outcome"],
    description: "HTTP requests to registries and other services, by outcome",
  },
  "dewy.upstream.retries.total": {
    kind: "counter",
    unit: "{retry}",
    attributes: ["app", "host"],
    description: "Retries of requests to registries and other services",
  },
  "dewy.rate_limit.remaining": {
    kind: "gauge",
    unit: "{request}",
    attributes: ["app", "host"],
    description: "Requests that an API still allows until its limit is reset",
  },
  "dewy.rate_limit.limit": {
    kind: "gauge",
    unit: "{request}",
    attributes: ["app", "host"],
    description: "Requests that an API allows between two resets of its limit",
  },
  "dewy.notifications.lost.total": {
    kind: "counter",
    unit: "{notification}",
    attributes: ["app", "notifier"],
    description: "Notifications that were given up",
  },
  "dewy.notifications.waiting": {
    kind: "gauge",
    unit: "{notification}",
    attributes: ["app", "notifier"],
    description: "Notifications that wait for their delivery",
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof METRICS;

export type NameOfKind<K extends MetricSpec["kind"]> = {
  [N in MetricName]: (typeof METRICS)[N]["kind"] extends K ? N : never;
}[MetricName];

/** The attributes of a metric, all of them. */
export type AttributesOf<N extends MetricName> = Readonly<
  Record<(typeof METRICS)[N]["attributes"][number], string | number>
>;
