import * as v from "valibot";
import { EntryAge } from "./age.ts";
import { claimKey } from "./keys.ts";
import type { SharedStore } from "./shared_store.ts";
import type { CacheEntry } from "./types.ts";

/** A claim that is not renewed for this long belongs to a machine that died. */
const LIFE_MS = 60_000;
const RENEWAL_MS = 20_000;
const MAX_CLAIM_BYTES = 4096;

const claimSchema = v.object({ locked_at: v.string(), locked_by: v.string() });

/** `failed` if the store takes no claim; `slow` if it may take one later. */
export type ClaimOutcome = "held" | "taken" | "failed" | "slow";

/** Who makes the object of a key. Others wait, unless the owner dies. */
export class Claim {
  readonly #key: string;
  readonly #shared: SharedStore;
  readonly #age: EntryAge;
  #version: string | undefined;

  constructor(key: string, shared: SharedStore) {
    this.#key = claimKey(key);
    this.#shared = shared;
    this.#age = new EntryAge(shared.clock);
  }

  async take(signal: AbortSignal): Promise<ClaimOutcome> {
    const found = await this.#read(signal);
    if ("error" in found) return "failed";
    const current = found.value;
    if (this.#isAlive(current)) return "taken";
    const text = this.#text();
    const written = await this.#write(text, current?.version, signal);
    if ("value" in written) {
      this.#version = written.value;
      return written.value === undefined ? "taken" : "held";
    }
    // The answer may be lost although the claim was written.
    const seen = await this.#read(signal);
    const isOurs = "value" in seen && textOf(seen.value) === text;
    if (isOurs) this.#version = seen.value?.version;
    if (isOurs) return "held";
    return written.isSlow ? "slow" : "failed";
  }

  /** Also `false` if the store does not answer. */
  async isTaken(signal: AbortSignal): Promise<boolean> {
    const found = await this.#read(signal);
    return "value" in found && this.#isAlive(found.value);
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
      await this.#shared.clock.sleep(RENEWAL_MS, signal);
      const written = await this.#write(this.#text(), this.#version, signal);
      if ("value" in written) this.#version = written.value;
    }
  }

  /** Not if another machine has taken it over. */
  async #remove(): Promise<void> {
    if (this.#version === undefined) return;
    const { store } = this.#shared;
    await this.#shared.try("write", undefined, (limited) => store.remove(this.#key, limited));
  }

  #read(signal: AbortSignal) {
    const { store } = this.#shared;
    return this.#shared.try("read", signal, (limited) =>
      store.read(this.#key, MAX_CLAIM_BYTES, limited),
    );
  }

  #text(): string {
    const { clock, node } = this.#shared;
    const lockedAt = new Date(clock.now()).toISOString();
    return JSON.stringify({ locked_at: lockedAt, locked_by: node });
  }

  #write(text: string, version: string | undefined, signal: AbortSignal) {
    const { store } = this.#shared;
    const condition = version === undefined ? "absent" : { version };
    const contentType = "application/json";
    return this.#shared.try("write", signal, (limited) =>
      store.write(this.#key, text, { condition, contentType, signal: limited }),
    );
  }

  #isAlive(claim: CacheEntry | undefined): boolean {
    return claim !== undefined && this.#age.of(claim, lockedAt(claim)) < LIFE_MS;
  }
}

/** A claim that cannot be read counts as one of long ago. */
function lockedAt(claim: CacheEntry): number {
  try {
    const found = v.safeParse(claimSchema, JSON.parse(textOf(claim) ?? ""));
    return (found.success && Date.parse(found.output.locked_at)) || 0;
  } catch {
    return 0;
  }
}

function textOf(claim: CacheEntry | undefined): string | undefined {
  return claim && new TextDecoder().decode(claim.body);
}
