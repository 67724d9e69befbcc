import { messageOf } from "../../core/message_of.ts";
import { abortWith, TimeoutError, withTimeout } from "../../core/timeout.ts";
import type { GrpcAnnouncement, GrpcChannel, GrpcQuestion } from "./channel.ts";
import type { GrpcIo } from "./client.ts";
import { Code, callErrorOf, StatusError } from "./status.ts";

export interface GrpcWatch {
  question: GrpcQuestion;
  token: string;
  /** The channel of the polls. */
  open: () => Promise<GrpcChannel>;
  /** What the last poll was answered. */
  answered: () => GrpcAnnouncement | undefined;
  onChange: () => void;
  signal: AbortSignal;
}

/** Servers announce something every 30 seconds. */
const SILENCE_MS = 75_000;
const SPREAD_MS = 2_000;
const BASE_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 5 * 60_000;
/** Before a server is asked again that does not know `Watch`, or does not allow it: it may have been updated. */
const REFUSED_PAUSE_MS = 15 * 60_000;
const REFUSALS: ReadonlySet<number> = new Set([
  Code.Unimplemented,
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.InvalidArgument,
  Code.ResourceExhausted,
]);

/**
 * Follows `Watch`, and calls `onChange` when the server announces something else than the last poll was answered. A stream
 * that ends or breaks is opened again, with backoff and jitter. Never rejects; polls report what is wrong with a server.
 */
export async function watchVersion(watch: GrpcWatch, io: GrpcIo): Promise<void> {
  const { random = Math.random, clock, emit } = io;
  // A thousand machines receive a release at once.
  const spread = async (): Promise<void> => {
    await clock.sleep(random() * SPREAD_MS, watch.signal);
    watch.onChange();
  };
  const changes = new Changes({ ...watch, onChange: () => void spread().catch(() => {}) });
  let failures = 0;
  while (!watch.signal.aborted) {
    let reason = "the server ended the stream";
    let longestMs = BASE_PAUSE_MS;
    try {
      await follow(watch, io, (announced) => {
        failures = 0;
        changes.take(announced);
      });
    } catch (error) {
      failures += 1;
      reason = messageOf(error);
      longestMs = REFUSALS.has(callErrorOf(error).code)
        ? REFUSED_PAUSE_MS
        : Math.min(MAX_PAUSE_MS, BASE_PAUSE_MS * 2 ** Math.min(failures, 20));
    }
    if (watch.signal.aborted) return;
    // A thousand machines lose their streams at once when a gateway restarts.
    const pauseMs = Math.round(longestMs * (0.5 + random()));
    emit({ type: "watch-ended", reason, retryInMs: pauseMs });
    await clock.sleep(pauseMs, watch.signal).catch(() => {});
  }
}

/** Reports each announcement once, even if polls keep getting another answer. */
class Changes {
  readonly #watch: GrpcWatch;
  #reported = "";

  constructor(watch: GrpcWatch) {
    this.#watch = watch;
  }

  take(announced: GrpcAnnouncement): void {
    const key = keyOf(announced);
    const answered = this.#watch.answered();
    // Before the first answer, a poll is under way.
    if (answered === undefined) return;
    if (keyOf(answered) === key) this.#reported = "";
    else if (this.#reported !== key) {
      this.#reported = key;
      this.#watch.onChange();
    }
  }
}

function keyOf({ id, tag }: GrpcAnnouncement): string {
  return JSON.stringify([id, tag]);
}

async function follow(
  { open, question, token, signal }: GrpcWatch,
  { clock }: GrpcIo,
  onMessage: (announced: GrpcAnnouncement) => void,
): Promise<void> {
  const channel = await open();
  if (channel.watch === undefined) {
    throw new StatusError("The channel has no Watch", Code.Unimplemented);
  }
  const ended = new AbortController();
  const detach = abortWith(ended, signal);
  const headers: Record<string, string> = token === "" ? {} : { authorization: `Bearer ${token}` };
  const messages = channel
    .watch(question, { signal: ended.signal, headers })
    [Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = messages.next();
      const limit = { clock, ms: SILENCE_MS, what: "message", signal: ended.signal };
      const { done, value } = await withTimeout(next, limit);
      if (done) return;
      onMessage(value);
    }
  } catch (error) {
    // The connection is dead: polls would wait for it as well.
    if (error instanceof TimeoutError) channel.hangUp();
    throw error;
  } finally {
    detach();
    ended.abort();
  }
}
