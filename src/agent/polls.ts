import { DeployError, type DewyError, NotFoundError } from "../core/error.ts";
import { asDewyError } from "../deploy/loop.ts";
import type { TickResult } from "../deploy/tick.ts";

/** How a poll ended; `settled` resolves later if its version bakes. */
export interface PollEnd {
  result: TickResult;
  settled: Promise<TickResult | undefined> | undefined;
}

interface Waiter {
  resolve(end: PollEnd): void;
  reject(error: DewyError): void;
}

/** Lets commands wait for a poll that begins after them. */
export class Polls {
  readonly #waiters = new Set<Waiter>();
  #isRunning = false;
  /** Whether there are no polls, as with `--once`. */
  isClosed = false;
  /** Starts a poll now, or as soon as the current one has ended. */
  trigger: () => void = () => {};

  get isRunning(): boolean {
    return this.#isRunning;
  }

  next(): Promise<PollEnd> {
    const next = new Promise<PollEnd>((resolve, reject) => this.#waiters.add({ resolve, reject }));
    this.trigger();
    return next;
  }

  async run(poll: () => Promise<PollEnd>): Promise<PollEnd> {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    this.#isRunning = true;
    try {
      const end = await poll();
      for (const { resolve } of waiters) resolve(end);
      return end;
    } catch (error) {
      for (const { reject } of waiters) reject(asDewyError(error));
      throw error;
    } finally {
      this.#isRunning = false;
    }
  }
}

/** The outcome of a poll as a sentence. Throws if a version was not deployed although it should be. */
export function pollText(result: TickResult | undefined): string {
  if (result === undefined) {
    const reason = "another version took over before it had passed its bake";
    throw new DeployError(
      "verify",
      `the version that the poll deployed is no longer live: ${reason}`,
    );
  }
  const { failure, problem, deployed, live, waitsUntil, waiting = [], isGivenUp } = result;
  if (failure !== undefined) throw failure.error;
  if (problem !== undefined) throw problem;
  if (deployed) return `${live} deployed`;
  const waits = waiting.map(({ tag, reason, until }) => {
    const end = until === undefined ? "" : ` until ${until.toISOString()}`;
    return `${tag} waits${end}: ${reason}`;
  });
  if (isGivenUp) waits.push("the deploy that the poll began was given up for another command");
  if (waitsUntil !== undefined) {
    waits.push(`the newest version failed; its next attempt is at ${iso(waitsUntil)}`);
  }
  if (live === undefined) {
    if (waits.length === 0) throw new NotFoundError("the registry has no version to deploy");
    return `no version is live; ${waits.join("; ")}`;
  }
  return waits.length === 0 ? `${live} is up to date` : `${live} stays live; ${waits.join("; ")}`;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
