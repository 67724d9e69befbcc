/**
 * What a load is and what came of it: shared by the load client, which is a process of its own, and those who start it.
 *
 * @module
 */

/** Connections that send one request after another, all in the same way. */
export interface Lane {
  /** What the results call it. */
  name: string;
  /** Where: a loopback address, or the path of a unix socket. */
  target: { host: string; port: number } | { path: string };
  /** The path of each request; `/` unless told. */
  path?: string;
  /**
   * `get` unless told; `upload`: a POST with a body of this many bytes, answered by their number; `echo`: an upgraded
   * connection, where each message comes back, and which the client ends after so many messages.
   */
  kind?: "get" | { upload: number } | { echo: number };
  /** One connection for all requests of a worker, or one for each request. */
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
  /** A request without an answer after this many milliseconds has failed; time in which the client stood still does not count. */
  timeoutMs: number;
}

/** What a lane has seen. */
export interface LaneResult {
  name: string;
  /** Requests, each counted once however often it was tried. */
  sent: number;
  answered: number;
  failed: number;
  /** How often each reason made a request fail. */
  reasons: Record<string, number>;
  /**
   * Requests sent once more, on a new connection, because a kept-alive one was closed before any byte of the answer.
   * A server may close an idle connection at the very moment of the next request, and cannot know; so every HTTP client
   * does this for idempotent requests (RFC 9112, section 9.3.1), and so does this one, once. Anything else is a failure.
   */
  retried: number;
  /** Connections opened. */
  connections: number;
  /** Milliseconds. */
  latency: { p50: number; p90: number; p99: number; p999: number; max: number };
  /** Answers by the power of two that their milliseconds stay below. */
  histogram: Record<string, number>;
}

/** What came of a load. */
export interface LoadResult {
  lanes: LaneResult[];
  /** All lanes together. */
  total: Omit<LaneResult, "name">;
  /** In the order of their first answers; times in milliseconds since the epoch. */
  versions: { version: string; first: number; last: number; answers: number }[];
  /** The first failures, to read. */
  samples: { lane: string; target: Lane["target"]; at: number; reason: string; detail: string }[];
  /** How long the client itself stood still, at most: what it saw of others in that time says nothing. */
  longestStallMs: number;
  /** How long it took. */
  ms: number;
}

/** Told while the load runs: the first answer of a version. */
export interface VersionSeen {
  version: string;
  /** Milliseconds since the epoch. */
  at: number;
}
