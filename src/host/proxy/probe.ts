import { connect, isIPv6, type Socket } from "node:net";
import { AbortedError, HostError } from "../../core/error.ts";
import { networkCause } from "../../http/network_cause.ts";
import { systemCode } from "../files/atomic_file.ts";
import { type ProxyProtocol, proxyHeader } from "./proxy_header.ts";

/** What all probes are told. */
export interface Probe {
  /** Where the server is. */
  host: string;
  /** Its port. */
  port: number;
  /** How long it may take, in milliseconds: the answer, or until the connection is made. */
  timeoutMs: number;
  /** What the server expects before anything else; nothing unless told. */
  proxyProtocol?: ProxyProtocol | undefined;
  /** Ends the probe. */
  signal?: AbortSignal | undefined;
}

/** Options of {@link probeHttp}. */
export interface HttpProbe extends Probe {
  /** What is asked for, with its slash. */
  path: string;
}

/** Options of {@link probeTcp}. */
export interface TcpProbe extends Probe {
  /**
   * How long the connection must stay open, in milliseconds: the port forwarder of a container engine accepts, and then
   * closes, while nothing listens behind it. The default is 250.
   */
  settleMs?: number | undefined;
}

const SETTLE_MS = 250;
/** Errors that the server causes. All others come from this machine: no descriptors, no memory, no route. */
const SERVERS: ReadonlySet<string> = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE"]);
/** More than any head that is fit for a health check. */
const MAX_HEAD_BYTES = 65_536;

/**
 * Asks a server over HTTP whether it is healthy. Redirects are not followed: they are an answer.
 *
 * @param probe where, and how long it may take.
 * @returns when the answer was 200 to 399.
 * @throws HostError with what was seen instead, with the fault `release` for what the server did; AbortedError when the
 * signal ended it.
 */
export function probeHttp(probe: HttpProbe): Promise<void> {
  const { path } = probe;
  const question = `GET ${path} HTTP/1.1\r\nHost: ${authority(probe)}\r\nUser-Agent: dewy\r\nConnection: close\r\n\r\n`;
  return attempt(probe, `GET ${path}`, (socket, { pass, fail }) => {
    let received = "";
    // A connection of its own: one that is kept for later would hold up the drain of what is probed.
    socket.on("connect", () => socket.write(question));
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      const status = finalStatus(received);
      if (status === undefined && received.length < MAX_HEAD_BYTES) return;
      if (status === undefined || Number.isNaN(status)) fail("got something else than HTTP/1");
      else if (status >= 200 && status < 400) pass();
      else fail(`answered ${status}`);
    });
    socket.on("end", () => fail("got no answer: the connection was closed"));
  });
}

/** The status behind interim answers; NaN for what is no HTTP, `undefined` as long as it has not come. */
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

/**
 * Connects to a server, and looks whether it keeps the connection or says something.
 *
 * @param probe where, and how long it may take.
 * @returns when the connection was still open after the settle time.
 * @throws HostError with what was seen instead, with the fault `release` for what the server did; AbortedError when the
 * signal ended it.
 */
export function probeTcp(probe: TcpProbe): Promise<void> {
  const { settleMs = SETTLE_MS } = probe;
  const timeoutMs = probe.timeoutMs + settleMs;
  const what = `a connection to ${authority(probe)}`;
  return attempt({ ...probe, timeoutMs }, what, (socket, { pass, fail, after }) => {
    socket.on("connect", () => after(settleMs, pass));
    // A server that speaks first is there, even when it then says goodbye.
    socket.on("data", pass);
    socket.on("end", () => fail("was accepted and closed at once"));
  });
}

interface Outcome {
  pass: () => void;
  fail: (reason: string, cause?: unknown) => void;
  /** Does something later, unless the probe is over by then. */
  after: (ms: number, then: () => void) => void;
}

/** A connection that ends with the probe: by what is seen, by the timeout or by the signal. */
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
      const isServers = cause === undefined || SERVERS.has(systemCode(cause) ?? "");
      const fault = isServers ? "release" : "host";
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

/** The probe speaks for itself. */
function ownHeader(protocol: ProxyProtocol, socket: Socket): Uint8Array {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  const end = (address = "", port = 0): { address: string; port: number } => ({ address, port });
  const source = end(localAddress, localPort);
  return proxyHeader(protocol, { source, destination: end(remoteAddress, remotePort) });
}

function ended(what: string, signal: AbortSignal | undefined): AbortedError {
  return new AbortedError(`The probe was ended: ${what}`, { cause: signal?.reason });
}

function authority({ host, port }: { host: string; port: number }): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}
