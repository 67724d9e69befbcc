import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import { fingerprint } from "./page/render.ts";
import { ALIVE_EVENT, ALIVE_MS, SECTIONS_EVENT } from "./page/view.ts";

/** The HTML of the page's sections, by their ids. */
export type Sections = Readonly<Record<string, string>>;

const MAX_CLIENTS = 32;
/** Replicas and log lines change without an event. */
const REFRESH_MS = 5_000;
const MIN_GAP_MS = 1_000;

interface LiveSectionsOptions {
  render(): Promise<Sections>;
  /** Receives the events after which the sections may have changed. */
  subscribe(sink: EventSink): () => void;
  clock: Clock;
  /** Ends all streams. */
  signal: AbortSignal;
}

/**
 * Sends the sections that change to the browsers that show the page. It renders only while there are any, once for all,
 * and a slow one skips what it has missed.
 */
export class LiveSections {
  readonly #options: LiveSectionsOptions;
  readonly #clients = new Set<Client>();
  #sections: Sections = {};
  /** Aborts when the sections may have changed. */
  #change = new AbortController();
  #isRefreshing = false;

  constructor(options: LiveSectionsOptions) {
    this.#options = options;
    // One listener for all: runtimes warn about more than ten.
    options.signal.addEventListener("abort", () => {
      for (const client of this.#clients) client.end();
      this.#change.abort();
    });
  }

  /**
   * Returns the stream of a client, or `undefined` if there are too many.
   *
   * @param isAllowed asked before each message: the token of the client may not be valid any more.
   */
  open(isAllowed: () => Promise<boolean>): ReadableStream<Uint8Array> | undefined {
    const { clock, signal } = this.#options;
    if (this.#clients.size >= MAX_CLIENTS || signal.aborted) return undefined;
    const client = new Client(clock);
    this.#clients.add(client);
    if (!this.#isRefreshing) void this.#refresh();
    const leave = (): void => {
      client.end();
      this.#clients.delete(client);
    };
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const message = await client.next(() => this.#sections);
          if (message !== undefined && (await isAllowed()))
            return controller.enqueue(new TextEncoder().encode(message));
          leave();
          controller.close();
        },
        cancel: leave,
      },
      { highWaterMark: 0 },
    );
  }

  async #refresh(): Promise<void> {
    this.#isRefreshing = true;
    const { render, subscribe, clock, signal } = this.#options;
    const unsubscribe = subscribe(() => this.#change.abort());
    while (this.#clients.size > 0 && !signal.aborted) {
      this.#change = new AbortController();
      // Sections that cannot be rendered stay as they were; the next attempt is soon.
      this.#sections = await render()
        .then((sections) => withoutPassedTime(sections, this.#sections))
        .catch(() => this.#sections);
      for (const client of this.#clients) client.wake();
      await clock.sleep(MIN_GAP_MS, signal).catch(() => {});
      await clock.sleep(REFRESH_MS - MIN_GAP_MS, this.#change.signal).catch(() => {});
    }
    unsubscribe();
    this.#isRefreshing = false;
  }
}

/** Keeps the earlier HTML of the sections in which only times have passed, which the page itself keeps current. */
function withoutPassedTime(sections: Sections, earlier: Sections): Sections {
  const kept = Object.entries(sections).map(([id, html]) => {
    const before = earlier[id];
    const isSame = before !== undefined && fingerprint(before) === fingerprint(html);
    return [id, isSame ? before : html];
  });
  return Object.fromEntries(kept);
}

class Client {
  readonly #clock: Clock;
  #isEnded = false;
  #sent: Sections = {};
  /** Ends the wait for a change. */
  #change = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wake(): void {
    this.#change.abort();
  }

  end(): void {
    this.#isEnded = true;
    this.wake();
  }

  /** Waits for a change, or a heartbeat. Returns `undefined` at the end. */
  async next(current: () => Sections): Promise<string | undefined> {
    while (!this.#isEnded) {
      this.#change = new AbortController();
      const sections = current();
      const changed = Object.entries(sections).filter(([id, html]) => this.#sent[id] !== html);
      this.#sent = sections;
      if (changed.length > 0) {
        const data = JSON.stringify(Object.fromEntries(changed));
        return `event: ${SECTIONS_EVENT}\ndata: ${data}\n\n`;
      }
      const isQuiet = await this.#clock.sleep(ALIVE_MS, this.#change.signal).then(
        () => true,
        () => false,
      );
      if (isQuiet) return `event: ${ALIVE_EVENT}\ndata:\n\n`;
    }
    return undefined;
  }
}
