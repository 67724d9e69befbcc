import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import type { Context } from "../../core/context.ts";
import type { Backend } from "./backend.ts";
import { BackendPool, type Balance, type PoolMember } from "./backend_pool.ts";
import { Deadlines } from "./deadlines.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { ExchangeCounts } from "./http_framing.ts";
import { listenAddress, type ProxyAddress } from "./listen_address.ts";
import { type Fate, ProxiedConnection, UNREAD_MS } from "./proxied_connection.ts";
import { endpoint, type ProxyProtocol, proxyHeader } from "./proxy_header.ts";

const IDLE_TIMEOUT_MS = 300_000;
const CONNECT_TIMEOUT_MS = 5_000;
const HOLD_MS = 5_000;
const MAX_HELD = 1_024;
const MAX_SWEEP_MS = 5_000;
const KEEP_ALIVE_MS = 60_000;
/** Servers (Node, Apache) close idle connections after as long, so clients know how to retry. */
const IDLE_CLOSE_MS = 5_000;
const DRAIN_CHECK_MS = 250;
/** A backend that ended has most likely exited; its clients must not delay a drain for long. */
const LINGER_MS = 30_000;

export interface TcpProxyOptions extends Pick<Context, "clock" | "emit"> {
  listen: ProxyAddress;
  /** For a connection without traffic; 0 disables it. Once the backend has ended, 30,000 at most. */
  idleTimeoutMs?: number;
  /** How long a client waits while no backend accepts. */
  holdMs?: number;
  /** How many clients may wait at once; more are reset. */
  maxHeld?: number;
  balance?: Balance;
  /** Sends the client's address to the backends, which must expect it. */
  proxyProtocol?: ProxyProtocol;
}

export interface TcpProxyStats {
  /** The port that it listens on; 0 for a unix socket. */
  port: number;
  accepted: number;
  /** Includes the clients that wait for a backend. */
  open: number;
  /** Clients that wait for a backend now. */
  held: number;
  /** Clients that were reset because no backend was available. */
  refused: number;
  /** Attempts to connect to a backend that failed. */
  connectFailures: number;
  requests: ExchangeCounts;
  /** Connections that reached the idle timeout. */
  idle: number;
  bytesToBackends: number;
  bytesToClients: number;
  /** The backends in rotation, and those that still have connections. */
  backends: readonly {
    backend: Backend;
    connections: number;
    total: number;
    failures: number;
    inRotation: boolean;
  }[];
}

/** Receives the times of connections, in seconds, with the port that the proxy listens on. */
export interface ProxyObserver {
  /** A backend has accepted a connection after that time. */
  connected(port: number, seconds: number): void;
  /** A client's connection was closed after that time. */
  closed(port: number, seconds: number): void;
}

export interface Drained {
  /** Closed by the client or the backend. */
  closed: number;
  /** Still open at the timeout. */
  cut: number;
}

/** Starts a proxy for any protocol over TCP, which accepts at once. Clients wait for a backend. */
export async function startTcpProxy(options: TcpProxyOptions): Promise<TcpProxy> {
  const proxy = new TcpProxy(options);
  await proxy.listen(options.listen);
  return proxy;
}

type Member = PoolMember<ProxiedConnection>;

export class TcpProxy {
  /** Where it listens; for a unix socket, the path as host and port 0. */
  address: { readonly host: string; readonly port: number } = { host: "", port: 0 };
  readonly #clock: Clock;
  readonly #idleTimeoutMs: number;
  readonly #proxyProtocol: ProxyProtocol | undefined;
  readonly #server: Server;
  readonly #pool: BackendPool<ProxiedConnection>;
  readonly #dispatcher: Dispatcher<ProxiedConnection>;
  readonly #connections = new Set<ProxiedConnection>();
  readonly #closed = new AbortController();
  readonly #watchers = new Set<() => void>();
  readonly #lingering: Deadlines<ProxiedConnection>;
  /** Resolves when the last connection has closed; `undefined` while it accepts. */
  #stopped: Promise<void> | undefined;
  #isDrainingIdle = false;
  readonly #counts = { accepted: 0, idle: 0, bytesToBackends: 0, bytesToClients: 0 };
  readonly #exchanges: ExchangeCounts = { answered: 0, interrupted: 0 };
  #observer: ProxyObserver | undefined;

