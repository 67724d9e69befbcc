/** One machine of a fleet: the object `fleet/<name>/members/<host>.json`, which only this machine writes. */
export interface Member {
  /** Grows with every write, so that no two writes have the same bytes. */
  revision: number;
  /** The host's name, unique in the fleet. */
  host: string;
  /** Identifies the dewy that writes the record: two machines of one name are noticed. */
  instance: string;
  /** What runs; absent where nothing does. */
  tag?: string | undefined;
  /** What the host does with the version of the rollout. */
  task?: MemberTask | undefined;
}

export interface MemberTask {
  tag: string;
  phase: /** It would take the version, once its turn has come. */
    | "waiting"
    /** It may not take the version now: pinned, paused, outside its window, too young a release, not offered here. */
    | "held"
    | "deploying"
    /** The version runs, and is watched for `--rollout-bake`. */
    | "baking"
    | "done"
    /** The deploy failed, and the version before it runs again. */
    | "failed"
    /** Gone back because the rollout was halted or aborted. */
    | "rolled-back";
  /** Why it is held, or why it failed. */
  reason?: string | undefined;
}

/** A rollout: the object `fleet/<name>/rollout.json`, changed by compare-and-swap only. */
export interface Rollout {
  /** Grows with every write, so that no two writes have the same bytes. */
  revision: number;
  /** The host that wrote this. */
  writer: string;
  /** What is rolled out, without secrets, so that two apps do not share a fleet by mistake. */
  registry: string;
  tag: string;
  waves: readonly WaveSize[];
  maxFailures: number;
  /** How long a silent host counts as a member, as on the host that began it. */
  memberTtlMs?: number | undefined;
  /** The members when it began, by rank. Who joins later takes the last wave. */
  hosts: readonly string[];
  /** The wave that may take the version, from 0. */
  wave: number;
  state: "running" | "halted" | "aborted" | "done";
  /** Hosts that were held or gone before they took the version. The next ranks stand in for them. */
  passed: readonly string[];
  /** Hosts that took the version before the last wave, added before they do so. In the last wave, their own records tell. */
  started: readonly string[];
  /** Hosts whose deploy failed, and on which the version does not run any more. */
  failed: readonly HostFailure[];
  /** Hosts that took the version and vanished before the end of their bake. It may still run there. */
  lost: readonly string[];
  /** Hosts whose failures an operator has forgiven by resuming. */
  forgiven: readonly string[];
  /** Why it was halted, or who has aborted it. */
  reason?: string | undefined;
  /** The version last rolled out completely. */
  previous?: string | undefined;
  /** After a time in which no host could write. Until then, in the store's time, silent hosts count as alive. */
  graceUntil?: number | undefined;
  /** A newer version, which is rolled out when the wave is complete. */
  next?: string | undefined;
}

export interface HostFailure {
  host: string;
  reason: string;
}

export type WaveSize = { hosts: number } | { percent: number };
