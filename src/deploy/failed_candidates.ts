import type { Context } from "../core/context.ts";
import { messageOf } from "../core/message_of.ts";
import { backoffMs, requestedPauseMs } from "./backoff.ts";
import type { Candidate } from "./deployer.ts";

interface Options extends Pick<Context, "clock"> {
  intervalMs: number;
  random?: () => number;
}

interface Failed {
  failures: number;
  retryAt: number;
  pauseMs: number;
  reason: string;
}

/** More versions than are published between two successful deploys. */
const MAX_REMEMBERED = 32;

/**
 * The versions that failed before they were live. Each waits longer after every failure; other bytes
 * of the same version do not wait. Nothing is saved, so a restart of dewy retries at once.
 */
export class FailedCandidates {
  readonly #options: Options;
  readonly #failed = new Map<string, Failed>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** Milliseconds since the epoch; `undefined` if the version does not have to wait. */
  waitsUntil(candidate: Candidate): number | undefined {
    const { retryAt, pauseMs } = this.#failed.get(keyOf(candidate)) ?? { retryAt: 0, pauseMs: 0 };
    const leftMs = retryAt - this.#options.clock.now();
    // If more than the whole pause is left, the clock was put back.
    return leftMs > 0 && leftMs <= pauseMs ? retryAt : undefined;
  }

  /** Why the version has failed last. */
  reasonOf(candidate: Candidate): string | undefined {
    return this.#failed.get(keyOf(candidate))?.reason;
  }

  /** Returns when the version may be retried, in milliseconds since the epoch. */
  add(candidate: Candidate, error: unknown): number {
    const { intervalMs, clock, random = Math.random } = this.#options;
    const key = keyOf(candidate);
    const failures = (this.#failed.get(key)?.failures ?? 0) + 1;
    const pauseMs = Math.max(
      backoffMs(intervalMs, failures, random),
      requestedPauseMs(error, random),
    );
    const retryAt = clock.now() + pauseMs;
    this.#failed.delete(key);
    this.#failed.set(key, { failures, retryAt, pauseMs, reason: messageOf(error) });
    for (const oldest of [...this.#failed.keys()].slice(0, -MAX_REMEMBERED)) {
      this.#failed.delete(oldest);
    }
    return retryAt;
  }

  /** Ends all waits, but keeps the failure counts. */
  hurry(): void {
    for (const failed of this.#failed.values()) failed.retryAt = 0;
  }

  clear(): void {
    this.#failed.clear();
  }
}

/** The tag and everything the registry states about the bytes. */
function keyOf({ release, artifact }: Candidate): string {
  const { name, digest, revision, size } = artifact;
  return JSON.stringify([release.tag, name, digest ?? revision ?? size]);
}
