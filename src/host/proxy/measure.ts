import type { TcpProxy } from "./tcp_proxy.ts";

/** The counters of a proxy, by the port that it listens on. */
export function measureProxy(proxy: TcpProxy) {
  const stats = proxy.stats();
  return {
    port: proxy.address.port,
    accepted: stats.accepted,
    active: stats.open,
    backends: stats.backends.filter(({ inRotation }) => inRotation).length,
    bytesToBackends: stats.bytesToBackends,
    bytesToClients: stats.bytesToClients,
    connectFailures: stats.connectFailures,
    refused: stats.refused,
    requests: { answered: stats.answered, interrupted: stats.interrupted },
  };
}

/** Receives the times of connections, in seconds. */
export interface ProxyObserver {
  /** A backend has accepted a connection after that time. */
  connected(port: number, seconds: number): void;
  /** A client's connection was closed after that time. */
  closed(port: number, seconds: number): void;
}

/** Sends the times of connections to an observer, with the port that the proxy listens on. */
export function observeProxy(proxy: TcpProxy, observer: ProxyObserver): void {
  const { port } = proxy.address;
  proxy.observe({
    connected: (seconds) => observer.connected(port, seconds),
    closed: (seconds) => observer.closed(port, seconds),
  });
}
