import type { AppRelease } from "../../deployers/runner.ts";
import type { Place } from "./handoff.ts";
import type { Endable } from "./retire.ts";

/** How a program ended. */
export interface Exit {
  code: number | null;
  signal: string | null;
}

/** One start of the app. */
export interface Generation extends Endable {
  /** Counts the starts, from 1 on. */
  readonly number: number;
  readonly release: AppRelease;
  readonly place: Place;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Whether the main process has ended. */
  readonly hasEnded: boolean;
  /** Resolves when the main process has ended. */
  readonly exited: Promise<Exit>;
  /** Resolves when the app has written to its readiness descriptor. */
  readonly saidReady: Promise<void>;
  /** What it wrote last, oldest first. */
  lastLines(count: number): readonly string[];
  /** What else helps to understand why it ended, as parts of a sentence; complete once it has. */
  readonly hints: readonly string[];
}

/** Starts the app of a release; rejects when it cannot be executed. */
export type StartGeneration = (
  release: AppRelease,
  number: number,
  place: Place,
) => Promise<Generation>;

/**
 * Says how a program ended.
 *
 * @param exit its end.
 * @returns `exit code 3` or `SIGSEGV`.
 */
export function describeExit({ code, signal }: Exit): string {
  return code === null ? (signal ?? "an unknown end") : `exit code ${code}`;
}
