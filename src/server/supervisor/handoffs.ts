/**
 * The ways in which traffic gets to the app. What each of them promises is in docs/server.md.
 *
 * @module
 */
import { createServer } from "node:net";
import type { Clock } from "../../core/clock.ts";
import { faultOf } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Backend } from "../../host/proxy/backend.ts";
import { probeHttp, probeTcp } from "../../host/proxy/probe.ts";
import type { TcpProxy } from "../../host/proxy/tcp_proxy.ts";
import type { HeldSocket } from "../../host/sockets/hold_sockets.ts";
import type { Handoff, Place, TellWhyNot } from "./handoff.ts";

const NOTHING = async (): Promise<void> => {};

/**
 * Every generation inherits the sockets that dewy holds; the kernel shares connections out among those that accept.
 *
 * @param sockets the sockets; none for a worker.
 * @returns the handoff.
 */
export function socketHandoff(sockets: readonly HeldSocket[]): Handoff {
  return {
    overlaps: true,
    settleMs: 0,
    prepare: async () => ({ sockets, env: {} }),
    take: () => {},
    stopAccepting: () => {},
    drain: NOTHING,
    cut: NOTHING,
    close: NOTHING,
  };
}

/** The app opens its port itself: one generation at a time. */
export const noHandoff: Handoff = {
  overlaps: false,
  settleMs: 0,
  prepare: async () => ({ sockets: [], env: {} }),
  take: () => {},
  stopAccepting: () => {},
  drain: NOTHING,
  cut: NOTHING,
  close: NOTHING,
};

/** What {@link proxyHandoff} works with. */
export interface ProxyHandoffOptions {
  /** One proxy a port; all lead to the same generation. */
  proxies: readonly TcpProxy[];
  /** What answers 2xx or 3xx when the app is healthy; absent: it accepts connections. */
  healthPath: string | undefined;
  /** How long one probe may take, in milliseconds. */
  probeTimeoutMs: number;
  clock: Clock;
}

const LOOPBACK = "127.0.0.1";
const SETTLE_MS = 500;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/**
 * Every generation listens on a port of its own on loopback, in `PORT`; dewy's proxy switches between them.
 *
 * @param options the proxies and how to ask for health.
 * @returns the handoff.
 */
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
    ready: (place, signal, tell) => untilHealthy(place, options, signal, tell),
    check: (place, signal) => probe(place, options, signal),
    take: (place) => {
      for (const proxy of proxies) proxy.setBackends([backendOf(place)]);
    },
    stopAccepting: () => {
      for (const proxy of proxies) proxy.stopAccepting();
    },
    drain: async (place, timeoutMs) => {
      await Promise.all(proxies.map((proxy) => proxy.untilDrained(backendOf(place), timeoutMs)));
    },
    cut: async (place, withinMs) => {
      await Promise.all(proxies.map((proxy) => proxy.drain(backendOf(place), withinMs)));
    },
    close: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
    },
  };
}

/** Named, because the port of a generation that is gone may be given out again. */
function backendOf({ env, name }: Place): Backend {
  return { host: LOOPBACK, port: Number(env.PORT), ...(name === undefined ? {} : { name }) };
}

async function probe(
  place: Place,
  { healthPath, probeTimeoutMs: timeoutMs }: ProxyHandoffOptions,
  signal: AbortSignal,
): Promise<void> {
  const backend = { ...backendOf(place), timeoutMs, signal };
  if (healthPath === undefined) await probeTcp(backend);
  else await probeHttp({ ...backend, path: healthPath });
}

async function untilHealthy(
  place: Place,
  options: ProxyHandoffOptions,
  signal: AbortSignal,
  tell: TellWhyNot,
): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 1.5)) {
    try {
      return await probe(place, options, signal);
    } catch (error) {
      signal.throwIfAborted();
      tell(messageOf(error), faultOf(error));
    }
    await options.clock.sleep(pauseMs, signal);
  }
}

/** Asks the system for a port, and gives it back at once for the app to take. */
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
