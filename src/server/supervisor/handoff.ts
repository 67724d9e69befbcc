/**
 * The ways in which traffic reaches the app. docs/server.md describes what each of them guarantees.
 *
 * @module
 */
import { createServer } from "node:net";
import type { Clock } from "../../core/clock.ts";
import { type Fault, faultOf } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Backend } from "../../host/proxy/backend.ts";
import { countCheck, type HealthChecks, probeHttp, probeTcp } from "../../host/proxy/probe.ts";
import type { TcpProxy } from "../../host/proxy/tcp_proxy.ts";
import type { HeldSocket } from "../../host/sockets/hold_sockets.ts";

/** Where a generation accepts connections. */
export interface Endpoint {
  sockets: readonly HeldSocket[];
  env: Readonly<Record<string, string>>;
  /** Distinguishes endpoints behind a proxy. */
  name?: string;
}

export type ReportNotReady = (reason: string, fault: Fault) => void;

export interface Handoff {
  /** Whether two generations can run side by side; otherwise the old one is stopped first. */
  readonly overlaps: boolean;
  /**
   * How long an old generation keeps accepting after the switch: connections on their way to it must be accepted before it
   * stops listening. 0 if connections that it has not accepted are not lost.
   */
  readonly settleMs: number;
  prepare(): Promise<Endpoint>;
  /** Resolves when a running generation can serve. Absent if that cannot be checked. */
  ready?(endpoint: Endpoint, signal: AbortSignal, report: ReportNotReady): Promise<void>;
  /** Rejects with the reason if a generation does not serve any more. Absent if that cannot be checked. */
  check?(endpoint: Endpoint, signal: AbortSignal): Promise<void>;
  switchTo(endpoint: Endpoint): void;
  stopAccepting(): void;
  /** Sends no more connections to an endpoint; resolves when its connections have ended, or on timeout. */
  drain(endpoint: Endpoint, timeoutMs: number): Promise<void>;
  /** Closes the connections of a generation that is gone after `withinMs`. */
  closeConnections(endpoint: Endpoint, withinMs: number): Promise<void>;
  close(): Promise<void>;
}

const NOTHING = async (): Promise<void> => {};

/** Every generation inherits the sockets that dewy holds; the kernel distributes connections among them. */
export function socketHandoff(sockets: readonly HeldSocket[]): Handoff {
  return { ...noHandoff, overlaps: true, prepare: async () => ({ sockets, env: {} }) };
}

/** The app opens its port itself, so only one generation runs at a time. */
export const noHandoff: Handoff = {
  overlaps: false,
  settleMs: 0,
  prepare: async () => ({ sockets: [], env: {} }),
  switchTo: () => {},
  stopAccepting: () => {},
  drain: NOTHING,
  closeConnections: NOTHING,
  close: NOTHING,
};

export interface ProxyHandoffOptions {
  /** One proxy per port; all of them lead to the same generation. */
  proxies: readonly TcpProxy[];
  /** The path that returns 2xx or 3xx if the app is healthy. Without it, accepting a connection counts as healthy. */
  healthPath: string | undefined;
  probeTimeoutMs: number;
  /** Counts the checks. */
  healthChecks: HealthChecks;
  clock: Clock;
}

const LOOPBACK = "127.0.0.1";
const SETTLE_MS = 500;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/** Every generation listens on its own loopback port, given in `PORT`; dewy's proxy switches between them. */
export function proxyHandoff(options: ProxyHandoffOptions): Handoff {
  const { proxies } = options;
  let prepared = 0;
  return {
    overlaps: true,
    settleMs: SETTLE_MS,
    prepare: async () => {
      prepared += 1;
      return { sockets: [], env: { PORT: String(await freePort()) }, name: `start ${prepared}` };
    },
    ready: (endpoint, signal, report) => untilHealthy(endpoint, options, signal, report),
    check: (endpoint, signal) => probe(endpoint, options, signal),
    switchTo: (endpoint) => {
      for (const proxy of proxies) proxy.setBackends([backendOf(endpoint)]);
    },
    stopAccepting: () => {
      for (const proxy of proxies) proxy.stopAccepting();
    },
    drain: async (endpoint, timeoutMs) => {
      await Promise.all(proxies.map((proxy) => proxy.untilDrained(backendOf(endpoint), timeoutMs)));
    },
    closeConnections: async (endpoint, withinMs) => {
      await Promise.all(proxies.map((proxy) => proxy.drain(backendOf(endpoint), withinMs)));
    },
    close: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
    },
  };
}

/** Named, because the port of a generation that is gone may be given out again. */
function backendOf({ env, name }: Endpoint): Backend {
  return { host: LOOPBACK, port: Number(env.PORT), name };
}

async function probe(
  endpoint: Endpoint,
  { healthPath, probeTimeoutMs: timeoutMs, healthChecks }: ProxyHandoffOptions,
  signal: AbortSignal,
): Promise<void> {
  const backend = { ...backendOf(endpoint), timeoutMs, signal };
  const answer =
    healthPath === undefined ? probeTcp(backend) : probeHttp({ ...backend, path: healthPath });
  await countCheck(healthChecks, answer, signal);
}

async function untilHealthy(
  endpoint: Endpoint,
  options: ProxyHandoffOptions,
  signal: AbortSignal,
  report: ReportNotReady,
): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
    try {
      return await probe(endpoint, options, signal);
    } catch (error) {
      signal.throwIfAborted();
      report(messageOf(error), faultOf(error));
    }
    await options.clock.sleep(pauseMs, signal);
  }
}

/** A port that is free at the moment; the app opens it. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, LOOPBACK, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
