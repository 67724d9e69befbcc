import type { Clock } from "../core/clock.ts";
import type { Platform } from "../core/types.ts";
import { formatPlatform } from "../platform/platform.ts";
import type { AnnouncedVersion } from "./contract.ts";

export interface FeedOptions {
  /** Returns the version of a platform, at most as old as the interval. */
  ask(platform: Platform): Promise<AnnouncedVersion>;
  intervalMs: number;
  clock: Clock;
}

/** A feed for each platform that a machine watches: while one does, the gateway polls for it. */
export class VersionFeeds {
  readonly #options: FeedOptions;
  readonly #feeds = new Map<string, Feed>();

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Yields the version of a platform, and each that follows. A reader that is slow misses some, but never the last. */
  async *watch(platform: Platform, signal: AbortSignal): AsyncGenerator<AnnouncedVersion> {
    const key = formatPlatform(platform);
    const feed = this.#feeds.get(key) ?? new Feed(platform, this.#options);
    this.#feeds.set(key, feed);
    feed.join();
    try {
      let seen = 0;
      while (!signal.aborted) {
        if (feed.version !== undefined && feed.changes > seen) {
          seen = feed.changes;
          yield feed.version;
        } else await feed.changed(signal);
      }
    } finally {
      if (feed.leave() === 0) this.#feeds.delete(key);
    }
  }

  /** Takes a version that another request has just found. */
  offer(platform: Platform, version: AnnouncedVersion): void {
    this.#feeds.get(formatPlatform(platform))?.offer(version);
  }

  /** Polls now instead of at the next interval. */
  hurry(): void {
    for (const feed of this.#feeds.values()) feed.hurry();
  }
}

class Feed {
  readonly #platform: Platform;
  readonly #options: FeedOptions;
  readonly #waiting = new Set<() => void>();
  #readers = 0;
  #version: AnnouncedVersion | undefined;
  #changes = 0;
  #pause = new AbortController();

  constructor(platform: Platform, options: FeedOptions) {
    this.#platform = platform;
    this.#options = options;
  }

  get version(): AnnouncedVersion | undefined {
    return this.#version;
  }

  get changes(): number {
    return this.#changes;
  }

  join(): void {
    this.#readers += 1;
    if (this.#readers === 1) void this.#poll();
  }

  leave(): number {
    this.#readers -= 1;
    if (this.#readers === 0) this.#pause.abort();
    return this.#readers;
  }

  hurry(): void {
    this.#pause.abort();
  }

  offer(version: AnnouncedVersion): void {
    const { id, tag } = this.#version ?? {};
    if (this.#version !== undefined && id === version.id && tag === version.tag) return;
    this.#version = version;
    this.#changes += 1;
    for (const wake of [...this.#waiting]) wake();
  }

  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
      if (signal.aborted) wake();
    });
  }

  async #poll(): Promise<void> {
    const { ask, clock, intervalMs } = this.#options;
    while (this.#readers > 0) {
      this.#pause = new AbortController();
      // The polled registry reports failures, and machines keep what they have.
      const version = await ask(this.#platform).catch(() => undefined);
      if (version !== undefined) this.offer(version);
      await clock.sleep(intervalMs, this.#pause.signal).catch(() => {});
    }
  }
}
