/** What this host's registry offers it, poll by poll, and what the host itself keeps back. */
export class Offers {
  #offered = new Set<string>();
  readonly #holds = new Map<string, string>();
  /** The version that was rolled out when the poll before ended. */
  #wanted: string | undefined;

  /** The host would take the version, or has it. */
  offered(tag: string): void {
    this.#offered.add(tag);
    this.#holds.delete(tag);
  }

  /** The host keeps the version back, whatever the fleet says. */
  held(tag: string, reason: string): void {
    this.#offered.add(tag);
    this.#holds.set(tag, reason);
  }

  holdOf(tag: string): string | undefined {
    return this.#holds.get(tag);
  }

  /** Ends a poll. Returns whether the version was rolled out during all of it, and not offered. */
  endPoll(rolledOut: string | undefined): boolean {
    const isMissing = rolledOut !== undefined && !this.#offered.has(rolledOut);
    const wasWanted = this.#wanted === rolledOut;
    this.#wanted = rolledOut;
    this.#offered = new Set();
    return isMissing && wasWanted;
  }
}
