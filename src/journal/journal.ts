import type { Clock } from "../core/clock.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Redact } from "../core/secret.ts";
import { withTimeout } from "../core/timeout.ts";
import { entryLine, type JournalEntry } from "./entry.ts";
import { type JournalFile, journalFile } from "./file.ts";
import { readJournal } from "./read.ts";
import { GAP, recordingOf } from "./recorded_events.ts";
import { Recorder } from "./recorder.ts";

/** How many entries wait for the disk; then the oldest are dropped. */
const CAPACITY = 500;
/** How much of each file is read at the start. */
const RECENT_BYTES = 64 * 1024;
const RETRY_MS = 30_000;
const CLOSE_MS = 5_000;

interface JournalOptions {
  /** The working directory. */
  root: string;
  /** Receives a warning if the journal cannot be written, and another one when it can be written again. */
  emit: EventSink;
  clock: Clock;
  redact: Redact;
  /** Receives every entry at once, whether or not it can be written. */
  onEntry?: (entry: JournalEntry) => void;
  /** Defaults to the journal of `root`. */
  file?: JournalFile;
}

/**
 * Writes what happens to `.dewy/journal.jsonl`, in order and in the background: a deploy never waits for it and never fails
 * because of it.
 */
export class Journal {
  readonly #options: Required<JournalOptions>;
  readonly #recorder: Recorder;
  /** The events until the recent entries were read. */
  #early: { event: DewyEvent; now: number }[] | undefined = [];
  #resuming: Promise<void> | undefined;
  readonly #waiting: { line: Buffer; isDurable: boolean }[] = [];
  readonly #closing = new AbortController();
  #writing: Promise<void> | undefined;
  #isFailing = false;
  #dropped = 0;

  constructor(options: JournalOptions) {
    this.#options = { file: journalFile(options.root), onEntry: () => {}, ...options };
    this.#recorder = new Recorder(options.clock, options.redact);
  }

  /** Records an event. It never blocks. */
  readonly sink: EventSink = (event) => {
    if (this.#closing.signal.aborted || recordingOf(event.type) === undefined) return;
    const now = this.#options.clock.now();
    if (this.#early === undefined) return this.#record(event, now);
    this.#early.push({ event, now });
    if (this.#early.length > CAPACITY) {
      this.#early.shift();
      this.#dropped += 1;
    }
    this.#resuming ??= this.#resume();
  };

  /** Resolves once all events so far are recorded. */
  async settled(): Promise<void> {
    await this.#resuming;
  }

  /** Writes the rest, for at most `timeoutMs`. */
  async close(timeoutMs: number = CLOSE_MS): Promise<void> {
    const { clock } = this.#options;
    // Ends the pause after a failure, so that there is a last attempt.
    this.#closing.abort(new DOMException("dewy ends", "AbortError"));
    const settled = Promise.resolve(this.#resuming).then(() => this.#writing);
    await withTimeout(settled, { clock, ms: timeoutMs, what: "disk" }).catch(() => {});
    const count = (this.#early?.length ?? 0) + this.#waiting.length + this.#dropped;
    if (count > 0) this.#warn("Journal entries lost", { count });
  }

  async #resume(): Promise<void> {
    try {
      for await (const entry of readJournal(this.#options.root, RECENT_BYTES)) {
        this.#recorder.resume(entry);
      }
    } catch {
      // What cannot be read is reported when it is written.
    }
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const { event, now } of early) this.#record(event, now);
  }

  #record(event: DewyEvent, now: number): void {
    const recorded = this.#recorder.record(event, now);
    if (recorded === undefined) return;
    this.#waiting.push({ line: entryLine(recorded.entry), isDurable: recorded.isDurable });
    this.#options.onEntry(recorded.entry);
    if (this.#waiting.length > CAPACITY) {
      const least = this.#waiting.findIndex((one) => !one.isDurable);
      this.#waiting.splice(Math.max(0, least), 1);
      this.#dropped += 1;
    }
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    while (this.#waiting.length > 0) {
      const isLast = signal.aborted;
      if (await this.#writeWaiting()) continue;
      if (isLast) return;
      await clock.sleep(RETRY_MS, signal).catch(() => {});
    }
  }

  async #writeWaiting(): Promise<boolean> {
    const batch = [...this.#waiting];
    const omitted = this.#dropped;
    const gap = omitted === 0 ? undefined : this.#gap(omitted);
    const lines = [...(gap === undefined ? [] : [gap]), ...batch.map(({ line }) => line)];
    const isDurable = batch.some((one) => one.isDurable);
    const onWritten = (line: Buffer): void => {
      if (line === gap) this.#dropped -= omitted;
      else this.#remove(line);
    };
    try {
      await this.#options.file.append(lines, isDurable, onWritten);
    } catch (error) {
      if (!this.#isFailing) {
        const hint = "deploys continue; `dewy history` may lack what happens meanwhile";
        this.#warn("Journal cannot be written", { error: messageOf(error), hint });
      }
      this.#isFailing = true;
      return false;
    }
    if (this.#isFailing) this.#warn("Journal can be written again", {});
    this.#isFailing = false;
    return true;
  }

  #gap(omitted: number): Buffer {
    const at = new Date(this.#options.clock.now()).toISOString();
    const reason = "the journal could not be written";
    return entryLine({ at, event: GAP, omitted, reason });
  }

  #remove(line: Buffer): void {
    const index = this.#waiting.findIndex((one) => one.line === line);
    // It may have been dropped while it was written.
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  #warn(message: string, fields: Record<string, string | number>): void {
    this.#options.emit({ type: "warning", important: true, message, fields });
  }
}
