import { request } from "node:http";
import { connect, isIPv6 } from "node:net";
import { AbortedError, HostError } from "../../core/error.ts";

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
 * @returns when the answer was 200 to 399.
 * @throws HostError with what was seen instead, AbortedError when the signal ended it.
 */
export function probeHttp(probe: HttpProbe): Promise<void> {
  const { host, port, path } = probe;
  return attempt(probe, `GET ${path}`, ({ pass, fail }) => {
    // A connection of its own: one that is kept for later would hold up the drain of what is probed.
    const call = request({
      host,
      port,
      path,
      agent: false,
      headers: { host: authority(probe), "user-agent": "dewy", connection: "close" },
    });
    call.on("response", ({ statusCode = 0 }) => {
      if (statusCode >= 200 && statusCode < 400) pass();
      else fail(`it answered ${statusCode}`);
    });
    call.on("error", (error) => fail(error.message, error));
    call.end();
    return () => call.destroy();
  });
}

/**
 * Connects to a server, and looks whether it keeps the connection or says something.
 *
 * @param probe where, and how long it may take.
 * @returns when the connection was still open after the settle time.
 * @throws HostError with what was seen instead, AbortedError when the signal ended it.
 */
export function probeTcp(probe: TcpProbe): Promise<void> {
  const { host, port, settleMs = SETTLE_MS } = probe;
  const timeoutMs = probe.timeoutMs + settleMs;
  return attempt({ ...probe, timeoutMs }, "a connection", ({ pass, fail }) => {
    const socket = connect({ host, port });
    let settling: ReturnType<typeof setTimeout> | undefined;
    socket.on("connect", () => {
      settling = setTimeout(pass, settleMs);
    });
    // A server that speaks first is there, even when it then says goodbye.
    socket.on("data", pass);
    socket.on("end", () => fail("it accepted and closed at once"));
    socket.on("error", (error) => fail(error.message, error));
    return () => {
      clearTimeout(settling);
      socket.destroy();
    };
  });
}

interface Outcome {
  pass: () => void;
  fail: (reason: string, cause?: unknown) => void;
}

/** Starts something that ends by itself, by its timeout or by the signal, and is cleaned up after in any case. */
function attempt(
  probe: { host: string; port: number; timeoutMs: number; signal?: AbortSignal | undefined },
  what: string,
  start: (outcome: Outcome) => () => void,
): Promise<void> {
  const { timeoutMs, signal } = probe;
  const { promise, resolve, reject } = settlable();
  const where = `${what} to ${authority(probe)}`;
  const onAbort = (): void =>
    reject(new AbortedError(`The probe was ended: ${where}`, { cause: signal?.reason }));
  if (signal?.aborted) {
    onAbort();
    return promise;
  }
  const fail = (reason: string, cause?: unknown): void =>
    reject(new HostError(`The probe failed: ${where}: ${reason}`, { cause }));
  const timer = setTimeout(() => fail(`nothing came within ${timeoutMs} ms`), timeoutMs);
  signal?.addEventListener("abort", onAbort, { once: true });
  const stop = start({ pass: resolve, fail });
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
    stop();
  });
}

function settlable(): {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: Error) => void;
} {
  let resolve = (): void => {};
  let reject = (_error: Error): void => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

function authority({ host, port }: { host: string; port: number }): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
