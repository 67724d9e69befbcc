import type { Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import type { EventSink } from "../../core/event.ts";
import { messageOf } from "../../core/message_of.ts";
import { hasCode } from "../files/file_error.ts";
import { backendText } from "./backend.ts";
import type { BackendPool, PoolMember } from "./backend_pool.ts";
import { type BackendSocket, connectBackend } from "./connect_backend.ts";
import type { Deadlines } from "./deadlines.ts";

/** This machine lacks something; the backend is not to blame. */
const OWN_LACK = ["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "ENOMEM"];
const LACK_PAUSE_MS = 100;

/** Options of {@link Dispatcher}. */
export interface DispatcherOptions<Connection> {
  /** The backends. */
  pool: BackendPool<Connection>;
  /** Ends attempts to connect. */
  deadlines: Deadlines<Socket>;
  /** How long a client may wait for a backend, in milliseconds. */
  holdMs: number;
  /** How many clients may wait at once. */
  maxHeld: number;
  /** The time. */
  clock: Clock;
  /** Hears of backends that do not accept, and of clients that found none. */
  emit: EventSink;
  /** Ends every wait. */
  signal: AbortSignal;
}

/**
 * Finds a backend for each client. No backend has got anything of what the client says, so that any number of them can
 * be tried. Waits a while when none accepts.
 */
export class Dispatcher<Connection extends { readonly isOver: boolean }> {
  readonly #options: DispatcherOptions<Connection>;
  readonly #resting = new Set<string>();
  #isLacking = false;
  #wasEarly = false;
  /** How many clients wait for a backend now. */
  held = 0;
  /** How many clients got none. */
  refused = 0;

  /**
   * Makes a dispatcher.
   *
   * @param options the backends and the limits.
   */
  constructor(options: DispatcherOptions<Connection>) {
    this.#options = options;
  }

  /**
   * Connects a client with a backend that accepts.
   *
   * @param connection the client.
   * @returns the backend and the socket to it; `undefined` when there is none in time, or the client has gone.
   */
  async connect(
    connection: Connection,
  ): Promise<{ member: PoolMember<Connection>; upstream: BackendSocket } | undefined> {
    const { pool, clock, holdMs, signal } = this.#options;
    const giveUpAt = clock.now() + holdMs;
    while (!connection.isOver && !signal.aborted) {
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
    try {
      const upstream = await connectBackend(member.backend, deadlines);
      this.#praise(member);
      return upstream;
    } catch (error) {
      pool.release(member, connection);
      if (hasCode(error, ...OWN_LACK)) {
        pool.undecided(member);
        await clock.sleep(LACK_PAUSE_MS, signal).catch(() => {});
      } else this.#blame(member, error);
      return undefined;
    }
  }

  /** @returns false when too many wait already. */
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
    // Before the app is up for the first time nothing is wrong: a load balancer's checks, for example, come early.
    const important = pool.hasBegun;
    if (important ? this.#isLacking : this.#wasEarly) return;
    if (important) this.#isLacking = true;
    else this.#wasEarly = true;
    const message = important
      ? "No backend accepts connections: clients are turned away until one does"
      : "Turned away a client that came before the first backend was up";
    emit({ type: "warning", message, fields: { waiting: this.held }, important });
  }

  #praise(member: PoolMember<Connection>): void {
    this.#isLacking = false;
    this.#resting.delete(backendText(member.backend));
    this.#options.pool.succeeded(member);
  }

  #blame(member: PoolMember<Connection>, error: unknown): void {
    this.#options.pool.failed(member);
    const backend = backendText(member.backend);
    // A backend that was taken out on purpose may go whenever it likes.
    if (!member.inRotation || this.#resting.has(backend)) return;
    this.#resting.add(backend);
    const reason = messageOf(error);
    this.#options.emit({
      type: "warning",
      message: `Cannot connect to backend ${backend}: ${reason}; it rests, and is tried again`,
      fields: { backend },
    });
  }
}
