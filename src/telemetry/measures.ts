import type { DistributionReading } from "../core/distribution.ts";

/** Counters of an app's supervisor, since dewy started; they cost nothing while nobody reads them. */
export interface SupervisionMeasures {
  /** Of the proxy, by the port that it listens on. */
  proxies: readonly ProxyMeasures[];
  /** Health checks and those that failed. */
  healthChecks: { total: number; failures: number };
  /** Replicas that are wanted and that are ready; absent for `dewy server`. */
  replicas?: { wanted: number; ready: number };
}

export interface ProxyMeasures {
  port: number;
  /** Connections accepted. */
  accepted: number;
  /** Open connections. */
  active: number;
  /** Backends in rotation. */
  backends: number;
  /** Requests, or connections where the protocol is unknown, that no backend accepted. */
  failed: number;
  /** Whole HTTP exchanges, where the proxy follows the framing. */
  requests: number;
  /** Bytes passed on, in both directions. */
  bytes?: number;
  /** Seconds until connections to backends stood; in buckets of `CONNECT_BOUNDS`. */
  connects?: DistributionReading;
  /** Seconds from the start to the end of the connections that have ended; in buckets of `CONNECTION_BOUNDS`. */
  durations?: DistributionReading;
}

/** What telemetry reads of a container; the admin API's containers have it. */
export interface ContainerMeasures {
  name: string;
  image: string;
  /** The engine's: `created`, `running`, `exited`, … */
  status: string;
  /** In RFC 3339; a year before 1970 if it is unknown. */
  started_at: string;
  labels: Readonly<Record<string, string>>;
  /** How often the engine has restarted it. */
  restarts?: number;
  /** Only of a container that has exited. */
  exit_code?: number;
  oom_killed?: boolean;
}
