/**
 * The calls of `dewy.RegistryService`: each with a deadline, bounded retries, and `DewyError`s.
 *
 * @see ../../proto/dewy.proto
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { type DewyError, RemoteError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { abortWith, stoppedError, TimeoutError, withTimeout } from "../../core/timeout.ts";
import { backoffMs, MAX_RETRY_AFTER_MS } from "../../http/retry.ts";
import type { GrpcCallOptions, GrpcChannel, GrpcQuestion, GrpcReport } from "./channel.ts";
import { SERVICE } from "./connect.ts";
import { type GrpcErrorContext, grpcError, isBrokenConnection, isForeignAnswer } from "./error.ts";
import { Code, callErrorOf } from "./status.ts";

export interface GrpcClientOptions {
  baseUrl: string;
  protocol: "grpc" | "grpc-web" | "connect";
  /** Sent as `authorization: Bearer`; empty: nothing is. */
  token: string;
  /** Opens the channel; asked once, before the first call, and again after it failed. */
  open: () => Promise<GrpcChannel>;
}
export interface GrpcIo {
  clock: Clock;
  emit: EventSink;
  random?: () => number;
}

/** How long one attempt may take, from the connection to the whole answer. */
export const GRPC_DEADLINE_MS = 10_000;
const RETRIES = 3;

type Method = "Current" | "Report";

/**
 * Makes a client. A call ends after ten seconds. UNAVAILABLE and connections that break are tried again with growing,
 * jittered pauses, at most three times, on a new connection; a connection that has answered before and is silent now
 * is given up, and the call is sent again.
 */
export function createGrpcClient(options: GrpcClientOptions, io: GrpcIo) {
  const line = openedOnce(options.open);
  const call = caller(options, line, io);
  return {
    channel: line.open,
    current: (question: GrpcQuestion, signal: AbortSignal | undefined) =>
      call("Current", signal, (channel, how) => channel.current(question, how)),
    report: (report: GrpcReport, signal: AbortSignal | undefined) =>
      call("Report", signal, (channel, how) => channel.report(report, how)),
  };
}

export type GrpcClient = ReturnType<typeof createGrpcClient>;

type Call = <T>(
  method: Method,
  signal: AbortSignal | undefined,
  work: (channel: GrpcChannel, how: GrpcCallOptions) => Promise<T>,
) => Promise<T>;

function caller(options: GrpcClientOptions, line: Line, io: GrpcIo): Call {
  const { baseUrl, protocol, token } = options;
  // Whether the connection has ever carried an answer: if so, silence may be the connection's own.
  let proven = false;

  return async (method, signal, work) => {
    const context = (): GrpcErrorContext => ({
      method,
      baseUrl,
      protocol,
      token,
      now: io.clock.now(),
    });
    for (let attempt = 1; ; attempt += 1) {
      if (signal?.aborted) throw stopped(method, baseUrl, signal.reason);
      const channel = await line.open();
      const wasProven = proven;
      try {
        const answer = await attemptOnce(
          io,
          { method, baseUrl, token, attempt },
          channel,
          signal,
          work,
        );
        proven = true;
        return answer;
      } catch (thrown) {
        if (signal?.aborted) {
          channel.hangUp();
          throw stopped(method, baseUrl, signal.reason);
        }
        const failure = judge(thrown, context());
        proven = failure.answered;
        if (!failure.answered) channel.hangUp();
        const again = failure.transient || (failure.silent && wasProven);
        if (!again || attempt > RETRIES) throw failure.error;
        await pause(io, method, baseUrl, failure.error, attempt, signal);
      }
    }
  };
}

type Line = Pick<GrpcClientOptions, "open">;

/** A channel that could not be opened, say for a missing CA file, is reopened at the next call. */
function openedOnce(open: () => Promise<GrpcChannel>): Line {
  let channel: Promise<GrpcChannel> | undefined;
  return {
    open() {
      channel ??= open();
      channel.catch(() => {
        channel = undefined;
      });
      return channel;
    },
  };
}

async function attemptOnce<T>(
  io: GrpcIo,
  at: { method: Method; baseUrl: string; token: string; attempt: number },
  channel: GrpcChannel,
  signal: AbortSignal | undefined,
  work: (channel: GrpcChannel, how: GrpcCallOptions) => Promise<T>,
): Promise<T> {
  const ended = new AbortController();
  const detach = signal && abortWith(ended, signal);
  const startedAt = io.clock.now();
  let status: number | undefined;
  try {
    const call = work(channel, {
      signal: ended.signal,
      timeoutMs: GRPC_DEADLINE_MS,
      headers: at.token === "" ? {} : { authorization: `Bearer ${at.token}` },
    });
    const answer = await withTimeout(call, {
      clock: io.clock,
      ms: GRPC_DEADLINE_MS,
      what: "answer",
      signal: ended.signal,
    });
    status = 200;
    return answer;
  } finally {
    detach?.();
    ended.abort();
    io.emit({
      type: "request",
      method: "POST",
      url: `${at.baseUrl}/${SERVICE}/${at.method}`,
      status,
      durationMs: io.clock.now() - startedAt,
      attempt: at.attempt,
    });
  }
}

interface Failure {
  error: DewyError;
  /** Whether the error came from the server, so that the connection works. */
  answered: boolean;
  /** Whether no answer came in time. */
  silent: boolean;
  /** Whether the same call may soon succeed. */
  transient: boolean;
}

function judge(thrown: unknown, context: GrpcErrorContext): Failure {
  if (thrown instanceof TimeoutError) return silence(thrown, context);
  const error = callErrorOf(thrown);
  const translated = grpcError(error, context);
  if (error.code === Code.DeadlineExceeded) return silence(error, context);
  const broken = isBrokenConnection(error);
  const patient = translated instanceof RemoteError && translated.retryable;
  const longWait =
    translated instanceof RemoteError && (translated.retryAfterMs ?? 0) > MAX_RETRY_AFTER_MS;
  return {
    error: translated,
    answered: !broken && !isForeignAnswer(error),
    silent: false,
    transient: patient && !longWait && (broken || error.code === Code.Unavailable),
  };
}

function silence(cause: Error, { method, baseUrl }: GrpcErrorContext): Failure {
  const seconds = GRPC_DEADLINE_MS / 1000;
  const error = new RemoteError(
    `Cannot call ${method} of ${baseUrl}: no answer within ${seconds} s`,
    { method: "POST", url: baseUrl, code: "timeout", cause },
  );
  return { error, answered: false, silent: true, transient: false };
}

async function pause(
  io: GrpcIo,
  method: Method,
  url: string,
  error: DewyError,
  attempt: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const wanted = error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
  const delayMs = Math.max(wanted, backoffMs(attempt, io.random ?? Math.random));
  io.emit({ type: "retry", method: "POST", url, reason: error.message, delayMs, attempt });
  try {
    await io.clock.sleep(delayMs, signal);
  } catch (cause) {
    throw stopped(method, url, cause);
  }
}

function stopped(method: Method, baseUrl: string, reason: unknown): DewyError {
  return stoppedError(`${method} of ${baseUrl}`, reason);
}
