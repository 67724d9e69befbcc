import type { Clock } from "../core/clock.ts";
import { askedPauseMs, backoffMs } from "./backoff.ts";
import type { Candidate } from "./deployer.ts";

/** What {@link FailedCandidates} needs. */
export interface FailedCandidatesOptions {
  /** The pause between two polls, in milliseconds. */
  intervalMs: number;
  clock: Clock;
  /** A number in [0, 1); the default is `Math.random`. */
  random?: () => number;
}

interface Failed {
  failures: number;
  /** Milliseconds since the epoch. */
  retryAt: number;
  pauseMs: number;
}

/** More than anybody publishes between two deploys that work. */
const MAX_REMEMBERED = 32;

/**
 * The versions that failed before they were live. Each waits longer after every failure; another version, and other
 * bytes of the same one, do not wait. Only as long as this process lives: a restart tries again at once.
 */
export class FailedCandidates {
  readonly #options: FailedCandidatesOptions;
  readonly #failed = new Map<string, Failed>();

  /** @param options the pace and the world. */
  constructor(options: FailedCandidatesOptions) {
    this.#options = options;
  }

  /**
   * Whether a version has to wait.
   *
   * @param candidate the version and its artifact.
   * @returns when it may be tried again, in milliseconds since the epoch; `undefined`: now.
   */
  waitsUntil(candidate: Candidate): number | undefined {
    const { retryAt, pauseMs } = this.#failed.get(keyOf(candidate)) ?? { retryAt: 0, pauseMs: 0 };
    const leftMs = retryAt - this.#options.clock.now();
    // More than the whole pause: the clock was put back.
    return leftMs > 0 && leftMs <= pauseMs ? retryAt : undefined;
  }

  /**
   * Remembers a failure.
   *
   * @param candidate what failed.
   * @param error why; a pause that the registry asks for is kept.
   * @returns when it may be tried again, in milliseconds since the epoch.
   */
  add(candidate: Candidate, error: unknown): number {
    const { intervalMs, clock, random = Math.random } = this.#options;
    const key = keyOf(candidate);
    const failures = (this.#failed.get(key)?.failures ?? 0) + 1;
    const pauseMs = Math.max(backoffMs(intervalMs, failures, random), askedPauseMs(error, random));
    const retryAt = clock.now() + pauseMs;
    this.#failed.delete(key);
    this.#failed.set(key, { failures, retryAt, pauseMs });
    for (const oldest of [...this.#failed.keys()].slice(0, -MAX_REMEMBERED)) {
      this.#failed.delete(oldest);
    }
    return retryAt;
  }

  /** Nothing waits any longer; what fails once more waits as if it had waited. */
  hurry(): void {
    for (const failed of this.#failed.values()) failed.retryAt = 0;
  }

  /** Forgets everything: a deploy has worked. */
  clear(): void {
    this.#failed.clear();
  }
}

/** The tag and all that the registry tells of the bytes. */
function keyOf({ release, artifact }: Candidate): string {
  const { name, digest, revision, size } = artifact;
  return JSON.stringify([release.tag, name, digest ?? revision ?? size]);
}
