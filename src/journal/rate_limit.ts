/** A token bucket that counts what it has refused. Times are in milliseconds since an arbitrary moment. */
export class RateLimit {
  readonly #burst: number;
  readonly #refillMs: number;
  #tokens: number;
  #refilledAt: number | undefined;
  #refused = 0;

  /** @param refillMs after which time there is one token more. */
  constructor(burst: number, refillMs: number) {
    this.#burst = burst;
    this.#refillMs = refillMs;
    this.#tokens = burst;
  }

  /** Returns the number of refused calls since the last call that was not; `undefined` if this call is refused. */
  take(now: number): number | undefined {
    const since = this.#refilledAt ?? now;
    const earned = Math.max(0, Math.floor((now - since) / this.#refillMs));
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#refilledAt = this.#tokens === this.#burst ? now : since + earned * this.#refillMs;
    if (this.#tokens === 0) {
      this.#refused += 1;
      return undefined;
    }
    this.#tokens -= 1;
    const refused = this.#refused;
    this.#refused = 0;
    return refused;
  }
}
