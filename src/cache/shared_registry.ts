import { faultOf, IntegrityError } from "../core/error.ts";
import type { DewyEvent } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Platform, Registry, Resolution, ResolveOptions } from "../core/types.ts";
import { EntryAge } from "./age.ts";
import { registryKey } from "./keys.ts";
import { formatEntry, parseEntry, type SharedAnswer, type SharedEntry } from "./shared_entry.ts";
import type { SharedStore } from "./shared_store.ts";

export interface SharedRegistryOptions {
  /** How long an answer is shared. */
  ttlMs: number;
  /** The registry's URL, with the options of flags in its query. */
  scope: string;
  platform: Platform;
  /** A CalVer format; empty for SemVer. */
  calver: string;
}

/** Larger than the answer of a registry with 100,000 tags. */
const MAX_ENTRY_BYTES = 4 * 1024 * 1024;
const MIN_CLAIM_MS = 30_000;
const MAX_CLAIM_MS = 5 * 60_000;
const MAX_WAIT_MS = 2_000;
/** With an old answer at hand. */
const PATIENCE_WITH_ANSWER_MS = 5_000;
/** A question is asked this long after the wake-up, so that its answer serves all hosts that were woken with this one. */
const AFTER_WAKE_MS = 2_000;
/** The store tells times in whole seconds. */
const AGE_ERROR_MS = 1_000;
/** Less than the time a poll may take. */
const PATIENCE_MS = 40_000;

/** A store that can only be read would be asked for a claim again and again. */
const MAX_SLOW_CLAIMS = 1;

/** How long the claim of a machine that asks the registry is respected. */
export function claimLifeMs(ttlMs: number): number {
  return Math.min(MAX_CLAIM_MS, Math.max(MIN_CLAIM_MS, 2 * ttlMs));
}

/**
 * Shares the registry's answers among all machines with the same store: one of them asks the registry once every
 * `ttlMs`, the others read its answer. Where the store fails, each asks for itself.
 */
export function shareRegistry(
  registry: Registry,
  shared: SharedStore,
  options: SharedRegistryOptions,
): Registry {
  const questions = new Map<string, SharedQuestion>();
  let refreshedAt = Number.NEGATIVE_INFINITY;
  const questionOf = async (asked: ResolveOptions): Promise<SharedQuestion> => {
    const { platform = options.platform, artifact, exclude } = asked;
    const key = await registryKey({ scope: options.scope, platform, artifact, exclude });
    const known = questions.get(key) ?? new SharedQuestion(key, registry, shared, options);
    if (!questions.has(key) && questions.size >= MAX_QUESTIONS) questions.clear();
    questions.set(key, known);
    return known;
  };
  return {
    ...registry,
    async resolve(asked = {}) {
      // What an operator asks for is answered by the registry.
      if (asked.tag !== undefined || asked.explain || shared.isPlain)
        return registry.resolve(asked);
      const question = await questionOf(asked);
      const { resolution, tags } = await question.ask(asked, refreshedAt);
      for (const tag of tags) asked.onTag?.(tag);
      return resolution;
    },
    refresh() {
      refreshedAt = shared.clock.monotonic();
    },
  };
}

const MAX_QUESTIONS = 64;

/** An entry as it was read: what is written over it depends on its version. */
interface Seen {
  entry: SharedEntry;
  /** `undefined` if there is no object. */
  version: string | undefined;
  ageMs: number;
}

type Claimed = { kind: "claimed"; version: string } | { kind: "lost" | "slow" | "failed" };

class SharedQuestion {
  readonly #key: string;
  readonly #registry: Registry;
  readonly #shared: SharedStore;
  readonly #options: SharedRegistryOptions;
  readonly #age: EntryAge;
  #isFailing = false;

  constructor(
    key: string,
    registry: Registry,
    shared: SharedStore,
    options: SharedRegistryOptions,
  ) {
    this.#key = key;
    this.#registry = registry;
    this.#shared = shared;
    this.#options = options;
    this.#age = new EntryAge(shared.clock);
  }

  /** @param since What the registry has said before, by the monotonic clock, does not count. */
  async ask(asked: ResolveOptions, since: number): Promise<SharedAnswer> {
    const { clock } = this.#shared;
    const { ttlMs } = this.#options;
    const start = clock.monotonic();
    let slow = 0;
    for (let attempt = 0; ; attempt += 1) {
      const seen = await this.#read(asked.signal);
      if (seen === undefined) return this.#askAlone(undefined, asked);
      const { answer, claim, state } = seen.entry;
      const isClaimed = claim !== undefined && seen.ageMs < claimLifeMs(ttlMs);
      const isOfOld = isOlder(seen, clock.monotonic() - since);
      const isCurrent = claim === undefined && state !== "expired" && seen.ageMs < ttlMs;
      if (answer !== undefined && isCurrent && !isOfOld) return this.#hit(answer);
      const early = since + AFTER_WAKE_MS - clock.monotonic();
      if (!isClaimed && early > 0) {
        await clock.sleep(early, asked.signal);
        continue;
      }
      if (!isClaimed) {
        const claimed = await this.#claim(seen, asked.signal);
        if (claimed.kind === "slow") slow += 1;
        if (claimed.kind === "failed" || slow > MAX_SLOW_CLAIMS) {
          return this.#askAlone(answer, asked);
        }
        if (claimed.kind === "claimed") return this.#askForAll(claimed.version, seen, asked);
      }
      const waited = clock.monotonic() - start;
      const isEnough = waited >= PATIENCE_WITH_ANSWER_MS && !isOfOld;
      if (answer !== undefined && isEnough) return this.#hit(answer);
      if (waited >= PATIENCE_MS) return this.#askAlone(answer, asked);
      await this.#shared.wait(attempt, MAX_WAIT_MS, asked.signal);
    }
  }

