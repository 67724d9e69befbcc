import { request } from "node:http";
import { connect, isIPv6 } from "node:net";

/** What a probe found. */
export type ProbeResult =
  | {
      /** It is healthy. */
      ok: true;
    }
  | {
      /** It is not, or not yet. */
      ok: false;
      /** What was seen, such as `GET /health answered 503`. */
      reason: string;
    };

/** Options of {@link probeHttp}. */
export interface HttpProbe {
  /** Where the server is. */
  host: string;
  /** Its port. */
  port: number;
  /** What is asked for, with its slash. */
  path: string;
  /** How long the answer may take, in milliseconds. */
  timeoutMs: number;
  /** Ends the probe. */
  signal?: AbortSignal | undefined;
}

/** Options of {@link probeTcp}. */
export interface TcpProbe {
  /** Where the server is. */
  host: string;
  /** Its port. */
  port: number;
  /** How long connecting may take, in milliseconds. */
  timeoutMs: number;
  /**
   * How long the connection must stay open, in milliseconds: the port forwarder of a container engine accepts, and then
   * closes, while nothing listens behind it. The default is 250.
   */
  settleMs?: number | undefined;
  /** Ends the probe. */
  signal?: AbortSignal | undefined;
}

const SETTLE_MS = 250;

/**
 * Asks a server over HTTP whether it is healthy. Redirects are not followed: they are an answer.
 *
 * @param probe where, and how long it may take.
 * @returns ok for 200 to 399, else what was seen instead.
 */
export function probeHttp(probe: HttpProbe): Promise<ProbeResult> {
  const { host, port, path, timeoutMs } = probe;
  return new Promise((resolve) => {
    const answer = (result: ProbeResult): void => {
      timer.removeEventListener("abort", onTimeout);
      resolve(result);
      call.destroy();
    };
    // A connection of its own: one that is kept for later would hold up the drain of what is probed.
    const call = request({
      host,
      port,
      path,
      agent: false,
      headers: { host: hostHeader(host, port), "user-agent": "dewy", connection: "close" },
    });
    const timer = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...given(probe.signal)]);
    const onTimeout = (): void => answer(failure(`GET ${path} ${ending(probe, timeoutMs)}`));
    timer.addEventListener("abort", onTimeout);
    call.on("response", ({ statusCode = 0 }) => {
      const isOk = statusCode >= 200 && statusCode < 400;
      answer(isOk ? { ok: true } : failure(`GET ${path} answered ${statusCode}`));
    });
    call.on("error", (error) => answer(failure(`GET ${path} failed: ${error.message}`)));
    if (timer.aborted) onTimeout();
    call.end();
  });
}

/**
 * Connects to a server and looks whether it keeps the connection.
 *
 * @param probe where, and how long it may take.
 * @returns ok when the connection was still open after the settle time, else what was seen instead.
 */
export function probeTcp(probe: TcpProbe): Promise<ProbeResult> {
  const { host, port, timeoutMs, settleMs = SETTLE_MS } = probe;
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let settling: ReturnType<typeof setTimeout> | undefined;
    const answer = (result: ProbeResult): void => {
      timer.removeEventListener("abort", onTimeout);
      clearTimeout(settling);
      resolve(result);
      socket.destroy();
    };
    const timer = AbortSignal.any([
      AbortSignal.timeout(timeoutMs + settleMs),
      ...given(probe.signal),
    ]);
    const onTimeout = (): void => answer(failure(`port ${port} ${ending(probe, timeoutMs)}`));
    timer.addEventListener("abort", onTimeout);
    socket.on("connect", () => {
      settling = setTimeout(() => answer({ ok: true }), settleMs);
    });
    // A server that speaks first is there, even when it then says goodbye.
    socket.on("data", () => answer({ ok: true }));
    socket.on("end", () => answer(failure(`port ${port} accepted and closed at once`)));
    socket.on("error", (error) => answer(failure(`port ${port} failed: ${error.message}`)));
    if (timer.aborted) onTimeout();
  });
}

function failure(reason: string): ProbeResult {
  return { ok: false, reason };
}

function ending({ signal }: { signal?: AbortSignal | undefined }, timeoutMs: number): string {
  return signal?.aborted ? "was not waited for" : `did not answer within ${timeoutMs} ms`;
}

function given(signal: AbortSignal | undefined): readonly AbortSignal[] {
  return signal === undefined ? [] : [signal];
}

function hostHeader(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