  constructor(options: TcpProxyOptions) {
    const { clock, emit, balance = "least-connections" } = options;
    const { signal } = this.#closed;
    this.#clock = clock;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
    this.#proxyProtocol = options.proxyProtocol;
    this.#pool = new BackendPool({ clock, balance });
    const deadlines = new Deadlines<Socket>({
      ms: CONNECT_TIMEOUT_MS,
      onDue: (socket) => socket.destroy(new Error("it did not accept in time")),
      clock,
      signal,
    });
    this.#lingering = new Deadlines<ProxiedConnection>({
      ms: UNREAD_MS,
      onDue: (connection) => {
        if (connection.hasLingered) connection.cut();
        else if (!connection.isClosed) this.#lingering.add(connection);
      },
      clock,
      signal,
    });
    this.#dispatcher = new Dispatcher({
      pool: this.#pool,
      deadlines,
      holdMs: options.holdMs ?? HOLD_MS,
      maxHeld: options.maxHeld ?? MAX_HELD,
      clock,
      emit,
      signal,
    });
    this.#server = createServer(
      { allowHalfOpen: true, pauseOnConnect: true, noDelay: true },
      (client) => this.#accept(client),
    );
  }

  async listen(address: ProxyAddress): Promise<void> {
    await listenAddress(this.#server, address);
    // Accepting can fail for lack of descriptors; the next attempt may succeed.
    this.#server.on("error", () => {});
    this.address = boundTo(this.#server.address());
    if (this.#idleTimeoutMs > 0) void this.#sweep();
  }

  /** Measures connections from now on, in place of an earlier observer. */
  observe(observer: ProxyObserver): void {
    this.#observer = observer;
    this.#dispatcher.onConnected = (ms) => observer.connected(this.address.port, ms / 1_000);
  }

  /** Replaces the backends of new connections, at once. Open connections to other backends stay. */
  setBackends(backends: readonly Backend[]): void {
    this.#pool.replace(backends);
    void this.#drainIdle();
  }

  connections(backend: Backend): number {
    return this.#pool.find(backend)?.connections.size ?? 0;
  }

  stopAccepting(): void {
    if (this.#isClosing) return;
    this.#stopped = new Promise((resolve) => this.#server.close(() => resolve()));
    void this.#drainIdle();
  }

  /** After stopAccepting() it waits for all connections, which have no other backend. */
  async untilDrained(backend: Backend, timeoutMs: number): Promise<void> {
    let connections: Set<ProxiedConnection> | undefined = this.#connections;
    if (!this.#isClosing) {
      connections = this.#pool.remove(backend)?.connections;
      void this.#drainIdle();
    }
    if (connections !== undefined) await this.#untilEmpty(connections, timeoutMs);
  }

  /** Takes a backend out of the rotation, waits for its connections, and cuts the rest. */
  async drain(backend: Backend, timeoutMs: number): Promise<Drained> {
    const member = this.#pool.remove(backend);
    if (member === undefined) return { closed: 0, cut: 0 };
    void this.#drainIdle();
    return this.#settle(member.connections, timeoutMs);
  }

  /** Stops accepting, waits for the connections, and cuts the rest. `drainMs` defaults to 0. */
  async close({ drainMs = 0 }: { drainMs?: number } = {}): Promise<void> {
    this.stopAccepting();
    await this.#settle(this.#connections, drainMs);
    this.#closed.abort(new Error("the proxy was closed"));
    await this.#stopped;
  }

  stats(): TcpProxyStats {
    return {
      ...this.#counts,
      port: this.address.port,
      open: this.#connections.size,
      requests: { ...this.#exchanges },
      held: this.#dispatcher.held,
      refused: this.#dispatcher.refused,
      connectFailures: this.#dispatcher.connectFailures,
      backends: this.#pool
        .members()
        .map(({ backend, connections, total, failures, inRotation }) => ({
          backend,
          connections: connections.size,
          total,
          failures,
          inRotation,
        })),
    };
  }

  #accept(client: Socket): void {
    this.#counts.accepted += 1;
    // Without an idle timeout only the system notices that a peer has vanished.
    if (this.#idleTimeoutMs === 0) client.setKeepAlive(true, KEEP_ALIVE_MS);
    const header = this.#header(client);
    const observer = this.#observer;
    const openedAt = observer === undefined ? 0 : this.#clock.now();
    let member: Member | undefined;
    const connection = new ProxiedConnection(client, {
      now: this.#clock.now,
      fate: () => this.#fateOf(member),
      onBytes: (count, to) => {
        if (to === "client") this.#counts.bytesToClients += count;
        else this.#counts.bytesToBackends += count;
      },
      onReleased: () => {
        this.#release(connection, member);
        member = undefined;
      },
      onWaiting: () => void serve(),
      onLingering: () => this.#lingering.add(connection),
      exchanges: this.#exchanges,
      onClosed: () => {
        const isFirst = this.#connections.delete(connection);
        const openMs = this.#clock.now() - openedAt;
        if (isFirst) observer?.closed(this.address.port, openMs / 1_000);
        this.#lingering.delete(connection);
        this.#release(connection, member);
      },
    });
    this.#connections.add(connection);
    const serve = async (): Promise<void> => {
      const route = await this.#dispatcher.connect(connection).catch(() => undefined);
      if (route === undefined) return connection.cut();
      member = route.member;
      if (!connection.isClosed) return connection.attach(route.upstream, header);
      route.upstream.destroy();
      this.#release(connection, member);
    };
    void serve();
  }

  get #isClosing(): boolean {
    return this.#stopped !== undefined;
  }

  #fateOf(member: Member | undefined): Fate {
    if (this.#isClosing) return "ends";
    if (member === undefined || member.inRotation) return "stays";
    return this.#pool.hasRotation ? "moves" : "ends";
  }

  #header(client: Socket): Uint8Array | undefined {
    if (this.#proxyProtocol === undefined) return undefined;
    const { remoteAddress, remotePort, localAddress, localPort } = client;
    return proxyHeader(this.#proxyProtocol, {
      source: endpoint(remoteAddress, remotePort),
      destination: endpoint(localAddress, localPort),
    });
  }

  #release(connection: ProxiedConnection, member: Member | undefined): void {
    if (member !== undefined) this.#pool.release(member, connection);
    for (const watch of this.#watchers) watch();
  }

  async #settle(connections: Set<ProxiedConnection>, timeoutMs: number): Promise<Drained> {
    const before = connections.size;
    await this.#untilEmpty(connections, timeoutMs);
    const cut = connections.size;
    for (const connection of connections) connection.cut();
    // Destroyed sockets close by themselves, with the next turn of the event loop.
    await this.#untilEmpty(connections, CONNECT_TIMEOUT_MS);
    return { closed: Math.max(0, before - cut), cut };
  }

  async #untilEmpty(connections: Set<ProxiedConnection>, ms: number): Promise<void> {
    if (ms <= 0) return;
    const empty = new AbortController();
    const watch = (): void => {
      if (connections.size === 0) empty.abort();
    };
    this.#watchers.add(watch);
    watch();
    await this.#clock.sleep(ms, empty.signal).catch(() => {});
    this.#watchers.delete(watch);
  }

  /**
   * Moves idle connections of draining backends to other backends. Without another backend, closes
   * long idle connections; the next response on the others has `Connection: close`.
   */
  async #drainIdle(): Promise<void> {
    if (this.#isDrainingIdle) return;
    this.#isDrainingIdle = true;
    const { signal } = this.#closed;
    for (let leaving = this.#leaving(); leaving.length > 0; leaving = this.#leaving()) {
      const longAgo = this.#clock.now() - IDLE_CLOSE_MS;
      const isLast = this.#isClosing || !this.#pool.hasRotation;
      for (const connection of leaving) {
        connection.moveOn();
        const isLong = connection.activeAt <= longAgo;
        if (isLast && isLong && connection.isIdle) connection.cut();
      }
      await this.#clock.sleep(DRAIN_CHECK_MS, signal).catch(() => {});
      if (signal.aborted) return;
    }
    this.#isDrainingIdle = false;
  }

  #leaving(): readonly ProxiedConnection[] {
    if (this.#isClosing) return [...this.#connections];
    const members = this.#pool.members().filter(({ inRotation }) => !inRotation);
    return members.flatMap(({ connections }) => [...connections]);
  }

  /** One timer for all connections: each closes at most a tenth of the idle timeout late. */
  async #sweep(): Promise<void> {
    const pause = Math.min(MAX_SWEEP_MS, Math.ceil(this.#idleTimeoutMs / 10));
    const { signal } = this.#closed;
    for (;;) {
      try {
        await this.#clock.sleep(pause, signal);
      } catch {
        return;
      }
      const now = this.#clock.now();
      const lingerMs = Math.min(LINGER_MS, this.#idleTimeoutMs);
      for (const connection of this.#connections) {
        const timeoutMs = connection.hasBackendEnded ? lingerMs : this.#idleTimeoutMs;
        if (now - connection.activeAt < timeoutMs) continue;
        this.#counts.idle += 1;
        connection.cut();
      }
    }
  }
}

function boundTo(address: AddressInfo | string | null): { host: string; port: number } {
  if (address === null || typeof address === "string") return { host: address ?? "", port: 0 };
  return { host: address.address, port: address.port };
}