  #hit(answer: SharedAnswer): SharedAnswer {
    this.#shared.emit({ type: "cache", what: "answer", outcome: "hit" });
    return answer;
  }

  /** `undefined` if the store does not answer. */
  async #read(signal: AbortSignal | undefined): Promise<Seen | undefined> {
    const { store } = this.#shared;
    const found = await this.#shared.try("read", signal, async (limited) => {
      try {
        return await store.read(this.#key, MAX_ENTRY_BYTES, limited);
      } catch (error) {
        // Not an entry.
        if (!(error instanceof IntegrityError)) throw error;
        await store.remove(this.#key, limited);
        return undefined;
      }
    });
    if ("error" in found) return undefined;
    const { value } = found;
    if (value === undefined) return { entry: UNANSWERED, version: undefined, ageMs: 0 };
    const entry = parseEntry(value.body, this.#options.calver) ?? UNANSWERED;
    const { claim, fetchedAt } = entry;
    const ageMs = this.#age.of(value, claim?.at ?? fetchedAt);
    return { entry, version: value.version, ageMs };
  }

  async #claim({ entry, version }: Seen, signal: AbortSignal | undefined): Promise<Claimed> {
    const { clock, node: by, store } = this.#shared;
    if (!(await this.#shared.isAtomic(signal))) {
      if (this.#shared.isPlain) this.#shared.emit(withoutConditions(store.name));
      return { kind: "failed" };
    }
    const claim = { by, at: clock.now() };
    const written = await this.#write({ ...entry, claim }, version, signal);
    if ("value" in written) {
      return written.value === undefined
        ? { kind: "lost" }
        : { kind: "claimed", version: written.value };
    }
    // The answer may be lost although the claim was written.
    const seen = await this.#read(signal);
    const isOurs = seen?.entry.claim?.by === by && seen.entry.claim.at === claim.at;
    return isOurs && seen.version !== undefined
      ? { kind: "claimed", version: seen.version }
      : { kind: written.isSlow ? "slow" : "failed" };
  }

  #write(entry: SharedEntry, version: string | undefined, signal: AbortSignal | undefined) {
    const condition = version === undefined ? "absent" : { version };
    const contentType = "application/json";
    return this.#shared.try("write", signal, (limited) =>
      this.#shared.store.write(this.#key, formatEntry(entry), {
        condition,
        contentType,
        signal: limited,
      }),
    );
  }

  async #askForAll(version: string, seen: Seen, asked: ResolveOptions): Promise<SharedAnswer> {
    const { answer: old, fetchedAt } = seen.entry;
    const { clock } = this.#shared;
    const start = clock.monotonic();
    try {
      const answer = await this.#askRegistry("miss", asked);
      const times = { fetchedAt: clock.now(), askedMs: clock.monotonic() - start };
      await this.#write({ answer, ...times, state: "fresh" }, version, asked.signal);
      return answer;
    } catch (error) {
      // The claim is released even if this machine stops.
      const isShared = old !== undefined && faultOf(error) === "remote";
      const state = isShared ? "failed" : "expired";
      const askedMs = clock.monotonic() - start;
      await this.#write({ answer: old, fetchedAt, askedMs, state }, version, undefined);
      return this.#fallBack(old, error, asked);
    }
  }

  /** The store does not answer, or takes no claim. */
  async #askAlone(old: SharedAnswer | undefined, asked: ResolveOptions): Promise<SharedAnswer> {
    try {
      return await this.#askRegistry("failed", asked);
    } catch (error) {
      return this.#fallBack(old, error, asked);
    }
  }

  #fallBack(
    old: SharedAnswer | undefined,
    error: unknown,
    { signal }: ResolveOptions,
  ): SharedAnswer {
    signal?.throwIfAborted();
    if (old === undefined) throw error;
    if (!this.#isFailing) {
      const fields = { cache: this.#shared.store.name, reason: messageOf(error) };
      const message = "The registry does not answer; the last shared answer is used";
      this.#shared.emit({ type: "warning", message, fields });
    }
    this.#isFailing = true;
    return old;
  }

  async #askRegistry(outcome: "miss" | "failed", asked: ResolveOptions): Promise<SharedAnswer> {
    const tags = new Set<string>();
    const onTag = (tag: string): void => void tags.add(tag);
    const resolution: Resolution = await this.#registry.resolve({ ...asked, onTag });
    this.#isFailing = false;
    this.#shared.emit({ type: "cache", what: "answer", outcome });
    return { resolution, tags: [...tags] };
  }
}

/** Whether the registry may have been asked before that. */
function isOlder({ entry, ageMs }: Seen, thanMs: number): boolean {
  if (thanMs === Number.POSITIVE_INFINITY) return false;
  return ageMs + (entry.askedMs ?? Number.POSITIVE_INFINITY) + AGE_ERROR_MS > thanMs;
}

function withoutConditions(cache: string): DewyEvent {
  return {
    type: "warning",
    important: true,
    message: "The cache has no conditional writes; it shares artifacts only",
    fields: { cache, hint: "leave registry-ttl out, or use another store" },
  };
}

const UNANSWERED: SharedEntry = { state: "expired" };
