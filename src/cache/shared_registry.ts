import type { Clock } from "../core/clock.ts";
import { DewyError, faultOf } from "../core/error.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Platform, Registry, Resolution, ResolveOptions } from "../core/types.ts";
import { registryKey } from "./keys.ts";
import { formatEntry, parseEntry, type SharedAnswer, type SharedEntry } from "./shared_entry.ts";
import { Care } from "./trouble.ts";
import type { CacheStore } from "./types.ts";

export interface SharedRegistryOptions {
  store: CacheStore;
  /** How long an answer is shared. */
  ttlMs: number;
  /** The registry's URL, with the options of flags in its query. */
  scope: string;
  platform: Platform;
  /** A CalVer format; empty for SemVer. */
  calver: string;
  /** This process, unique among those that share the store: `<host>:<pid>`. */
  node: string;
  clock: Clock;
  emit: EventSink;
  /** From 0 to 1. Defaults to `Math.random`. */
  random?: (() => number) | undefined;
}

/** Larger than the answer of a registry with 100,000 tags. */
const MAX_ENTRY_BYTES = 4 * 1024 * 1024;
const MIN_CLAIM_MS = 30_000;
const MAX_CLAIM_MS = 5 * 60_000;
const FIRST_WAIT_MS = 250;
const MAX_WAIT_MS = 2_000;
/** With an old answer at hand. */
const PATIENCE_WITH_ANSWER_MS = 5_000;
/** Less than the time a poll may take. */
const PATIENCE_MS = 40_000;

/** How long the claim of a machine that asks the registry is respected. */
export function claimLifeMs(ttlMs: number): number {
  return Math.min(MAX_CLAIM_MS, Math.max(MIN_CLAIM_MS, 2 * ttlMs));
}

/**
 * Shares the registry's answers among all machines with the same store: one of them asks the registry once every
 * `ttlMs`, the others read its answer. Where the store fails, each asks for itself.
 */
