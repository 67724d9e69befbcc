import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock } from "../core/clock.ts";
import { abortWith, TimeoutError, withTimeout } from "../core/timeout.ts";
import type { AnnouncedVersion } from "./contract.ts";

export interface WatchOptions {
  clock: Clock;
  /** Aborted when the server closes, which ends all streams. */
  closing: AbortSignal;
  /** Defaults to as many as there can be connections. */
  maxStreams?: number | undefined;
}

type Versions = AsyncIterable<AnnouncedVersion | undefined>;
type OpenWatch = (signal: AbortSignal) => Versions;

/** Firewalls forget silent connections, and clients give them up. */
const KEEP_ALIVE_MS = 25_000;
/** Streams end after 30 to 60 minutes, so that machines spread over gateways that were added. */
const MAX_AGE_MS = 60 * 60_000;
const MAX_STREAMS = 16_384;

/** Returns a function that turns announcements into a stream: bounded, with keep-alives, until the server closes. */
export function watchStreams({ clock, closing, maxStreams = MAX_STREAMS }: WatchOptions) {
  // One listener for all: Node takes longer for each that a signal has already.
  const open = new Set<AbortController>();
  closing.addEventListener("abort", () => {
    for (const ended of open) ended.abort();
  });
  return async function* stream(
    watch: OpenWatch,
    signal: AbortSignal,
  ): AsyncGenerator<{ id: string; tag: string }> {
    if (open.size >= maxStreams) {
      throw new ConnectError("Too many watches; poll instead", Code.ResourceExhausted);
    }
    const ended = new AbortController();
    open.add(ended);
    const detach = abortWith(ended, signal);
    if (closing.aborted) ended.abort();
    const ageMs = MAX_AGE_MS * (0.5 + Math.random() / 2);
    clock.sleep(ageMs, ended.signal).then(
      () => ended.abort(),
      () => {},
    );
    const versions = watch(ended.signal)[Symbol.asyncIterator]();
    try {
      let next = versions.next();
      let message: { id: string; tag: string } | undefined;
      while (!ended.signal.aborted) {
        const found = await unlessSilent(next, { clock, signal: ended.signal });
        if (found?.done) return;
        if (found !== undefined) {
          next = versions.next();
          const { tag = "", id = tag } = found.value ?? {};
          message = { id, tag };
        }
        if (message !== undefined) yield message;
      }
    } catch (error) {
      if (!ended.signal.aborted) throw error;
    } finally {
      ended.abort();
      detach();
      versions.return?.().catch(() => {});
      open.delete(ended);
    }
  };
}

/** `undefined` when a keep-alive is due. */
async function unlessSilent<T>(
  next: Promise<T>,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<T | undefined> {
  try {
    return await withTimeout(next, { clock, ms: KEEP_ALIVE_MS, what: "change", signal });
  } catch (error) {
    if (error instanceof TimeoutError) return undefined;
    throw error;
  }
}
