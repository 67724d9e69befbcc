import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import type { Backend } from "./backend.ts";
import { BackendPool, type PoolMember } from "./backend_pool.ts";
import { Deadlines } from "./deadlines.ts";
import { Dispatcher } from "./dispatcher.ts";
import { listenAddress, type ProxyAddress } from "./listen_address.ts";
import { type Fate, ProxiedConnection, UNREAD_MS } from "./proxied_connection.ts";
import { type ProxyProtocol, proxyHeader } from "./proxy_header.ts";
import type { Drained, TcpProxy, TcpProxyOptions, TcpProxyStats } from "./tcp_proxy.ts";

const IDLE_TIMEOUT_MS = 300_000;
const CONNECT_TIMEOUT_MS = 5_000;
const HOLD_MS = 5_000;
const MAX_HELD = 1_024;
const LONGEST_SWEEP_MS = 5_000;
const KEEP_ALIVE_MS = 60_000;
/**
 * How long a connection that waits for its next request is left alone when it is to end. Servers close idle connections
 * after as long on their own (Node and Apache do), so that clients know how to ask again on another one.
 */
const IDLE_CLOSE_MS = 5_000;
const LOOK_MS = 250;
/** A backend that ended has most likely gone; a client that does not notice must not hold up a drain for long. */
const LINGER_MS = 30_000;

type Member = PoolMember<ProxiedConnection>;

/** The proxy of {@link startTcpProxy}, on `node:net`. */
export class NetProxy implements TcpProxy {
  address: { host: string; port: number } = { host: "", port: 0 };
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
  /** Resolves when the last connection has ended; `undefined` while it accepts. */
  #stopped: Promise<void> | undefined;
  #isDrainClosing = false;
  readonly #counts = { accepted: 0, idle: 0, bytesToBackends: 0, bytesToClients: 0 };

