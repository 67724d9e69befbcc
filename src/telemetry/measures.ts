/** Counters of an app's supervisor, since dewy started; they cost nothing while nothing reads them. */
export interface SupervisionMeasures {
  /** Of the proxy, by the port that it listens on; empty if the app has the port itself. */
  proxies: readonly ProxyMeasures[];
  /** Health checks, one per attempt, and those that failed. */
  healthChecks: { total: number; failures: number };
  /** Replicas that are wanted and that are ready; absent for `dewy server`. */
  replicas?: { wanted: number; ready: number };
}

export interface ProxyMeasures {
  /** 0 for a unix socket. */
  port: number;
  /** Connections accepted. */
  accepted: number;
  /** Open connections. */
  active: number;
  /** Backends in rotation. */
  backends: number;
  bytesToBackends: number;
  bytesToClients: number;
  /** Attempts to connect to a backend that failed; the connection is then offered to another one. */
  connectFailures: number;
  /** Clients that were turned away because no backend accepted in time. */
  refused: number;
  /** HTTP/1 requests by what became of them; connections of other protocols are not counted. */
  requests: {
    /** The whole response was relayed. */
    answered: number;
    /** The backend, or the drain timeout, ended the connection before that. */
    interrupted: number;
  };
}

/** Receives what a counter cannot tell. Nothing is measured while there is no observer. */
export interface ProxyObserver {
  /** A backend has accepted a connection. */
  connected(port: number, seconds: number): void;
  /** A client's connection was closed. */
  closed(port: number, seconds: number): void;
}
