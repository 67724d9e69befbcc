import type { Clock } from "../../core/clock.ts";
import { type Backend, backendKey } from "./backend.ts";

export type Balance = "least-connections" | "round-robin";

const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;

export interface PoolMember<Connection> {
  readonly backend: Backend;
  readonly connections: Set<Connection>;
  total: number;
  /** Consecutive failures to connect. */
  failures: number;
  backoffUntil: number;
  /** After a backoff one connection is tried first; the others wait until it is established. */
  onTrial: boolean;
  /** Whether it may get new connections. */
  inRotation: boolean;
}

export class BackendPool<Connection> {
  readonly #balance: Balance;
  readonly #clock: Clock;
  readonly #members = new Map<string, PoolMember<Connection>>();
  #rotation: PoolMember<Connection>[] = [];
  #next = 0;
  #hasBegun = false;
  readonly #waiting = new Set<() => void>();

  constructor({ balance, clock }: { balance: Balance; clock: Clock }) {
    this.#balance = balance;
    this.#clock = clock;
  }

  get hasRotation(): boolean {
    return this.#rotation.length > 0;
  }

  /** Whether there has ever been such a backend. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Replaces the backends of new connections. Connections of the others stay. */
  replace(backends: readonly Backend[]): void {
    for (const member of this.#rotation) member.inRotation = false;
    const unique = new Map(backends.map((backend) => [backendKey(backend), backend]));
    this.#rotation = [...unique].map(([key, backend]) => this.#join(key, backend));
    this.#hasBegun ||= this.hasRotation;
    this.#forget();
    this.#wake();
  }

  remove(backend: Backend): PoolMember<Connection> | undefined {
    const member = this.#members.get(backendKey(backend));
    if (member === undefined) return undefined;
    member.inRotation = false;
    this.#rotation = this.#rotation.filter((other) => other !== member);
    this.#forget();
    return member;
  }

  /** The backends in rotation, and those that still have connections. */
  members(): readonly PoolMember<Connection>[] {
    return [...this.#members.values()];
  }

  find(backend: Backend): PoolMember<Connection> | undefined {
    return this.#members.get(backendKey(backend));
  }

  /** Returns `undefined` if there is no backend, or all of them back off. */
  take(connection: Connection): PoolMember<Connection> | undefined {
    const member = this.#choose();
    if (member === undefined) return undefined;
    member.onTrial = member.failures > 0;
    member.total += 1;
    member.connections.add(connection);
    return member;
  }

  release(member: PoolMember<Connection>, connection: Connection): void {
    member.connections.delete(connection);
    if (!member.inRotation) this.#forget();
  }

  markHealthy(member: PoolMember<Connection>): void {
    if (member.failures === 0) return;
    member.failures = 0;
    member.onTrial = false;
    this.#wake();
  }

  markFailed(member: PoolMember<Connection>): void {
    const backoff = Math.min(FIRST_BACKOFF_MS * 2 ** member.failures, MAX_BACKOFF_MS);
    member.failures += 1;
    member.onTrial = false;
    member.backoffUntil = this.#clock.now() + backoff;
    this.#wake();
  }

  /** For a failure that says nothing about the backend. */
  ignore(member: PoolMember<Connection>): void {
    member.onTrial = false;
    this.#wake();
  }

  /** Waits until take() may succeed. The abort resolves it. */
  async changed(ms: number, signal: AbortSignal): Promise<void> {
    const ends = this.#rotation.filter(({ onTrial }) => !onTrial).map((one) => one.backoffUntil);
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
      backoffUntil: 0,
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
    return !member.onTrial && member.backoffUntil <= this.#clock.now();
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
