import type { Socket } from "node:net";
import type { Context } from "../../core/context.ts";
import { messageOf } from "../../core/message_of.ts";
import { hasCode } from "../files/file_error.ts";
import { backendText } from "./backend.ts";
import type { BackendPool, PoolMember } from "./backend_pool.ts";
import { type BackendSocket, connectBackend } from "./connect_backend.ts";
import type { Deadlines } from "./deadlines.ts";

/** This machine lacks a resource; the backend may be healthy. */
const LOCAL_FAILURES = ["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "ENOMEM"];
const LOCAL_BACKOFF_MS = 100;

interface DispatcherOptions<Connection> extends Pick<Context, "clock" | "emit"> {
  pool: BackendPool<Connection>;
  deadlines: Deadlines<Socket>;
  holdMs: number;
  maxHeld: number;
  signal: AbortSignal;
}

/** Nothing is read from a client until a backend accepts: any number of them can be tried. */
export class Dispatcher<Connection extends { readonly isClosed: boolean }> {
  readonly #options: DispatcherOptions<Connection>;
  readonly #reported = new Set<string>();
  #hasReportedOutage = false;
  #hasReportedEarlyClient = false;
  held = 0;
  refused = 0;
  connectFailures = 0;
  /** Called with the time that a backend took to accept. */
  onConnected: ((ms: number) => void) | undefined;

  constructor(options: DispatcherOptions<Connection>) {
    this.#options = options;
  }

  /** Returns `undefined` if no backend accepts in time or the client has closed. */
  async connect(
    connection: Connection,
  ): Promise<{ member: PoolMember<Connection>; upstream: BackendSocket } | undefined> {
    const { pool, clock, holdMs, signal } = this.#options;
    const giveUpAt = clock.now() + holdMs;
    while (!connection.isClosed && !signal.aborted) {
      const member = pool.take(connection);
      if (member !== undefined) {
        const upstream = await this.#try(member, connection);
        if (upstream !== undefined) return { member, upstream };
      }
      const leftMs = giveUpAt - clock.now();
      if (leftMs <= 0) return this.#refuse();
      if (member === undefined && !(await this.#hold(leftMs))) return this.#refuse();
    }
    return undefined;
  }

  async #try(
    member: PoolMember<Connection>,
    connection: Connection,
  ): Promise<BackendSocket | undefined> {
    const { pool, deadlines, clock, signal } = this.#options;
    const { onConnected } = this;
    const startedAt = onConnected === undefined ? 0 : clock.monotonic();
    try {
      const upstream = await connectBackend(member.backend, deadlines);
      onConnected?.(clock.monotonic() - startedAt);
      this.#markHealthy(member);
      return upstream;
    } catch (error) {
      this.connectFailures += 1;
      pool.release(member, connection);
      if (hasCode(error, ...LOCAL_FAILURES)) {
        pool.ignore(member);
        await clock.sleep(LOCAL_BACKOFF_MS, signal).catch(() => {});
      } else this.#markFailed(member, error);
      return undefined;
    }
  }

  /** Returns false if too many clients wait already. */
  async #hold(ms: number): Promise<boolean> {
    const { pool, maxHeld, signal } = this.#options;
    if (this.held >= maxHeld) return false;
    this.held += 1;
    await pool.changed(ms, signal);
    this.held -= 1;
    return true;
  }

  #refuse(): undefined {
    const { pool, emit } = this.#options;
    this.refused += 1;
    // Clients before the first start of the app, such as a load balancer's checks, are normal.
    const important = pool.hasBegun;
    if (important ? this.#hasReportedOutage : this.#hasReportedEarlyClient) return;
    if (important) this.#hasReportedOutage = true;
    else this.#hasReportedEarlyClient = true;
    const message = important
      ? "No backend accepts connections: clients are turned away until one does"
      : "Turned away a client that came before the first backend was up";
    emit({ type: "warning", message, fields: { waiting: this.held }, important });
  }

  #markHealthy(member: PoolMember<Connection>): void {
    this.#hasReportedOutage = false;
    this.#reported.delete(backendText(member.backend));
    this.#options.pool.markHealthy(member);
  }

  #markFailed(member: PoolMember<Connection>, error: unknown): void {
    this.#options.pool.markFailed(member);
    const backend = backendText(member.backend);
    // A backend that is out of rotation may stop at any time.
    if (!member.inRotation || this.#reported.has(backend)) return;
    this.#reported.add(backend);
    const message = `Cannot connect to backend ${backend}: ${messageOf(error)}; it is retried with backoff`;
    this.#options.emit({ type: "warning", message, fields: { backend } });
  }
}