export function shareRegistry(registry: Registry, options: SharedRegistryOptions): Registry {
  const { store, clock, emit } = options;
  const instead = "this machine asks the registry itself";
  const care = new Care({ name: store.name, clock, emit, instead });
  const shared = new Map<string, SharedQuestion>();
  const questionOf = async (asked: ResolveOptions): Promise<SharedQuestion> => {
    const { platform = options.platform, artifact, exclude } = asked;
    const key = await registryKey({ scope: options.scope, platform, artifact, exclude });
    const known = shared.get(key) ?? new SharedQuestion(key, registry, options, care);
    if (!shared.has(key) && shared.size >= MAX_QUESTIONS) shared.clear();
    shared.set(key, known);
    return known;
  };
  return {
    ...registry,
    async resolve(asked = {}) {
      // What an operator asks for is answered by the registry.
      if (asked.tag !== undefined || asked.explain || care.isPlain) return registry.resolve(asked);
      const { resolution, tags } = await (await questionOf(asked)).ask(asked);
      for (const tag of tags) asked.onTag?.(tag);
      return resolution;
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

type Claimed = { kind: "claimed"; version: string } | { kind: "lost" } | { kind: "failed" };

class SharedQuestion {
  readonly #key: string;
  readonly #registry: Registry;
  readonly #options: SharedRegistryOptions;
  readonly #care: Care;
  /** The version read last, and when it was first seen. */
  #sighted: { version: string; at: number } | undefined;
  #isFailing = false;

  constructor(key: string, registry: Registry, options: SharedRegistryOptions, care: Care) {
    this.#key = key;
    this.#registry = registry;
    this.#options = options;
    this.#care = care;
  }

  async ask(asked: ResolveOptions): Promise<SharedAnswer> {
    const { clock, ttlMs } = this.#options;
    const start = clock.monotonic();
    for (let attempt = 0; ; attempt += 1) {
      const seen = await this.#read(asked.signal);
      if (seen === undefined) return this.#askRegistry(asked);
      const { answer, claim, state } = seen.entry;
      const isClaimed = claim !== undefined && seen.ageMs < claimLifeMs(ttlMs);
      const isFresh = claim === undefined && state !== "expired" && seen.ageMs < ttlMs;
      if (answer !== undefined && isFresh) return answer;
      if (!isClaimed) {
        const claimed = await this.#claim(seen, asked.signal);
        if (claimed.kind === "failed") return this.#askInVain(seen, asked);
        if (claimed.kind === "claimed") return this.#askForAll(claimed.version, seen, asked);
      }
      const waited = clock.monotonic() - start;
      if (answer !== undefined && waited >= PATIENCE_WITH_ANSWER_MS) return answer;
      if (waited >= PATIENCE_MS) return this.#askRegistry(asked);
      await clock.sleep(this.#pause(attempt), asked.signal);
    }
  }

  /** `undefined` if the store does not answer. */
  async #read(signal: AbortSignal | undefined): Promise<Seen | undefined> {
    const { store, calver } = this.#options;
    const found = await this.#care.try("read", signal, async (limited) => {
      try {
        return await store.read(this.#key, MAX_ENTRY_BYTES, limited);
      } catch (error) {
        // Not an entry.
        if (!(error instanceof DewyError && error.code === "integrity")) throw error;
        await store.remove(this.#key, limited);
        return undefined;
      }
    });
    if ("error" in found) return undefined;
    const { value } = found;
    if (value === undefined) return { entry: UNANSWERED, version: undefined, ageMs: 0 };
    const entry = parseEntry(value.body, calver) ?? UNANSWERED;
    const { version } = value;
    return { entry, version, ageMs: value.ageMs ?? this.#guessAge(version, entry) };
  }

  /** For stores that do not tell it. A clock that is wrong by minutes makes it wrong by as much, but never for long. */
  #guessAge(version: string, { claim, fetchedAt }: SharedEntry): number {
    const { clock } = this.#options;
    const now = clock.monotonic();
    if (this.#sighted?.version !== version) this.#sighted = { version, at: now };
    const writtenAt = claim?.at ?? fetchedAt;
    const stated = writtenAt === undefined ? 0 : clock.now() - writtenAt;
    return Math.max(stated, now - this.#sighted.at);
  }

  async #claim({ entry, version }: Seen, signal: AbortSignal | undefined): Promise<Claimed> {
    const { clock, node: by, store, emit } = this.#options;
    if (!(await this.#care.isAtomic(store, signal))) {
      if (this.#care.isPlain) emit(withoutConditions(store.name));
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
      : { kind: "failed" };
  }

  #write(entry: SharedEntry, version: string | undefined, signal: AbortSignal | undefined) {
    return this.#care.try("write to", signal, (limited) =>
      this.#options.store.write(this.#key, formatEntry(entry), {
        condition: version === undefined ? "absent" : { version },
        contentType: "application/json",
        signal: limited,
      }),
    );
  }

  async #askForAll(version: string, seen: Seen, asked: ResolveOptions): Promise<SharedAnswer> {
    const { clock } = this.#options;
    const { answer: old, fetchedAt } = seen.entry;
    try {
      const answer = await this.#askRegistry(asked);
      await this.#write({ answer, fetchedAt: clock.now(), state: "fresh" }, version, asked.signal);
      return answer;
    } catch (error) {
      // The claim is released even if this machine stops.
      const isShared = old !== undefined && faultOf(error) === "remote";
      const state = isShared ? "failed" : "expired";
      await this.#write({ answer: old, fetchedAt, state }, version, undefined);
      asked.signal?.throwIfAborted();
      return this.#fallBack(old, error);
    }
  }

  /** The store takes no claim. */
  async #askInVain({ entry }: Seen, asked: ResolveOptions): Promise<SharedAnswer> {
    try {
      return await this.#askRegistry(asked);
    } catch (error) {
      asked.signal?.throwIfAborted();
      return this.#fallBack(entry.answer, error);
    }
  }

  #fallBack(old: SharedAnswer | undefined, error: unknown): SharedAnswer {
    if (old === undefined) throw error;
    const { emit, store } = this.#options;
    if (!this.#isFailing) {
      const fields = { cache: store.name, reason: messageOf(error) };
      const message = "The registry does not answer; the last shared answer is used";
      emit({ type: "warning", message, fields });
    }
    this.#isFailing = true;
    return old;
  }

  async #askRegistry(asked: ResolveOptions): Promise<SharedAnswer> {
    const tags = new Set<string>();
    const onTag = (tag: string): void => void tags.add(tag);
    const resolution: Resolution = await this.#registry.resolve({ ...asked, onTag });
    this.#isFailing = false;
    return { resolution, tags: [...tags] };
  }

  #pause(attempt: number): number {
    const { random = Math.random } = this.#options;
    const longest = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 1.5 ** attempt);
    return longest * (0.5 + random() / 2);
  }
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
