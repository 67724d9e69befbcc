import type { Clock } from "../../core/clock.ts";
import { type Backend, backendKey } from "./backend.ts";

/** How a proxy chooses among several backends. */
export type Balance = "least-connections" | "round-robin";

const FIRST_REST_MS = 100;
const LONGEST_REST_MS = 5_000;

/** One backend, and what the proxy knows of it. */
export interface PoolMember<Connection> {
  /** Where it is. */
  readonly backend: Backend;
  /** Its connections, those that are still being made too. */
  readonly connections: Set<Connection>;
  /** How many were ever given to it. */
  total: number;
  /** How often in a row connecting failed. */
  failures: number;
  /** Gets no connection before this time, in milliseconds since the epoch. */
  restsUntil: number;
  /** After a rest one connection goes first; the others wait until it was made. */
  onTrial: boolean;
  /** Whether new connections may go there. */
  inRotation: boolean;
}

/** Options of {@link BackendPool}. */
export interface BackendPoolOptions {
  /** How to choose. */
  balance: Balance;
  /** The time. */
  clock: Clock;
}

/** The backends of a proxy: which one is next, and which ones are left alone for a while. */
export class BackendPool<Connection> {
  readonly #balance: Balance;
  readonly #clock: Clock;
  readonly #members = new Map<string, PoolMember<Connection>>();
  #rotation: PoolMember<Connection>[] = [];
  #next = 0;
  #hasBegun = false;
  readonly #waiting = new Set<() => void>();

  /**
   * Makes a pool without backends.
   *
   * @param options how to choose, and the time.
   */
  constructor({ balance, clock }: BackendPoolOptions) {
    this.#balance = balance;
    this.#clock = clock;
  }

  /** Whether there is a backend that new connections may go to. */
  get hasRotation(): boolean {
    return this.#rotation.length > 0;
  }

  /** Whether there has ever been one. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /**
   * Replaces the backends that new connections go to. The connections of the others stay.
   *
   * @param backends all of them; one that is known keeps its state.
   */
  replace(backends: readonly Backend[]): void {
    for (const member of this.#rotation) member.inRotation = false;
    const unique = new Map(backends.map((backend) => [backendKey(backend), backend]));
    this.#rotation = [...unique].map(([key, backend]) => this.#join(key, backend));
    this.#hasBegun ||= this.hasRotation;
    this.#forget();
    this.#wake();
  }

  /**
   * Takes one backend out of the rotation.
   *
   * @param backend the backend.
   * @returns what is known of it; `undefined` when it is unknown or forgotten.
   */
  remove(backend: Backend): PoolMember<Connection> | undefined {
    const member = this.#members.get(backendKey(backend));
    if (member === undefined) return undefined;
    member.inRotation = false;
    this.#rotation = this.#rotation.filter((other) => other !== member);
    this.#forget();
    return member;
  }

  /** @returns every backend of the rotation, and those that still have connections. */
  members(): readonly PoolMember<Connection>[] {
    return [...this.#members.values()];
  }

  /**
   * Finds one backend.
   *
   * @param backend the backend.
   * @returns what is known of it; `undefined` when it is unknown or forgotten.
   */
  find(backend: Backend): PoolMember<Connection> | undefined {
    return this.#members.get(backendKey(backend));
  }

  /**
   * Gives a connection to the next backend.
   *
   * @param connection the connection.
   * @returns the backend; `undefined` when there is none, or when all of them rest.
   */
  take(connection: Connection): PoolMember<Connection> | undefined {
    const member = this.#choose();
    if (member === undefined) return undefined;
    member.onTrial = member.failures > 0;
    member.total += 1;
    member.connections.add(connection);
    return member;
  }

  /**
   * Takes a connection back: it ended, or was never made.
   *
   * @param member its backend.
   * @param connection the connection.
   */
  release(member: PoolMember<Connection>, connection: Connection): void {
    member.connections.delete(connection);
    if (!member.inRotation) this.#forget();
  }

  /**
   * Hears that a connection to a backend was made.
   *
   * @param member the backend.
   */
  succeeded(member: PoolMember<Connection>): void {
    if (member.failures === 0) return;
    member.failures = 0;
    member.onTrial = false;
    this.#wake();
  }

  /**
   * Hears that a connection to a backend could not be made: it rests, longer each time in a row.
   *
   * @param member the backend.
   */
  failed(member: PoolMember<Connection>): void {
    const pause = Math.min(FIRST_REST_MS * 2 ** member.failures, LONGEST_REST_MS);
    member.failures += 1;
    member.onTrial = false;
    member.restsUntil = this.#clock.now() + pause;
    this.#wake();
  }

  /**
   * Hears that connecting to a backend failed for a reason that says nothing about it.
   *
   * @param member the backend.
   */
  undecided(member: PoolMember<Connection>): void {
    member.onTrial = false;
    this.#wake();
  }

  /**
   * Waits until choosing again is worth it: other backends, a rest that is over, a trial that ended.
   *
   * @param ms the longest wait in milliseconds.
   * @param signal ends the wait; it then resolves as well.
   */
  async changed(ms: number, signal: AbortSignal): Promise<void> {
    const ends = this.#rotation.filter(({ onTrial }) => !onTrial).map((one) => one.restsUntil);
    const wait = Math.min(ms, Math.max(1, Math.min(...ends) - this.#clock.now()));
    const timer = new AbortController();
    const stop = (): void => timer.abort();
    this.#waiting.add(stop);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    await this.#clock.sleep(wait, timer.signal).catch(() => {});
    signal.removeEventListener("abort", stop);
    this.#waiting.delete(stop);
  }

  #join(key: string, backend: Backend): PoolMember<Connection> {
    const member = this.#members.get(key) ?? {
      backend,
      connections: new Set(),
      total: 0,
      failures: 0,
      restsUntil: 0,
      onTrial: false,
      inRotation: true,
    };
    member.inRotation = true;
    this.#members.set(key, member);
    return member;
  }

  #choose(): PoolMember<Connection> | undefined {
    const rotation = this.#rotation;
    let best: PoolMember<Connection> | undefined;
    let bestIndex = 0;
    for (let step = 0; step < rotation.length; step += 1) {
      const index = (this.#next + step) % rotation.length;
      const member = rotation[index];
      if (member === undefined || !this.#isReady(member)) continue;
      if (best !== undefined && best.connections.size <= member.connections.size) continue;
      best = member;
      bestIndex = index;
      if (this.#balance === "round-robin") break;
    }
    if (best !== undefined) this.#next = (bestIndex + 1) % rotation.length;
    return best;
  }

  #isReady(member: PoolMember<Connection>): boolean {
    if (member.failures === 0) return true;
    return !member.onTrial && member.restsUntil <= this.#clock.now();
  }

  #forget(): void {
    for (const [key, member] of this.#members) {
      if (!member.inRotation && member.connections.size === 0) this.#members.delete(key);
    }
  }

  #wake(): void {
    for (const stop of [...this.#waiting]) stop();
  }
}
