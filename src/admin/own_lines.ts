import { lastWithin } from "../core/text.ts";

/** More than {@link lastWithin} shows, so that the oldest are dropped in batches. */
const KEPT_LINES = 400;

/** The last lines of dewy's own log, formatted and without secrets, for the status page. */
export class OwnLines {
  #lines: string[] = [];

  /** Takes one line of the log, with or without its newline. */
  readonly write = (text: string): void => {
    this.#lines.push(text.trimEnd());
    if (this.#lines.length > KEPT_LINES) this.#lines = [...this.last()];
  };

  /** Oldest first, at most 200 lines and 64 KiB. */
  last(): readonly string[] {
    return lastWithin(this.#lines);
  }
}
