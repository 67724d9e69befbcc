import type { Clock } from "../../core/clock.ts";
import type { EventSink } from "../../core/event.ts";
import type { Backend } from "./backend.ts";
import type { Balance } from "./backend_pool.ts";
import type { ProxyAddress } from "./listen_address.ts";
import { NetProxy } from "./net_proxy.ts";
import type { ProxyProtocol } from "./proxy_header.ts";

/** Options of {@link startTcpProxy}. */
export interface TcpProxyOptions {
  /** Where clients connect to. */
  listen: ProxyAddress;
  /**
   * Ends a connection over which no byte went for so long, in milliseconds; 0 is never. The default is 300,000. After
   * the backend has ended its direction, it is 30,000 at most.
   */
  idleTimeoutMs?: number;
  /** How long a backend may take to accept, in milliseconds. The default is 5,000. */
  connectTimeoutMs?: number;
  /** How long a client waits for a backend when there is none, in milliseconds. The default is 5,000. */
  holdMs?: number;
  /** How many clients may wait so; the others are reset. The default is 1,024. */
  maxHeld?: number;
  /** How to choose among several backends. The default is `least-connections`. */
  balance?: Balance;
  /** Tells the backends who the client is. They must expect it. */
  proxyProtocol?: ProxyProtocol;
  /** The time. */
  clock: Clock;
  /** Hears of backends that do not accept, and of clients that found none. */
  emit: EventSink;
}

/** Numbers of a proxy since it started. */
export interface TcpProxyStats {
  /** Clients that connected. */
  accepted: number;
  /** Clients that are connected now, those that wait for a backend too. */
  open: number;
  /** Clients that wait for a backend now. */
  held: number;
  /** Clients that were reset because no backend could be had. */
  refused: number;
  /** Connections that ended because no byte went over them. */
  idle: number;
  /** Bytes from clients to backends. */
  bytesToBackends: number;
  /** Bytes from backends to clients. */
  bytesToClients: number;
  /** The backends of the rotation, and those that still have connections. */
  backends: readonly {
    backend: Backend;
    connections: number;
    total: number;
    failures: number;
    inRotation: boolean;
  }[];
}

/** What became of the connections of a backend that was drained. */
export interface Drained {
  /** Ended by the client or the backend. */
  closed: number;
  /** Still open when the time was over. */
  cut: number;
}

/** A running proxy. */
export interface TcpProxy {
  /** Where it listens; port 0 and the path as host for a unix socket. */
  readonly address: { host: string; port: number };
  /** Replaces the backends that new connections go to, at once. The connections of the others stay. */
  setBackends(backends: readonly Backend[]): void;
  /** @returns how many connections a backend has. */
  connections(backend: Backend): number;
  /** Accepts no further connection; those that are open go on. */
  stopAccepting(): void;
  /**
   * Takes a backend out of the rotation and waits until its connections have ended. A proxy that has stopped accepting
   * keeps it in the rotation and waits for all connections: there is no other backend for them.
   *
   * @param backend the backend.
   * @param timeoutMs how long they may take, in milliseconds.
   */
  untilDrained(backend: Backend, timeoutMs: number): Promise<void>;
  /**
   * Takes a backend out of the rotation, waits until its connections have ended, and cuts the rest.
   *
   * @param backend the backend.
   * @param timeoutMs how long they may take, in milliseconds.
   * @param signal cuts them now.
   */
  drain(backend: Backend, timeoutMs: number, signal?: AbortSignal): Promise<Drained>;
  /**
   * Stops to accept, waits at most `drainMs` milliseconds (0 unless told) for the connections, and cuts the rest.
   */
  close(options?: { drainMs?: number }): Promise<void>;
  /** @returns the numbers. */
  stats(): TcpProxyStats;
}

/**
 * Starts a proxy for any protocol over TCP. It has no backend yet: clients wait until {@link TcpProxy.setBackends}.
 *
 * @param options where it listens, its limits, the clock and the sink.
 * @returns the proxy, which accepts already.
 * @throws HostError when it cannot listen there.
 */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const proxy = new NetProxy(options);
  await proxy.listen(options.listen);
  return proxy;
}
