/**
 * A load and its results: shared by the load client, which is a separate process, and the tests
 * that start it.
 *
 * @module
 */

/** Connections that send one request after another, all in the same way. */
export interface Lane {
  /** Its name in the results. */
  name: string;
  /** A loopback address, or the path of a unix socket. */
  target: { host: string; port: number } | { path: string };
  /** The path of each request. Defaults to `/`. */
  path?: string;
  /**
   * Defaults to `get`. `upload`: a POST with a body of this many bytes, answered with their number.
   * `echo`: an upgraded connection that returns each message, and that the client ends after so
   * many messages.
   */
  kind?: "get" | { upload: number } | { echo: number };
  /** One connection for all requests of a worker, or one per request. */
  keepAlive: boolean;
  /** How many requests may be in flight. */
  workers: number;
  /** Milliseconds between an answer and the worker's next request. */
  paceMs: number;
}

/** A load, bounded in time and in requests. */
export interface Load {
  lanes: readonly Lane[];
  /** No request begins later than this many milliseconds after the start. */
  maxMs: number;
  /** No further request begins after this many. */
  maxRequests: number;
  /**
   * A request without an answer after this many milliseconds has failed; time in which the client
   * stood still does not count.
   */
  timeoutMs: number;
}

export interface LaneResult {
  name: string;
  /** Requests, each counted once regardless of retries. */
  sent: number;
  answered: number;
  failed: number;
  /** How often each reason made a request fail. */
  reasons: Record<string, number>;
  /**
   * Requests sent again on a new connection, because a kept-alive one was closed before any byte of
   * the answer. A server may close an idle connection at the very moment of the next request, so
   * HTTP clients repeat idempotent requests (RFC 9112, section 9.3.1). This one does so once;
   * anything else is a failure.
   */
  retried: number;
  /** Connections opened. */
  connections: number;
  /** Milliseconds. */
  latency: { p50: number; p90: number; p99: number; p999: number; max: number };
  /** Answers by latency: the keys are upper bounds in milliseconds, powers of two. */
  histogram: Record<string, number>;
}

export interface LoadResult {
  lanes: LaneResult[];
  /** All lanes together. */
  total: Omit<LaneResult, "name">;
  /** In the order of their first answers; times in milliseconds since the epoch. */
  versions: { version: string; first: number; last: number; answers: number }[];
  /** The first failures. */
  samples: { lane: string; target: Lane["target"]; at: number; reason: string; detail: string }[];
  /**
   * The longest time that the client itself was stalled; its observations in that time are
   * meaningless.
   */
  longestStallMs: number;
  /** The duration. */
  ms: number;
}

/** Reported while the load runs: the first answer of a version. */
export interface VersionSeen {
  version: string;
  /** Milliseconds since the epoch. */
  at: number;
}
