import type { Clock } from "./clock.ts";
import type { Environment } from "./environment.ts";
import type { EventSink } from "./event.ts";

/**
 * What code needs from its surroundings. It is passed in, never read from globals, so that the same code runs on a
 * host, on the edge and in tests. Functions that need less take `Pick<Context, …>`.
 */
export interface Context {
  env: Environment;
  fetch: typeof globalThis.fetch;
  clock: Clock;
  /** Receives requests, retries, rate limits and warnings. */
  emit: EventSink;
  /** Reads a file of this machine as text; absent on the edge. Rejects with a HostError. */
  readTextFile?: ((path: string) => Promise<string>) | undefined;
  /** Aborts all work started with this context. */
  signal?: AbortSignal | undefined;
}
