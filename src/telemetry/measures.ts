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
}
