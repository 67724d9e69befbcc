import { TOLD_CHARACTERS } from "../../deployers/with_last_lines.ts";

/** The last lines that a program wrote, for the error that tells why it ended. */
export class OutputTail {
  readonly #limit: number;
  readonly #lines: string[] = [];
  readonly #decoder = new TextDecoder();
  #rest = "";

  /** @param limit how many lines are kept. */
  constructor(limit = 200) {
    this.#limit = limit;
  }

  /**
   * Takes what the program wrote.
   *
   * @param chunk bytes, cut anywhere.
   */
  add(chunk: Uint8Array): void {
    const parts = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = (parts.pop() ?? "").slice(-TOLD_CHARACTERS);
    this.#lines.push(...parts.slice(-this.#limit).map((line) => line.slice(0, TOLD_CHARACTERS)));
    if (this.#lines.length > this.#limit) this.#lines.splice(0, this.#lines.length - this.#limit);
  }

  /**
   * The lines so far, the unfinished one as well.
   *
   * @param count how many at most.
   * @returns the newest lines, oldest first.
   */
  last(count: number): readonly string[] {
    const all = this.#rest === "" ? this.#lines : [...this.#lines, this.#rest];
    return all.slice(-count);
  }
}
