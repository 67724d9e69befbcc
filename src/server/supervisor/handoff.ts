import type { Fault } from "../../core/error.ts";
import type { HeldSocket } from "../../host/sockets/hold_sockets.ts";

/** What a generation is started with. */
export interface Place {
  /** Listening sockets it inherits. */
  sockets: readonly HeldSocket[];
  /** Variables it gets. */
  env: Readonly<Record<string, string>>;
  /** Tells it from other places, where one is behind a proxy. */
  name?: string;
}

/** Called with the reason why a generation is not ready yet, and where the fault lies. */
export type TellWhyNot = (reason: string, fault: Fault) => void;

/** How traffic gets from the port to a generation. */
export interface Handoff {
  /** Whether two generations can run side by side; else the old one is stopped first. */
  readonly overlaps: boolean;
  /**
   * How long an old generation is left alone after the new one has taken over, in milliseconds: connections that were
   * on their way to it must be accepted before it stops listening. 0 where what it has not accepted is not lost.
   */
  readonly settleMs: number;
  /** Makes room for a new generation. */
  prepare(): Promise<Place>;
  /**
   * Resolves when a generation that runs can serve, and tells meanwhile why it cannot. Absent: there is nothing to ask.
   */
  ready?(place: Place, signal: AbortSignal, tell: TellWhyNot): Promise<void>;
  /** Resolves when it still serves; rejects with the reason. Absent: there is nothing to ask. */
  check?(place: Place, signal: AbortSignal): Promise<void>;
  /** New connections go to this generation from now on. */
  take(place: Place): void;
  /** Accepts no further connections: dewy is to end. */
  stopAccepting(): void;
  /** Sends no further connections to a generation; resolves when those it has have ended, or when the time is up. */
  drain(place: Place, timeoutMs: number): Promise<void>;
  /** Ends the connections of a generation that is gone; those that end by themselves may take so long. */
  cut(place: Place, withinMs: number): Promise<void>;
  /** Gives up the port. */
  close(): Promise<void>;
}
