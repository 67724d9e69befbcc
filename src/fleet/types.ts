/** One machine of a fleet. Its record is the object `fleet/<name>/members/<host>.json`. */
export interface Member {
  /** The host's name, unique in the fleet. */
  host: string;
  /** When the host last wrote the record, in milliseconds since the epoch, by its own clock. */
  seenAt: number;
  /** What runs; absent where nothing does. */
  tag?: string | undefined;
  /** What the host does with the version of the rollout. */
  task?: MemberTask | undefined;
}

export interface MemberTask {
  tag: string;
  phase:
    | "waiting"
    /** It may not take the version now: pinned, paused, outside its window, or too young a release. */
    | "held"
    | "deploying"
    | "baking"
    | "done"
    | "failed"
    | "rolled-back";
  /** Why it waits, or why it failed. */
  reason?: string | undefined;
  /** When the phase began. */
  since: number;
}

/** A rollout. Its record is the object `fleet/<name>/rollout.json`, changed by compare-and-swap only. */
export interface Rollout {
  tag: string;
  startedAt: number;
  /** The shares or counts of the waves: `1`, `10%`, `100%`. */
  waves: readonly WaveSize[];
  /** The members when it began. Who joins later takes the last wave. */
  hosts: readonly string[];
  /** The wave that may take the version, from 0. */
  wave: number;
  waveSince: number;
  state: "running" | "halted" | "done" | "aborted";
  /** Hosts whose deploy failed, or that vanished during it. */
  failed: readonly string[];
  maxFailures: number;
  /** Why it halted, or by whom it was aborted. */
  reason?: string | undefined;
  /** The version last rolled out completely. */
  previous?: string | undefined;
}

export type WaveSize = { hosts: number } | { percent: number };

/** What a host is to do with a version that its registry names. */
export type FleetVerdict =
  | { kind: "go" }
  | { kind: "wait"; reason: string }
  | { kind: "roll-back"; to: string; reason: string };
