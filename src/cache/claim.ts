import * as v from "valibot";
import type { Clock } from "../core/clock.ts";
import { claimKey } from "./keys.ts";
import type { Care } from "./trouble.ts";
import type { CacheEntry, CacheStore } from "./types.ts";

export interface ClaimOptions {
  store: CacheStore;
  care: Care;
  clock: Clock;
  /** This process, unique among those that share the store: `<host>:<pid>`. */
  node: string;
}

/** A claim that is not renewed for this long belongs to a machine that died. */
const LIFE_MS = 60_000;
const RENEWAL_MS = 20_000;
const MAX_CLAIM_BYTES = 4096;

const claimSchema = v.object({ locked_at: v.string(), locked_by: v.string() });

/** `failed` if the store takes no claim. */
export type ClaimOutcome = "held" | "taken" | "failed";

/** Who makes the object of a key. Others wait, unless the owner dies. */
export class Claim {
  readonly #key: string;
  readonly #options: ClaimOptions;
  #version: string | undefined;
  #sighted: { version: string; at: number } | undefined;

  constructor(key: string, options: ClaimOptions) {
    this.#key = claimKey(key);
    this.#options = options;
  }

  async take(signal: AbortSignal): Promise<ClaimOutcome> {
    const found = await this.#read(signal);
    if ("error" in found) return "failed";
    const current = found.value;
    if (this.#isAlive(current)) return "taken";
    const written = await this.#write(current?.version, signal);
    if ("error" in written) return "failed";
    this.#version = written.value;
    return written.value === undefined ? "taken" : "held";
  }

  /** Also `false` if the store does not answer. */
  async isTaken(signal: AbortSignal): Promise<boolean> {
    const found = await this.#read(signal);
    return "value" in found && this.#isAlive(found.value);
  }

  #read(signal: AbortSignal) {
    const { care, store } = this.#options;
    return care.try("read", signal, (limited) => store.read(this.#key, MAX_CLAIM_BYTES, limited));
  }

  #isAlive(claim: CacheEntry | undefined): boolean {
    return claim !== undefined && this.#ageOf(claim) < LIFE_MS;
  }

  /** Does the work while the claim is renewed, and removes it afterwards. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    const end = new AbortController();
    const renewing = this.#renew(end.signal).catch(() => {});
    try {
      return await work();
    } finally {
      end.abort();
      await renewing;
      await this.#remove();
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    while (this.#version !== undefined) {
      await this.#options.clock.sleep(RENEWAL_MS, signal);
      const written = await this.#write(this.#version, signal);
      if ("value" in written) this.#version = written.value;
    }
  }

  /** Not if another machine has taken it over. */
  async #remove(): Promise<void> {
    if (this.#version === undefined) return;
    const { care, store } = this.#options;
    await care.try("write to", undefined, (limited) => store.remove(this.#key, limited));
  }

  #write(version: string | undefined, signal: AbortSignal) {
    const { care, store, clock, node } = this.#options;
    const text = JSON.stringify({
      locked_at: new Date(clock.now()).toISOString(),
      locked_by: node,
    });
    return care.try("write to", signal, (limited) =>
      store.write(this.#key, text, {
        condition: version === undefined ? "absent" : { version },
        contentType: "application/json",
        signal: limited,
      }),
    );
  }

  /** Where the store does not tell it, a clock that is ahead shortens a claim, and none makes it longer. */
  #ageOf({ body, version, ageMs }: CacheEntry): number {
    if (ageMs !== undefined) return ageMs;
    const { clock } = this.#options;
    const now = clock.monotonic();
    if (this.#sighted?.version !== version) this.#sighted = { version, at: now };
    const stated = clock.now() - lockedAt(body);
    return Math.max(now - this.#sighted.at, Number.isNaN(stated) ? LIFE_MS : stated);
  }
}

function lockedAt(body: Uint8Array): number {
  try {
    const found = v.safeParse(claimSchema, JSON.parse(new TextDecoder().decode(body)));
    return found.success ? Date.parse(found.output.locked_at) : Number.NaN;
  } catch {
    return Number.NaN;
  }
}