  constructor(options: TcpProxyOptions) {
    const { clock, emit, balance = "least-connections" } = options;
    const { signal } = this.#closed;
    this.#clock = clock;
    this.#idleTimeoutMs = options.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
    this.#proxyProtocol = options.proxyProtocol;
    this.#pool = new BackendPool({ clock, balance });
    const deadlines = new Deadlines<Socket>({
      ms: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      onDue: (socket) => socket.destroy(new Error("it did not accept in time")),
      clock,
      signal,
    });
    this.#lingering = new Deadlines<ProxiedConnection>({
      ms: UNREAD_MS,
      onDue: (connection) => {
        if (connection.hasLingered) connection.cut();
        else if (!connection.isOver) this.#lingering.add(connection);
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

  /** Starts to accept. */
  async listen(address: ProxyAddress): Promise<void> {
    await listenAddress(this.#server, address);
    // Accepting can fail for want of descriptors; the next one may succeed.
    this.#server.on("error", () => {});
    this.address = boundTo(this.#server.address());
    if (this.#idleTimeoutMs > 0) void this.#sweep();
  }

  setBackends(backends: readonly Backend[]): void {
    this.#pool.replace(backends);
    void this.#drainClose();
  }

  connections(backend: Backend): number {
    return this.#pool.find(backend)?.connections.size ?? 0;
  }

  stopAccepting(): void {
    if (this.#isClosing) return;
    this.#stopped = new Promise((resolve) => this.#server.close(() => resolve()));
    void this.#drainClose();
  }

  async untilDrained(backend: Backend, timeoutMs: number): Promise<void> {
    let connections: Set<ProxiedConnection> | undefined = this.#connections;
    if (!this.#isClosing) {
      connections = this.#pool.remove(backend)?.connections;
      void this.#drainClose();
    }
    if (connections !== undefined) await this.#untilEmpty(connections, timeoutMs);
  }

  async drain(backend: Backend, timeoutMs: number, signal?: AbortSignal): Promise<Drained> {
    const member = this.#pool.remove(backend);
    if (member === undefined) return { closed: 0, cut: 0 };
    void this.#drainClose();
    return this.#settle(member.connections, timeoutMs, signal);
  }

  async close(options: { drainMs?: number } = {}): Promise<void> {
    this.stopAccepting();
    await this.#settle(this.#connections, options.drainMs ?? 0);
    this.#closed.abort(new Error("the proxy was closed"));
    await this.#stopped;
  }

  stats(): TcpProxyStats {
    return {
      ...this.#counts,
      open: this.#connections.size,
      held: this.#dispatcher.held,
      refused: this.#dispatcher.refused,
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
    // Without an idle timeout only the system can notice that a peer has vanished.
    if (this.#idleTimeoutMs === 0) client.setKeepAlive(true, KEEP_ALIVE_MS);
    const header = this.#header(client);
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
      onClosed: () => {
        this.#connections.delete(connection);
        this.#lingering.delete(connection);
        this.#release(connection, member);
      },
    });
    this.#connections.add(connection);
    const serve = async (): Promise<void> => {
      const route = await this.#dispatcher.connect(connection).catch(() => undefined);
      if (route === undefined) return connection.cut();
      member = route.member;
      if (!connection.isOver) return connection.attach(route.upstream, header);
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
      source: end(remoteAddress, remotePort),
      destination: end(localAddress, localPort),
    });
  }

  #release(connection: ProxiedConnection, member: Member | undefined): void {
    if (member !== undefined) this.#pool.release(member, connection);
    for (const watch of this.#watchers) watch();
  }

  /** Waits until a set of connections is empty, then cuts what is left. */
  async #settle(
    connections: Set<ProxiedConnection>,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Drained> {
    const before = connections.size;
    await this.#untilEmpty(connections, timeoutMs, signal);
    const cut = connections.size;
    for (const connection of connections) connection.cut();
    // Destroyed sockets close by themselves: nothing but an event loop turn is waited for.
    await this.#untilEmpty(connections, CONNECT_TIMEOUT_MS);
    return { closed: Math.max(0, before - cut), cut };
  }

  async #untilEmpty(
    connections: Set<ProxiedConnection>,
    ms: number,
    signal?: AbortSignal,
  ): Promise<void> {
    if (ms <= 0) return;
    const timer = new AbortController();
    const stop = (): void => timer.abort();
    const watch = (): void => {
      if (connections.size === 0) stop();
    };
    this.#watchers.add(watch);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
    watch();
    await this.#clock.sleep(ms, timer.signal).catch(() => {});
    signal?.removeEventListener("abort", stop);
    this.#watchers.delete(watch);
  }

  /**
   * While backends leave: lets their connections move on, and closes those that have nowhere to go once they have waited
   * for a request for a while. Those in use are told in the response.
   */
  async #drainClose(): Promise<void> {
    if (this.#isDrainClosing) return;
    this.#isDrainClosing = true;
    const { signal } = this.#closed;
    for (let leaving = this.#leaving(); leaving.length > 0; leaving = this.#leaving()) {
      const longAgo = this.#clock.now() - IDLE_CLOSE_MS;
      const hasNowhereToGo = this.#isClosing || !this.#pool.hasRotation;
      for (const connection of leaving) {
        connection.moveOn();
        const isLong = connection.activeAt <= longAgo;
        if (hasNowhereToGo && isLong && connection.isIdle) connection.cut();
      }
      await this.#clock.sleep(LOOK_MS, signal).catch(() => {});
      if (signal.aborted) return;
    }
    this.#isDrainClosing = false;
  }

  #leaving(): readonly ProxiedConnection[] {
    if (this.#isClosing) return [...this.#connections];
    const members = this.#pool.members().filter(({ inRotation }) => !inRotation);
    return members.flatMap(({ connections }) => [...connections]);
  }

  /** One timer for all connections: each of them ends at most a tenth of the idle timeout late. */
  async #sweep(): Promise<void> {
    const pause = Math.min(LONGEST_SWEEP_MS, Math.ceil(this.#idleTimeoutMs / 10));
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

function end(
  address: string | undefined,
  port: number | undefined,
): { address: string; port: number } | undefined {
  return address === undefined || port === undefined ? undefined : { address, port };
}

function boundTo(address: AddressInfo | string | null): { host: string; port: number } {
  if (address === null || typeof address === "string") return { host: address ?? "", port: 0 };
  return { host: address.address, port: address.port };
}
