import { connect, isIPv6, type Socket } from "node:net";
import { AbortedError, HostError } from "../../core/error.ts";
import { networkCause } from "../../http/network_cause.ts";
import { systemCode } from "../files/atomic_file.ts";
import { endpoint, type ProxyProtocol, proxyHeader } from "./proxy_header.ts";

/** Health checks since the start, one per attempt. */
export interface HealthChecks {
  total: number;
  failures: number;
}

/** Counts a check, unless the signal ends it. */
export async function countCheck<T>(
  checks: HealthChecks,
  check: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  try {
    const result = await check;
    checks.total += 1;
    return result;
  } catch (error) {
    if (!signal.aborted) {
      checks.total += 1;
      checks.failures += 1;
    }
    throw error;
  }
}

interface Probe {
  host: string;
  port: number;
  timeoutMs: number;
  /** Set it if the server expects a PROXY header. */
  proxyProtocol?: ProxyProtocol | undefined;
  signal?: AbortSignal | undefined;
}

/** The forwarder of a container engine accepts, then closes, before the app listens. */
const SETTLE_MS = 250;
/** Caused by the server; all other errors come from this machine, such as missing descriptors. */
const SERVER_ERRORS: ReadonlySet<string> = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE"]);
const MAX_HEAD_BYTES = 65_536;

/** 200 to 399 pass. The fault of the error is `release` if the server is the cause. */
export function probeHttp(probe: Probe & { path: string }): Promise<void> {
  const { path } = probe;
  const request = `GET ${path} HTTP/1.1\r\nHost: ${authority(probe)}\r\nUser-Agent: dewy\r\nConnection: close\r\n\r\n`;
  return attempt(probe, `GET ${path}`, (socket, { pass, fail }) => {
    let received = "";
    // Without `Connection: close` the connection would delay a drain of the server.
    socket.on("connect", () => socket.write(request));
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      const status = finalStatus(received);
      if (status === undefined && received.length < MAX_HEAD_BYTES) return;
      if (status === undefined || Number.isNaN(status)) fail("got a response that is not HTTP/1");
      else if (status >= 200 && status < 400) pass();
      else fail(`answered ${status}`);
    });
    socket.on("end", () => fail("got no answer: the connection was closed"));
  });
}

/** The status after interim responses; NaN if not HTTP, `undefined` until it has arrived. */
function finalStatus(received: string): number | undefined {
  for (let start = 0; ; ) {
    const line = received.slice(start, start + 13);
    if (line.length < 13) return undefined;
    const status = Number(/^HTTP\/1\.[01] (\d{3})[ \r]/.exec(line)?.[1] ?? Number.NaN);
    if (!(status < 200)) return status;
    const end = received.indexOf("\r\n\r\n", start);
    if (end < 0) return undefined;
    start = end + 4;
  }
}

/** Passes if the server keeps the connection or sends something. Throws like probeHttp. */
export function probeTcp(probe: Probe & { settleMs?: number | undefined }): Promise<void> {
  const { settleMs = SETTLE_MS } = probe;
  const timeoutMs = probe.timeoutMs + settleMs;
  const what = `a connection to ${authority(probe)}`;
  return attempt({ ...probe, timeoutMs }, what, (socket, { pass, fail, after }) => {
    socket.on("connect", () => after(settleMs, pass));
    // A server that speaks first is up, even if it then closes the connection.
    socket.on("data", pass);
    socket.on("end", () => fail("was accepted and closed at once"));
  });
}

interface Outcome {
  pass: () => void;
  fail: (reason: string, cause?: unknown) => void;
  after: (ms: number, then: () => void) => void;
}

function attempt(
  probe: Probe,
  what: string,
  watch: (socket: Socket, outcome: Outcome) => void,
): Promise<void> {
  const { host, port, timeoutMs, proxyProtocol, signal } = probe;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(ended(what, signal));
    const socket = connect({ host, port });
    const timers: ReturnType<typeof setTimeout>[] = [];
    const over = (settle: () => void): void => {
      for (const timer of timers) clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.destroy();
      settle();
    };
    const fail: Outcome["fail"] = (reason, cause) => {
      const isServer = cause === undefined || SERVER_ERRORS.has(systemCode(cause) ?? "");
      const fault = isServer ? "release" : "host";
      over(() => reject(new HostError(`${what} ${reason}`, { cause, fault })));
    };
    const onAbort = (): void => over(() => reject(ended(what, signal)));
    const after: Outcome["after"] = (ms, then) => void timers.push(setTimeout(then, ms));
    after(timeoutMs, () => fail(`got nothing within ${timeoutMs} ms`));
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.on("error", (error) => fail(`failed: ${networkCause(error).reason}`, error));
    if (proxyProtocol !== undefined) {
      socket.on("connect", () => socket.write(ownHeader(proxyProtocol, socket)));
    }
    watch(socket, { pass: () => over(resolve), fail, after });
  });
}

function ownHeader(protocol: ProxyProtocol, socket: Socket): Uint8Array {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  return proxyHeader(protocol, {
    source: endpoint(localAddress, localPort),
    destination: endpoint(remoteAddress, remotePort),
  });
}

function ended(what: string, signal: AbortSignal | undefined): AbortedError {
  return new AbortedError(`The probe was ended: ${what}`, { cause: signal?.reason });
}

function authority({ host, port }: { host: string; port: number }): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
