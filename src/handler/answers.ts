import type { Clock } from "../core/clock.ts";
import { RemoteError } from "../core/error.ts";
import type { Platform, Registry, Resolution } from "../core/types.ts";
import { formatPlatformSegment } from "../platform/platform_segment.ts";
import { openRegistry, type RegistryOptions } from "../registries/open.ts";
import { keep, SharedWork } from "./shared_work.ts";

export interface AnswerOptions {
  library: RegistryOptions;
  clock: Clock;
  maxAgeMs: number;
  staleMs: number;
  timeoutMs: number;
  waitUntil: ((work: Promise<unknown>) => void) | undefined;
}

interface Known {
  resolution: Resolution;
  at: number;
}

/** What is asked about a registry between two listings. */
interface Round {
  registry: Registry;
  startedAt: number;
  /** The first answer, whose listing the others use. */
  first: Promise<Resolution>;
  isListed: boolean;
  /** Of questions that had to be asked at the registry. */
  questions: number;
}

/** The platforms in a round that a registry is asked about, if its listing does not answer for all. */
const MAX_QUESTIONS = 64;

/** The answers of registries, each kept for a while. */
export class Answers {
  readonly #options: AnswerOptions;
  readonly #work: SharedWork<Known>;
  readonly #known = new Map<string, Known>();
  readonly #ready = new Map<string, Known>();
  readonly #rounds = new Map<string, Round>();

  constructor(options: AnswerOptions) {
    this.#options = options;
    this.#work = new SharedWork(options);
  }

  /** The newest version for a platform, or the last known one while the registry fails. */
  async newest(url: string, platform: Platform, explain: boolean): Promise<Resolution> {
    const key = `${url} ${formatPlatformSegment(platform)}${explain ? " explained" : ""}`;
    const { clock, maxAgeMs, staleMs, waitUntil } = this.#options;
    const known = this.#known.get(key);
    const age = known === undefined ? Number.POSITIVE_INFINITY : clock.now() - known.at;
    if (known !== undefined && age < maxAgeMs) return known.resolution;
    const isUsable = known !== undefined && age < maxAgeMs + staleMs;
    const asked = this.#work.run(url, key, () => this.#fetch(key, url, platform, explain));
    if (isUsable && waitUntil !== undefined) {
      waitUntil(asked.catch(() => {}));
      return known.resolution;
    }
    try {
      return (await asked).resolution;
    } catch (error) {
      if (isUsable) return known.resolution;
      throw error;
    }
  }

  /** A version that this handler has answered with lately; `undefined` for any other. */
  recent(url: string, platform: Platform, tag: string): Resolution | undefined {
    return this.#ready.get(`${url} ${formatPlatformSegment(platform)} ${tag}`)?.resolution;
  }

  async #fetch(key: string, url: string, platform: Platform, explain: boolean): Promise<Known> {
    const known = await this.#resolve(url, platform, explain);
    keep(this.#known, key, known);
    const { resolution } = known;
    if (resolution.kind === "ready") {
      const { tag } = resolution.release;
      keep(this.#ready, `${url} ${formatPlatformSegment(platform)} ${tag}`, known);
    }
    return known;
  }

  /** Clients choose platforms, so one listing answers for all of them. */
  async #resolve(url: string, platform: Platform, explain: boolean): Promise<Known> {
    const round = this.#roundOf(url);
    if (round === undefined) return this.#begin(url, platform, explain);
    const { registry, startedAt, first } = round;
    if (registry.anyPlatform === true) {
      await first;
      const maxAgeMs = Number.POSITIVE_INFINITY;
      const resolution = await registry.resolve({ platform, explain, maxAgeMs });
      return { resolution, at: startedAt };
    }
    round.questions += 1;
    if (round.questions > MAX_QUESTIONS) throw this.#tooMany(round);
    const own = openRegistry(url, { ...this.#options.library, platform });
    return { at: this.#options.clock.now(), resolution: await own.resolve({ explain }) };
  }

  /** The current round, if its listing is there, or still awaited. */
  #roundOf(url: string): Round | undefined {
    const { clock, maxAgeMs, timeoutMs } = this.#options;
    const round = this.#rounds.get(url);
    if (round === undefined) return undefined;
    const age = clock.now() - round.startedAt;
    return age < maxAgeMs && (round.isListed || age < timeoutMs) ? round : undefined;
  }

  async #begin(url: string, platform: Platform, explain: boolean): Promise<Known> {
    const { clock, library } = this.#options;
    const startedAt = clock.now();
    const registry = openRegistry(url, { ...library, platform });
    const first = registry.resolve({ platform, explain });
    const round: Round = { registry, startedAt, first, isListed: false, questions: 1 };
    keep(this.#rounds, url, round);
    try {
      const resolution = await first;
      round.isListed = true;
      return { resolution, at: startedAt };
    } catch (error) {
      if (this.#rounds.get(url) === round) this.#rounds.delete(url);
      throw error;
    }
  }

  #tooMany({ startedAt }: Round): RemoteError {
    const { clock, maxAgeMs } = this.#options;
    const retryAfterMs = startedAt + maxAgeMs - clock.now();
    return new RemoteError(
      `Cannot ask the registry: ${MAX_QUESTIONS} platforms were asked for in a short time; try again later`,
      { code: "rate-limited", retryAfterMs },
    );
  }
}
